"""A supervised training on two processes: they share pictures and gradients, and end with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import sys, pathlib
from chunkygan._torchvision import ensure_importable
ensure_importable()
import torch
torch.set_num_threads(1)
from chunkygan.components.datasets.procfaces import ProcFaces
from chunkygan.lightning import generator_training, mapping_training
from chunkygan.lightning.generator_training import GeneratorTraining, _Keep

folder, seen = pathlib.Path(sys.argv[1]), []
mapping_training.SAMPLED = 200
def tell(self, trainer, module):
    torch.save({**module.state_dict(), "seen": torch.stack(seen)}, folder / f"process_{module.global_rank}.pt")
_Keep.on_train_end = tell
batch = GeneratorTraining.batch
def noted(self):
    found = batch(self)
    seen.append(found["z"])
    return found
GeneratorTraining.batch = noted
generator_training.train(
    ProcFaces(16, count=12, supersampling=1), folder / "run", 0, sizes=[16], steps=[4], batches=[4], first_items=8,
    item_growth=1, generator=dict(w_dim=8, mapping_layers=2, channels=[8, 8, 4]), save_every=2, held_out=2,
    mapping_steps=3, traits=0.1, compared=4, trainer=dict(accelerator="cpu", devices=2),
    perceptual=dict(name="lpips", net="procfaces", weights="procfaces_128_perceptual"),
)
"""


@pytest.mark.slow
def test_two_processes_see_other_pictures_and_end_with_equal_weights(
    tmp_path: Path, run_python: Callable[..., Any]
) -> None:
    import torch

    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_python(str(tmp_path / "script.py"), str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / f"process_{rank}.pt", weights_only=True) for rank in range(2))
    assert one["seen"].shape == (4, 2, 64) and not torch.equal(one.pop("seen"), other.pop("seen"))
    own = {"average.map.w_avg"}  # the first process alone writes weights, and their mean of W
    assert all(torch.equal(value, other[name]) for name, value in one.items() if name not in own)
    lines = dict(line.split() for line in (tmp_path / "run" / "scores.txt").read_text().splitlines())
    assert float(lines["l1"]) > 0 and float(lines["frechet_procfaces"]) > float(lines["frechet_procfaces_floor"]) > 0
