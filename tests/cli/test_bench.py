"""chunkygan bench, and what the quick commands must not import."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chunkygan.cli.main import main

Capture = pytest.CaptureFixture[str]

HEAVY = (
    "lightning_fabric", "lpips", "numpy", "omegaconf", "PIL", "pytorch_lightning", "requests", "rich", "safetensors",
    "scipy", "sympy", "torch", "torchmetrics", "torchvision",
)  # fmt: skip
"""None of them is needed to say what there is."""


@pytest.mark.parametrize("words", [["--help"], ["list"], ["invert", "--help"], ["bench", "--help"]], ids=" ".join)
def test_quick_commands_import_nothing_heavy(words: list[str], run_python: Callable[..., Any]) -> None:
    code = (
        f"import sys\nfrom chunkygan.cli.main import main\nmain({words!r})\n"
        f"print(*sorted({set(HEAVY)!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = run_python("-c", code)
    assert done.returncode == 0 and done.stderr.strip() == ""


def test_a_small_run_writes_the_report_and_the_history(tmp_path: Path, capsys: Capture) -> None:
    options = ["--resolution", "32", "--chunks", "1", "--masks", "small", "--rounds", "1", "--profile"]
    out, history = tmp_path / "bench.json", tmp_path / "history"
    assert main(["bench", *options, "--out", str(out), "--history", str(history)]) == 0
    shown = capsys.readouterr()
    assert "measuring 32 px, 1 small, w_plus, cpu" in shown.err and "| 32 | 1 | small |" in shown.out
    report = json.loads(out.read_text())
    assert report["results"][0]["plain"] > 0 and report["profiles"][0]["parts"]["generator"] > 0
    assert report["lightning"][0]["seconds_step"] > 0 and "torch" in report["versions"]
    assert {file.suffix for file in history.iterdir()} == {".json", ".md", ".svg"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "0"], "--rounds must be 1 or more; got 0"),
        (["--masks", "hair"], "--masks must be of face, small, soft; got 'hair'"),
        (["--precision", "8"], "--precision must be of 32-true, bf16-mixed; got '8'"),
    ],
)
def test_options_that_cannot_be_are_told_before_anything_is_measured(
    options: list[str], message: str, capsys: Capture
) -> None:
    assert main(["bench", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_head_is_measured_beside_its_full_stack(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "head.json"
    assert main(["bench", "--head", "--resolution", "16", "--rounds", "1", "--out", str(out)]) == 0
    (row,) = json.loads(out.read_text())
    assert row["resolution"] == 16 and row["ours"] > 0 and row["plain"] > 0
    assert "| 16 |" in capsys.readouterr().out
