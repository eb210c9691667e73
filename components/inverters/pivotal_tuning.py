"""A generator tuned to one picture, around the codes that another inverter found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.components.inverters.tuned_fit import beside, drawn, in_spaces, smallest_changes
from chunkygan.errors import ProjectionError
from chunkygan.interfaces import Generator, Inverter, MaskGenerator, Perceptual
from chunkygan.lightning import fitting
from chunkygan.lightning.tuning import Pivot, Tuning, TuningSettings, seen_by
from chunkygan.objective import l2
from chunkygan.shapes import check_shape
from chunkygan.signatures import Part
from chunkygan.types import Fit, Listener, Segments, Spec, WeightChanges
from chunkygan.weight_changes import tuned
from chunkygan.wording import did_you_mean, known

FRUGAL_PIXELS = 4_000_000  # chunks times pixels above which activations are not kept, as for `optimization`

PEERS_STOP = {"lpips_alex": 0.06}
"""Perceptual network -> the distance at which tuning ends unless told otherwise."""


class PivotalTuning(Inverter):
    """Tunes a copy of the generator until the codes draw the picture, and keeps the compact difference of its weights.

    Args:
        before: the inverter that finds the codes, ``{name: optimization, steps: 200}``; null: ``optimization`` where
            there is no start to begin from.
        steps: optimiser steps at most.
        lr: Adam's step size.
        perceptual, l2: weights of the perceptual distance and of the mean squared difference.
        stop_at: ends when the perceptual distance is this small, on the scale of its network; null: the peers' 0.06
            with theirs, LPIPS of AlexNet, and never with another.
        chunks: names of the chunks whose area the loss sees; empty: all.
        locality: weight of what the tuned generator draws otherwise than the generator near the codes; 0: none, as
            the peers have it; they use 0.1 where they use it. Doubles the time.
        locality_distance: how near: root mean square over the coordinates, in standard deviations of the space.
        rank: of the stored difference of each weight at most; null: the smallest that keeps `keep`.
        keep: share of what tuning has gained that the stored difference must keep.

    Source: Roich et al., Pivotal Tuning (2021); numbers of danielroich/PTI but for `locality_distance`, which there is
    30 over 18 x 512 coordinates of W+ (0.31 each), and `rank` and `keep`, which are this project's.
    """

    def __init__(
        self,
        before: Annotated[dict[str, Any], Part("inverter")] | None = None,
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
        self.stop_at = stop_at
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
        check_shape(target, "1 3 h w", name="target", h=generator.resolution[0], w=generator.resolution[1])
        unknown = [name for name in self.chunks if name not in mask_generator.names]
        if unknown:
            names = mask_generator.names
            raise ProjectionError(
                f"inverter.chunks: no chunk '{unknown[0]}'; {known(names)}{did_you_mean(unknown[0], names)}"
            )
        fit = start
        if fit is None or self.runs_before:
            fit = self.before.project(
                target, generator=generator, spaces=spaces, mask_generator=mask_generator, perceptual=perceptual,
                start=start, seed=seed, listeners=listeners, state=beside(state),
            )  # fmt: skip
        fit = in_spaces(fit, generator, spaces, mask_generator)
        pivot = Pivot(target, fit.codes, fit.segments, fit.noise, seen_by(fit.segments, self.chunks))
        settings = self._settings(fit.segments, perceptual.name)
        tuning = Tuning(pivot, tuned(generator, fit.weight_changes), generator, perceptual, settings, seed=seed)
        fitting.run(tuning, listeners=listeners, state=state, trainer=self.trainer)
        if (left := beside(state)) is not None:
            left.unlink(missing_ok=True)
        changes = self._packed(tuning, generator, perceptual)
        history = tuple({name: float(value) for name, value in row.items()} for row in tuning.history)
        return replace(fit, weight_changes=changes, history=(*fit.history, *history), steps=fit.steps + len(history))

    def _settings(self, segments: Segments, network: str) -> TuningSettings:
        stop_at = PEERS_STOP.get(network, 0.0) if self.stop_at is None else self.stop_at
        frugal = float((segments.masks > 0).sum()) > FRUGAL_PIXELS
        return TuningSettings(**self.settings, stop_at=stop_at, frugal=frugal)  # type: ignore[arg-type]

    def _packed(self, tuning: Tuning, generator: Generator, perceptual: Perceptual) -> WeightChanges:
        """The smallest difference that keeps the share of the gain that is asked for."""

        def loss(drawer: Generator) -> float:
            image = drawn(tuning.pivot, drawer)
            goal = tuning.pivot.target.to(image)
            if tuning.pivot.seen is not None:
                image = torch.lerp(goal, image, tuning.pivot.seen.to(image))
            weights = tuning.settings.weights
            return float(weights["perceptual"] * perceptual(image, goal) + weights["l2"] * l2(image, goal))

        return smallest_changes(generator, tuning.generator, loss, rank=self.rank, keep=self.keep)
