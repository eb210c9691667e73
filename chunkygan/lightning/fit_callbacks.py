"""What watches a fit that goes alone: listeners, and its saved state."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from chunkygan.errors import ProjectionError
from chunkygan.types import Listener, Segments, Step

if TYPE_CHECKING:
    from chunkygan.lightning.repainting import Repainting
    from chunkygan.lightning.tuning import Tuning


class Tell(pl.Callback):
    """Tells listeners of every step, and ends a fit that has left the numbers."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = list(listeners)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        fit: Tuning | Repainting = pl_module
        done = len(fit.history)
        if not self.listeners and done % 10:  # reading a loss makes the host wait for the device
            return
        losses = {name: float(value) for name, value in fit.history[-1].items()}
        if not math.isfinite(losses["total"]):
            raise ProjectionError(f"the fit left the numbers at step {done} ({losses}); try a smaller inverter.lr")

        def stop() -> None:
            trainer.should_stop = True

        for listener in self.listeners:
            listener(Step(done, fit.settings.steps, losses, lambda: _preview(fit), stop, lambda: _segments(fit)))


class SaveState(pl.Callback):
    """Keeps an unfinished fit in a file, every few seconds and when it is interrupted."""

    def __init__(self, path: Path, every: float = 20.0) -> None:
        self.path, self.every = path, every
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if time.monotonic() - self._saved > self.every:
            self._save(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        part = self.path.with_name(self.path.name + ".part")
        trainer.save_checkpoint(part)
        os.replace(part, self.path)
        self._saved = time.monotonic()


@torch.no_grad()
def _segments(fit: Tuning | Repainting) -> Segments:
    return fit.segments()


@torch.no_grad()
def _preview(fit: Tuning | Repainting) -> Tensor:
    return fit.composite().clamp(-1, 1).cpu()
