"""Several pictures fitted at once, as a LightningModule: they share the drawing, the look, the optimiser, no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from chunkygan.interfaces import Generator, Perceptual
from chunkygan.lightning.batch_drawing import drawn_together, side_by_side
from chunkygan.lightning.chunk_fit import ChunkFit
from chunkygan.lightning.fit_settings import Settings
from chunkygan.lightning.views import View, view_of
from chunkygan.memory import fitting_mode


class BatchFit(pl.LightningModule):
    """Fits that take their steps together. Each has its own codes, masks, clock and history.

    Adam works number by number and the loss is the sum of all, so that every fit goes the way that it would go alone,
    to rounding; one that leaves the numbers does not touch the others.

    Args:
        fits: of one generator, perceptual distance and settings; their steps may differ, as after an interruption.
    """

    def __init__(self, fits: Sequence[ChunkFit]) -> None:
        super().__init__()
        self.fits = nn.ModuleList(fits)
        self.frugal = False
        self._views: dict[tuple[int | None, ...], View] = {}

    @property
    def members(self) -> list[ChunkFit]:
        """The fits."""
        return list(self.fits)  # type: ignore[arg-type]

    @property
    def settings(self) -> Settings:
        """Of all fits."""
        return self.members[0].settings

    @property
    def generator(self) -> Generator:
        """Of all fits."""
        return self.members[0].problem.generator

    @property
    def perceptual(self) -> Perceptual:
        """Of all fits."""
        return self.members[0].problem.perceptual

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return torch.stack([fit.recorded(terms) for fit, terms in zip(self.members, self.terms())]).sum()

    def terms(self) -> list[dict[str, Tensor]]:
        """Each fit's terms of the objective in its next step; those that draw at one size are drawn together."""
        sizes = [fit.size() for fit in self.members]
        found: dict[int, dict[str, Tensor]] = {}
        for size in dict.fromkeys(sizes):
            places = [i for i, own in enumerate(sizes) if own == size]
            found.update(zip(places, self._terms_at(size, places)))
        return [found[i] for i in range(len(sizes))]

    def configure_optimizers(self) -> Any:
        groups, rates = zip(*(pair for fit in self.members for pair in fit.trained()))
        optimizer = torch.optim.Adam(groups, betas=self.settings.betas, fused=self.device.type in ("cpu", "cuda"))
        remembered = [memory for fit in self.members for memory in _memory_of(fit)]
        if any(remembered):
            state = {place: memory for place, memory in enumerate(remembered) if memory}
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        factor = torch.optim.lr_scheduler.LambdaLR(optimizer, [partial(_of_own_clock, rate) for rate in rates])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": factor, "interval": "step"}}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        for fit in self.members:
            fit.after_step()

    def on_fit_start(self) -> None:
        for fit in self.members:
            fit.hold_on(self.device)
        self._views = {}
        self.frugal = self._is_frugal()

    def keep_memory(self) -> None:
        """Gives each fit what the optimiser remembers of its parameters, for the next fit or a file."""
        optimizer = self.trainer.optimizers[0]
        for fit in self.members:
            fit.adam = [dict(optimizer.state.get(p, {})) for group, _ in fit.trained() for p in group["params"]]

    def _terms_at(self, size: int | None, places: Sequence[int]) -> list[dict[str, Tensor]]:
        fits, view = [self.members[i] for i in places], self._view(size, places)
        sketches = [fit.sketch(size, noisy=True) for fit in fits]
        drawn = drawn_together(self.generator, sketches, view.target, frugal=self.frugal, size=size)
        distances: Sequence[Tensor | None] = [None] * len(fits)
        if self.settings.weights["perceptual"]:
            distances = view.distance(torch.cat([one.image for one in drawn]), self.perceptual).unbind()
        return [fit.terms(*parts) for fit, *parts in zip(fits, drawn, view.target.split(1), distances)]

    def _view(self, size: int | None, places: Sequence[int]) -> View:
        """What some of the fits look at, at a size."""
        key = (size, *places)
        if key not in self._views:
            with torch.no_grad():
                targets = torch.cat([self.members[i].problem.target for i in places])
                self._views[key] = view_of(targets, self.perceptual, size, self.settings.perceptual_size)
        return self._views[key]

    def _is_frugal(self) -> bool:
        """Whether chunks are drawn once more in the backward pass; what is free tells where the settings do not."""
        if self.settings.frugal is not None:
            return self.settings.frugal
        shown = [fit.segments() for fit in self.members]
        covers = [fit.cover(segments) for fit, segments in zip(self.members, shown)]
        cover = side_by_side(covers, [len(segments.names) for segments in shown])
        pictures = len(self.members)
        mode = fitting_mode(self.generator, cover, self.device, perceptual=self.perceptual, pictures=pictures)
        return mode == "frugal"


def _of_own_clock(rate: Callable[[], float], step: int) -> float:
    """A rate by the steps that its fit has done, whatever the trainer counts."""
    return rate()


def _memory_of(fit: ChunkFit) -> list[dict[str, Any]]:
    """What the optimiser remembers of each of a fit's parameters; empty where it has not seen them."""
    return fit.adam or [{} for group, _ in fit.trained() for _ in group["params"]]
