"""The pictures of a batch while they are fitted: who hears of each, when it ends, and where it is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from chunkygan.errors import ProjectionError
from chunkygan.lightning.batch_fit import BatchFit
from chunkygan.lightning.batch_state import save_state
from chunkygan.lightning.chunk_fit import ChunkFit
from chunkygan.types import Listener, Segments, Step

UNHEARD = 10  # steps after which the losses of a fit are read that nobody listens to


@dataclass
class Member:
    """One picture of a batch.

    Args:
        fit: what is fitted.
        listeners: called after every step.
        state: file in which it is kept as long as it is unfinished.
        patience, min_improvement: see `on_plateau`; None: it runs all steps.

    Attributes:
        stopped: whether it is to do no more steps.
        error: what has made it leave.
    """

    fit: ChunkFit
    listeners: Sequence[Listener] = ()
    state: Path | None = None
    patience: int | None = None
    min_improvement: float = 0.0
    stopped: bool = False
    error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has nothing more to do."""
        return self.stopped or self.error is not None or self.fit.steps_left <= 0

    @property
    def wants_losses(self) -> bool:
        """Whether its losses are to be read after this step; reading makes the host wait for the device."""
        return bool(self.listeners) or self.fit.steps_left <= 0 or len(self.fit.history) % UNHEARD == 0

    def hear(self, losses: dict[str, float]) -> None:
        """Tells the listeners of a step; what they raise, and losses that are no numbers, make it leave."""
        done = len(self.fit.history)
        if not math.isfinite(losses["total"]):
            reason = f"the fit left the numbers at step {done} ({losses}); try a smaller inverter.lr"
            self.error = ProjectionError(reason)
            return
        step = Step(done, self.fit.settings.steps, losses, self._preview, self._stop, self._segments)
        try:
            for listener in self.listeners:
                listener(step)
        except Exception as error:
            self.error = error

    def look_for_plateau(self) -> None:
        """Stops it where it hardly gets better."""
        if self.patience and on_plateau(self.fit.history, self.patience, self.min_improvement):
            self.stopped = True

    def keep(self) -> None:
        """Writes its state, where there is a file for it."""
        if self.state is not None and self.error is None:
            save_state(self.state, self.fit, stopped=self.stopped)

    def _stop(self) -> None:
        self.stopped = True

    @torch.no_grad()
    def _preview(self) -> torch.Tensor:
        return self.fit.composite().clamp(-1, 1).cpu()

    @torch.no_grad()
    def _segments(self) -> Segments:
        return self.fit.segments()


def on_plateau(history: Sequence[dict[str, torch.Tensor]], patience: int, min_improvement: float) -> bool:
    """Whether the mean loss of `patience` steps beats that of as many before by no more than a share.

    Asked after every step; it is looked at every `patience` steps.
    """
    if len(history) < 2 * patience or len(history) % patience:
        return False
    totals = [float(row["total"]) for row in history[-2 * patience :]]
    before, after = sum(totals[:patience]), sum(totals[patience:])
    return after >= before * (1 - min_improvement)  # also where nothing is left to gain


class Attend(pl.Callback):
    """Attends to the members after every step; ends the round when one has nothing more to do.

    Args:
        every: seconds after which unfinished fits are written.
    """

    def __init__(self, members: Sequence[Member], every: float = 20.0) -> None:
        self.members, self.every = members, every
        self._kept = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        for member, losses in self._losses():
            member.hear(losses)
        for member in self.members:
            member.look_for_plateau()
        if any(member.is_over for member in self.members):
            trainer.should_stop = True
        if time.monotonic() - self._kept > self.every:
            self._keep(pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            self._keep(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        pl_module.keep_memory()

    def _losses(self) -> list[tuple[Member, dict[str, float]]]:
        """Of the members that want them, in one transfer."""
        wanting = [member for member in self.members if member.wants_losses]
        rows = [member.fit.history[-1] for member in wanting]
        if not rows:
            return []
        values = iter(torch.stack([value for row in rows for value in row.values()]).tolist())
        return [(member, {name: next(values) for name in row}) for member, row in zip(wanting, rows)]

    def _keep(self, module: BatchFit) -> None:
        module.keep_memory()
        for member in self.members:
            member.keep()
        self._kept = time.monotonic()
