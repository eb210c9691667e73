"""A generator tuned to a picture, or to several of one person, around the codes that another inverter found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.components.inverters.optimization import FEW_PIXELS
from chunkygan.components.inverters.tuned_fit import beside, drawn, in_spaces, smallest_changes
from chunkygan.errors import ProjectionError
from chunkygan.interfaces import Generator, Inverter, MaskGenerator, Perceptual, SharingInverter
from chunkygan.lightning import fitting
from chunkygan.lightning.tuning import Pivot, Tuning, TuningSettings, seen_by
from chunkygan.objective import l2
from chunkygan.shapes import check_shape
from chunkygan.signatures import Part
from chunkygan.types import Fit, Listener, Segments, Spec, WeightChanges
from chunkygan.weight_changes import tuned
from chunkygan.wording import did_you_mean, known

PEERS_STOP = {"lpips_alex": 0.06}
"""Perceptual network -> the distance at which tuning ends unless told otherwise."""


class PivotalTuning(SharingInverter):
    """Tunes a copy of the generator until the codes draw the picture, and keeps the compact difference of its weights.

    Args:
        before: the inverter that finds the codes, ``{name: optimization, steps: 200}``; null: ``optimization`` where
            there is no start to begin from.
        together: the pictures of a run share one copy, which is tuned to them in turn; each picture's projection keeps
            the whole difference. False: a copy for each.
        steps: optimiser steps at most, for each picture.
        lr: Adam's step size.
        perceptual, l2: weights of the perceptual distance and of the mean squared difference.
        stop_at: ends when the perceptual distance, of every picture, is this small on the scale of its network; null:
            the peers' 0.06 with theirs, LPIPS of AlexNet, and never with another.
        chunks: names of the chunks whose area the loss sees; empty: all.
        locality: weight of what the tuned generator draws otherwise than the generator near the codes; 0: none, as
            the peers have it; they use 0.1 where they use it. Doubles the time.
        locality_distance: how near: root mean square over the coordinates, in standard deviations of the space.
        rank: of the stored difference of each weight at most; null: the smallest that keeps `keep`.
        keep: share of what tuning has gained that the stored difference must keep.

    Source: Roich et al., Pivotal Tuning (2021); numbers of danielroich/PTI, pictures in turn as there, but for
    `locality_distance`, which there is 30 over 18 x 512 coordinates of W+ (0.31 each). `rank` and `keep` are this
    project's, and so is `stop_at` of several pictures.
    """

    def __init__(
        self,
        before: Annotated[dict[str, Any], Part("inverter")] | None = None,
        together: bool = False,
        steps: int = 350,
        lr: float = 3e-4,
        perceptual: float = 1.0,
        l2: float = 1.0,
        stop_at: float | None = None,
        chunks: Sequence[str] = (),
        locality: float = 0.0,
        locality_distance: float = 0.75,
        rank: int | None = None,
        keep: float = 0.95,
        generator: Generator | None = None,
        seed: int = 0,
        trainer: dict[str, Any] | None = None,
    ) -> None:
        own = dict(before or {"name": "optimization"})
        self.before: Inverter = create("inverter", own, generator=generator, seed=seed, trainer=trainer or {})
        self.runs_before = before is not None
        self.settings = dict(
            steps=steps, lr=lr, perceptual=perceptual, l2=l2, locality=locality, locality_distance=locality_distance,
        )  # fmt: skip
        self.stop_at, self.together = stop_at, together
        self.chunks, self.rank, self.keep = tuple(chunks), rank, keep
        self.trainer = trainer or {}

    def project(
        self,
        target: Tensor,
        *,
        generator: Generator,
        spaces: Sequence[Spec],
        mask_generator: MaskGenerator,
        perceptual: Perceptual,
        start: Fit | None = None,
        seed: int = 0,
        listeners: Sequence[Listener] = (),
        state: Path | None = None,
    ) -> Fit:
        fit = self.own_part(
            target, generator=generator, spaces=spaces, mask_generator=mask_generator, perceptual=perceptual,
            start=start, seed=seed, listeners=listeners, state=beside(state),
        )  # fmt: skip
        (tuned_fit,) = self.shared_part(
            [target], [fit], generator=generator, perceptual=perceptual, seed=seed, listeners=listeners, state=state
        )
        if (left := beside(state)) is not None:
            left.unlink(missing_ok=True)
        return tuned_fit

    def own_part(
        self,
        target: Tensor,
        *,
        generator: Generator,
        spaces: Sequence[Spec],
        mask_generator: MaskGenerator,
        perceptual: Perceptual,
        start: Fit | None = None,
        seed: int = 0,
        listeners: Sequence[Listener] = (),
        state: Path | None = None,
    ) -> Fit:
        """The pivot: codes of the inverter before, in the spaces asked for."""
        check_shape(target, "1 3 h w", name="target", h=generator.resolution[0], w=generator.resolution[1])
        names = mask_generator.names
        if unknown := [name for name in self.chunks if name not in names]:
            raise ProjectionError(
                f"inverter.chunks: no chunk '{unknown[0]}'; {known(names)}{did_you_mean(unknown[0], names)}"
            )
        fit = start
        if fit is None or self.runs_before:
            fit = self.before.project(
                target, generator=generator, spaces=spaces, mask_generator=mask_generator, perceptual=perceptual,
                start=start, seed=seed, listeners=listeners, state=state,
            )  # fmt: skip
        return in_spaces(fit, generator, spaces, mask_generator)

    def shared_part(
        self,
        targets: Sequence[Tensor],
        fits: Sequence[Fit],
        *,
        generator: Generator,
        perceptual: Perceptual,
        seed: int = 0,
        listeners: Sequence[Listener] = (),
        state: Path | None = None,
    ) -> list[Fit]:
        """The fits with one tuned copy's weight changes, and what their own turns have told.

        Raises:
            ProjectionError: several fits that have changed the generator each in its own way, or the loss has left the
                numbers.
        """
        begin = fits[0].weight_changes
        if any(fit.weight_changes is not begin for fit in fits):
            raise ProjectionError("the pictures' generators are changed already, each in its own way: no copy fits all")
        pivots = [
            Pivot(target, fit.codes, fit.segments, fit.noise, seen_by(fit.segments, self.chunks))
            for target, fit in zip(targets, fits)
        ]
        settings = self._settings([fit.segments for fit in fits], perceptual.name)
        tuning = Tuning(pivots, tuned(generator, begin), generator, perceptual, settings, seed=seed)
        fitting.run(tuning, listeners=listeners, state=state, trainer=self.trainer)
        changes = self._packed(tuning, generator, perceptual)
        history = [{name: float(value) for name, value in row.items()} for row in tuning.history]
        return [_with(fit, changes, history[i :: len(fits)]) for i, fit in enumerate(fits)]

    def _settings(self, segments: Sequence[Segments], network: str) -> TuningSettings:
        stop_at = PEERS_STOP.get(network, 0.0) if self.stop_at is None else self.stop_at
        few = max(float((one.masks > 0).sum()) for one in segments) <= FEW_PIXELS
        options: dict[str, Any] = {**self.settings, "steps": self.settings["steps"] * len(segments)}
        return TuningSettings(**options, stop_at=stop_at, frugal=False if few else None)

    def _packed(self, tuning: Tuning, generator: Generator, perceptual: Perceptual) -> WeightChanges:
        """The smallest difference that keeps the share of the gain, over all pictures, that is asked for."""
        weights = tuning.settings.weights

        def loss(drawer: Generator) -> float:
            total = 0.0
            for pivot in tuning.pivots:
                image = drawn(pivot, drawer)
                goal = pivot.target.to(image)
                if pivot.seen is not None:
                    image = torch.lerp(goal, image, pivot.seen.to(image))
                total += float(weights["perceptual"] * perceptual(image, goal) + weights["l2"] * l2(image, goal))
            return total

        return smallest_changes(generator, tuning.generator, loss, rank=self.rank, keep=self.keep)


def _with(fit: Fit, changes: WeightChanges, history: Sequence[dict[str, float]]) -> Fit:
    return replace(fit, weight_changes=changes, history=(*fit.history, *history), steps=fit.steps + len(history))
