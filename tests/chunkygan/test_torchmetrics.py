"""torchmetrics comes without scipy.signal, and scipy works afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from chunkygan._torchmetrics import stand_in


@pytest.mark.skipif(find_spec("scipy") is None, reason="scipy is not installed")
def test_a_fit_is_ready_without_scipy_signal_which_works_afterwards(run_python: Callable[..., Any]) -> None:
    code = (
        "import sys, chunkygan.lightning.fitting\n"
        "print('scipy.signal' in sys.modules, 'torchmetrics' in sys.modules)\n"
        "import scipy.signal\n"
        "print(scipy.signal.convolve([1, 2], [1, 1]).tolist())"
    )
    done = run_python("-c", code)
    assert done.stdout.splitlines() == ["False True", "[1, 3, 2]"], done.stderr


def test_a_stand_in_is_there_for_a_while_only() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "wsgiref"]:
        del sys.modules[name]
    with stand_in("wsgiref", "util", answer=42):
        import wsgiref.util

        assert wsgiref.util.answer == 42  # type: ignore[attr-defined]
    import wsgiref.util

    assert wsgiref.util.shift_path_info and not hasattr(wsgiref.util, "answer")


def test_what_is_imported_already_stays() -> None:
    import json.decoder

    with stand_in("json", "decoder", JSONDecoder=None):
        assert json.decoder.JSONDecoder is not None


def test_a_package_that_is_not_installed_is_left_alone() -> None:
    with stand_in("no_such_package", "part"):
        assert "no_such_package.part" not in sys.modules
