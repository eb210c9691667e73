"""Runs a fit through Lightning's Trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from chunkygan.lightning.chunk_fit import ChunkFit
from chunkygan.lightning.fit_callbacks import SaveState, StopOnPlateau, Tell
from chunkygan.lightning.trainer import quiet_trainer, ticks
from chunkygan.lightning.tuning import Tuning
from chunkygan.types import Listener

if TYPE_CHECKING:
    from chunkygan.lightning.repainting import Repainting


def run(
    fit: ChunkFit | Tuning | Repainting,
    *,
    listeners: Sequence[Listener] = (),
    patience: int | None = None,
    min_improvement: float = 0.0,
    state: Path | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> None:
    """Fits in place.

    Args:
        listeners: called after every step.
        patience, min_improvement: see `StopOnPlateau`; None: run all steps.
        state: file in which an unfinished fit is kept, and from which it goes on.
        trainer: options of Lightning's Trainer.

    Raises:
        KeyboardInterrupt: the user interrupted; the state is saved.
        ProjectionError: the loss is no number any more.
    """
    callbacks: list[pl.Callback] = [Tell(listeners)]
    if patience:
        callbacks.append(StopOnPlateau(patience, min_improvement))
    if state is not None:
        callbacks.append(SaveState(state))
    resume = state if state is not None and state.exists() else None
    try:
        runner = quiet_trainer(steps=fit.settings.steps, callbacks=callbacks, **(trainer or {}))
        runner.fit(fit, ticks(), ckpt_path=resume, weights_only=True)
    except SystemExit as interrupted:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from interrupted
