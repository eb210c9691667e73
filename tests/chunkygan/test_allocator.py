"""The allocator keeps what is freed, gives it back when asked, and leaves alone what somebody has set."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told")

SCRIPT = """
import json, resource, sys
from pathlib import Path
from chunkygan.allocator import give_back, keep_freed_memory

MB = 2**20
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
def churn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        block = bytearray(64 * MB)
        block[::4096] = b"x" * (64 * MB // 4096)
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = churn()
told = keep_freed_memory()
first, again, held = churn(), churn(), resident()
give_back()
print(json.dumps(dict(told=told, fresh=fresh, first=first, again=again, given=held - resident())))
"""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in [name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]:
        monkeypatch.delenv(name)


def told(tmp_path: Any, run_python: Callable[..., Any], **env: str) -> dict[str, Any]:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_python(str(tmp_path / "script.py"), cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_freed_is_used_again_and_can_be_given_back(tmp_path, run_python):
    """`bytearray(n)` asks for cleared memory: kept pages are cleared in place, fresh ones cost a fault each."""
    found = told(tmp_path, run_python)
    pages = 64 * 2**20 // 4096
    assert found["told"] and found["fresh"] > 4 * pages / 512  # a fault a page, or a huge one
    assert found["again"] < 0.1 * found["fresh"]
    assert found["given"] > 60 * 2**20


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_stays(tmp_path, run_python, name):
    value = "glibc.malloc.arena_max=4" if name == "GLIBC_TUNABLES" else "131072"
    found = told(tmp_path, run_python, **{name: value})
    assert not found["told"] and found["again"] > 0.5 * found["fresh"]
