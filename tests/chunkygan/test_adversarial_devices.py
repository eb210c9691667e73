"""Adversarial training on two processes: they share gradients and end with the same weights."""

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
from chunkygan.lightning import adversarial_run
from chunkygan.lightning.adversarial_run import _Keep

folder, devices = pathlib.Path(sys.argv[1]), int(sys.argv[2])
sizes = dict(channels=[8, 8, 4])
def tell(self, trainer, module):
    kept = {**module.state_dict(), "p": torch.tensor(module.p)}
    torch.save(kept, folder / f"of_{devices}_process_{module.global_rank}.pt")
_Keep.on_train_end = tell
adversarial_run.train(
    ProcFaces(16, count=12, supersampling=1), folder / f"run_{devices}", 0, pictures=40, batch=8, first_items=8,
    item_growth=1, generator=dict(z_dim=8, w_dim=8, mapping_layers=2, **sizes), augment_p=0.5, augment_span=64,
    discriminator=dict(name="stylegan2", **sizes), save_every=3,
    trainer=dict(accelerator="cpu", devices=devices),
)
"""


@pytest.mark.slow
def test_two_processes_end_with_equal_weights(tmp_path: Path, run_python: Callable[..., Any]) -> None:
    import torch

    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_python(str(tmp_path / "script.py"), str(tmp_path), "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / f"of_2_process_{rank}.pt", weights_only=True) for rank in range(2))
    # Each process counts its own pictures until they are averaged; the first alone writes weights, and their mean of W.
    own = {"signs", "average.map.w_avg"}
    assert all(torch.equal(value, other[name]) for name, value in one.items() if name not in own)
    assert float(one["p"]) != 0.5 and float(one["mean_length"]) > 0
    kept = torch.load(tmp_path / "run_2" / "state.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(kept["generator.map.fc0.weight"], one["generator.map.fc0.weight"])
