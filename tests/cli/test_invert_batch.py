"""`chunkygan invert folder/ batch=N`: the results of one picture at a time, failures and interruptions included."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chunkygan.cli.main import main
from chunkygan.images import write_image
from chunkygan.labels import colour_labels
from chunkygan.projection_file import load_projection

NAMES = "abc"


@pytest.fixture
def invert(tiny_run: Path, tiny: Any) -> Callable[..., int]:
    """Runs the command on a folder with three pictures and, second of all, a broken one; masks lie above."""
    rng = torch.Generator().manual_seed(3)
    for i, name in enumerate(NAMES):
        image = tiny.synthesis(tiny.styles(tiny.mapping(torch.randn(1, 16, generator=rng)))).clamp(-1, 1)
        write_image(tiny_run / "pictures" / f"{name}.png", image)
        labels = (torch.arange(32).expand(32, 32) >= 12 + 2 * i).long()
        write_image(tiny_run / f"{name}_masks.png", colour_labels(labels, [(200, 30, 30), (30, 30, 200)]))
    (tiny_run / "pictures" / "aa.png").write_bytes(b"no picture")

    recipe = tiny_run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("steps: 2", "steps: 5"))

    def run(out: str, *words: str) -> int:
        folder = str(tiny_run / "pictures")
        return main(["invert", folder, "--recipe", str(recipe), "--out", str(tiny_run / out), *words])

    return run


def assert_same(one: Path, other: Path) -> None:
    for name in NAMES:
        mine, theirs = (load_projection(out / name / "projection.safetensors") for out in (one, other))
        for a, b in zip(mine.codes.values, theirs.codes.values):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
        assert {p.name for p in (one / name).iterdir()} == {p.name for p in (other / name).iterdir()}
        own = {"seconds", "peak_memory_bytes"}
        assert mine.metrics.keys() == theirs.metrics.keys()
        assert {k: v for k, v in mine.metrics.items() if k not in own} == pytest.approx(
            {k: v for k, v in theirs.metrics.items() if k not in own}, rel=1e-3
        )


def test_a_batch_writes_what_one_after_the_other_writes(tiny_run, invert, capsys):
    assert invert("alone", "output.baseline=true") == 2
    capsys.readouterr()
    assert invert("batch", "output.baseline=true", "batch=4") == 2
    said = capsys.readouterr()
    assert_same(tiny_run / "alone", tiny_run / "batch")
    assert "aa.png" in said.err and "1 of 4 pictures" in said.err and "Traceback" not in said.err
    assert re.findall(r"(\w)\.png \(\d of 4\)\n", said.out) == list(NAMES)
    assert "a.png: chunks: step 1/5" in said.err and "c.png: global: step 5/5" in said.err
    assert json.loads((tiny_run / "batch" / "b" / "metrics.json").read_text())["steps"] == 5


def test_an_interrupted_batch_goes_on_with_another_size_and_repeats_nothing(tiny_run, invert, monkeypatch, capsys):
    from chunkygan.cli.progress import Progress

    show = Progress.__call__

    def interrupting(self: Progress, step: Any) -> None:
        show(self, step)
        if self.title.startswith("b") and step.step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "__call__", interrupting)
        assert invert("out", "batch=4") == 130
    assert {p.parent.name for p in (tiny_run / "out").glob("*/projection.ckpt")} == set(NAMES)
    capsys.readouterr()
    assert invert("out", "batch=2") == 2
    assert "step 1/5" not in capsys.readouterr().err
    assert not list((tiny_run / "out").glob("*/*.ckpt"))
    assert invert("alone") == 2
    assert_same(tiny_run / "alone", tiny_run / "out")
    capsys.readouterr()
    assert invert("out", "batch=3") == 2 and capsys.readouterr().out.count("(done already)") == 3


def test_seconds_of_a_batch_add_up_to_its_time(tiny_run, invert):
    began = time.monotonic()
    invert("out", "batch=4", "output.report=false")
    took = time.monotonic() - began
    parts = [json.loads((tiny_run / "out" / name / "metrics.json").read_text())["seconds"] for name in NAMES]
    assert 0 < sum(parts) <= took + 0.02  # each is rounded to hundredths
    assert max(parts) - min(parts) < 0.015


def test_inverters_that_fit_one_at_a_time_say_so(tiny_run, invert, capsys):
    inverter = "{name: pivotal_tuning, steps: 1, before: {name: optimization, steps: 1}}"
    recipe = tiny_run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("{name: optimization, steps: 5, l2: 0.5}", inverter))
    invert("out", "batch=2", "output.report=false")
    assert "batch: pivotal_tuning fits one picture at a time" in capsys.readouterr().err


def test_a_batch_of_none_is_refused(tiny_run, invert, capsys):
    assert invert("out", "batch=0") == 2
    assert "batch: must be 1 or more" in capsys.readouterr().err
