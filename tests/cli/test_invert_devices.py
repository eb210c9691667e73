"""`chunkygan invert` on two processes: each picture once, the results of one process, interrupted and gone on with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chunkygan.cli.main import main
from chunkygan.images import write_image
from chunkygan.labels import colour_labels
from chunkygan.projection_file import load_projection

SCRIPT = """
import os, pathlib, signal, sys, threading, time
from chunkygan.cli import main, progress
from chunkygan.picture_job import PictureJob

flags, interrupt, rank = pathlib.Path(os.environ["FLAGS"]), "INTERRUPT" in os.environ, os.environ.get("LOCAL_RANK", "0")
course, show = PictureJob.course, progress.Progress.__call__

def wait(pattern):
    while len(list(flags.glob(pattern))) < 2:
        time.sleep(0.02)

def run_beside_the_other(self, *args, **kwargs):
    (flags / f"began_{rank}").touch()
    wait("began_*")  # so that neither does all the work
    return course(self, *args, **kwargs)

def show_slowly(self, step):
    show(self, step)
    if step.step == 3:
        (flags / f"stepped_{rank}").touch()
        wait("stepped_*")
        if rank == "0":
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)  # until the interruption

PictureJob.course = run_beside_the_other
if interrupt:
    progress.Progress.__call__ = show_slowly
sys.exit(main.main())
"""


@pytest.fixture
def pictures(tiny_run: Path, tiny: Any) -> Path:
    """A folder with five pictures, one of them broken; their painted masks lie above."""
    folder = tiny_run / "pictures"
    rng = torch.Generator().manual_seed(3)
    for i, name in enumerate("abcd"):
        image = tiny.synthesis(tiny.styles(tiny.mapping(torch.randn(1, 16, generator=rng)))).clamp(-1, 1)
        write_image(folder / f"{name}.png", image)
        labels = (torch.arange(32).expand(32, 32) >= 12 + 2 * i).long()
        write_image(tiny_run / f"{name}_masks.png", colour_labels(labels, [(200, 30, 30), (30, 30, 200)]))
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def invert(tiny_run: Path, pictures: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command on the folder, in two processes on one thread each."""
    (tiny_run / "script.py").write_text(SCRIPT)

    def run(out: str, **env: str) -> Any:
        flags = tiny_run / f"flags_{out}"
        flags.mkdir()
        return subprocess.run(
            [sys.executable, str(tiny_run / "script.py"), "invert", *words(tiny_run, out), "trainer.devices=2"],
            env={**os.environ, "OMP_NUM_THREADS": "1", "FLAGS": str(flags), **env},
            capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip

    return run


def words(tiny_run: Path, out: str) -> list[str]:
    recipe = str(tiny_run / "recipe.yaml")
    return [str(tiny_run / "pictures"), "--recipe", recipe, "--out", str(tiny_run / out), "inverter.steps=8"]


def alone(tiny_run: Path, out: str) -> int:
    """The exit code of the command in this process, on one thread: sums of more threads round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return main(["invert", *words(tiny_run, out)])
    finally:
        torch.set_num_threads(threads)


def assert_same_results(one: Path, other: Path) -> None:
    for name in "abcd":
        mine, theirs = (load_projection(out / name / "projection.safetensors") for out in (one, other))
        for a, b in zip([*mine.codes.values, mine.masks], [*theirs.codes.values, theirs.masks]):
            assert torch.equal(a, b)
        for file in ("reconstruction.png", "masks.png"):
            assert (one / name / file).read_bytes() == (other / name / file).read_bytes()
        own = {"seconds": 0, "peak_memory_bytes": 0}
        assert {**mine.metrics, **own} == {**theirs.metrics, **own}


def test_two_processes_share_a_folder_and_end_as_one_would(tiny_run: Path, invert: Callable[..., Any]) -> None:
    done = invert("shared")
    assert done.returncode == 2, done.stderr
    assert "broken.png" in done.stderr and "1 of 5 pictures" in done.stderr and "Traceback" not in done.stderr
    assert sorted(re.findall(r"(\w+)\.png \(\d of 5\) ->", done.stderr)) == ["a", "b", "broken", "c", "d"]
    assert done.stdout.count("results: ") == 4
    assert "4 pictures in" in done.stderr and "on 2 processes" in done.stderr
    assert alone(tiny_run, "alone") == 2
    assert_same_results(tiny_run / "alone", tiny_run / "shared")


@pytest.mark.slow
def test_an_interruption_keeps_what_both_processes_began(
    tiny_run: Path, invert: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted = invert("shared", INTERRUPT="1")
    assert interrupted.returncode == 130, interrupted.stderr
    assert interrupted.stderr.count("what was finished is kept") == 1 and "Traceback" not in interrupted.stderr
    begun = sorted(p.parent.name for p in (tiny_run / "shared").glob("*/projection.ckpt"))
    assert begun == ["a", "b"]  # one of each process
    assert not list((tiny_run / "shared").glob("*/metrics.json"))
    assert alone(tiny_run, "shared") == 2  # one process may go on with it
    assert "step 1/8" in capsys.readouterr().err  # of c and d
    assert alone(tiny_run, "alone") == 2
    assert_same_results(tiny_run / "alone", tiny_run / "shared")
    assert not list((tiny_run / "shared").glob("*/*.ckpt"))
