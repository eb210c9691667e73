"""Small trainings that a kill cannot spoil, and what they all do to pictures before they look at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.files import atomic_write
from chunkygan.lightning.generator_schedule import rate_at
from chunkygan.lightning.trainer import quiet_trainer, ticks


class KeepState(pl.Callback):
    """Writes everything a training needs to go on exactly, every so many steps, whole or not at all."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step % self.every == 0:
            trainer.save_checkpoint(self.path.with_suffix(".part"))
            self.path.with_suffix(".part").replace(self.path)


def fit(module: pl.LightningModule, state: Path, *, steps: int, every: int, options: dict[str, Any] | None) -> None:
    """Trains a module that draws its own batches by step; goes on from `state` where that file exists.

    Args:
        options: of Lightning's Trainer.
    """
    trainer = quiet_trainer(steps=steps, callbacks=[KeepState(state, every)], **(options or {}))
    trainer.fit(module, ticks(), ckpt_path=state if state.exists() else None, weights_only=False)


def falling_rate(module: nn.Module, rate: float, steps: int, *, warm_up: int = 100) -> dict[str, Any]:
    """Adam, its rate rising over a few steps and falling to a hundredth over the last 70 %."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_at(step, steps, warm_up=warm_up, decay=0.7)
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def roughened(images: Tensor, seed: int, step: int) -> Tensor:
    """Pictures (n, 3, h, w), three of four of them a little blurred or noisy, as generators and fits draw them.

    A function of seed and step, so that a resumed training sees the same.
    """
    random = torch.Generator().manual_seed(seed * 1_000_003 + step)
    blurred = torch.rand(len(images), 1, 1, 1, generator=random).mul(2).sub(1).clamp(min=0).to(images)
    grain = torch.rand(len(images), 1, 1, 1, generator=random).sub(0.5).clamp(min=0).mul(0.2).to(images)
    smooth = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    noise = torch.randn(images.shape, generator=random).to(images)
    return images + blurred * (smooth - images) + grain * noise


def told(step: int, losses: dict[str, Tensor], every: int = 100) -> None:
    """Prints the losses now and then."""
    if step % every == 0:
        print(f"step {step} " + " ".join(f"{k} {float(v.detach()):.4f}" for k, v in losses.items()), flush=True)


def write_scores(path: Path, scores: dict[str, float]) -> None:
    """Writes one line a score, its name and four decimals."""
    text = "".join(f"{name} {value:.4f}\n" for name, value in scores.items())
    atomic_write(path, lambda file: file.write(text.encode()))
