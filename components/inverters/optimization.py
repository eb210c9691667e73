"""Codes of all chunks found jointly by gradient descent on Eq. 2."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from chunkygan.components.inverters.start import (
    bank_codes,
    bank_of,
    converted_codes,
    mean_codes,
    regressed_codes,
)
from chunkygan.errors import ProjectionError, RecipeError
from chunkygan.interfaces import FitRequest, Generator, Inverter, LatentSpace, MaskGenerator, Perceptual
from chunkygan.lightning import fitting
from chunkygan.lightning.batch_members import Member
from chunkygan.lightning.chunk_fit import ChunkFit, Problem, Settings
from chunkygan.shapes import check_shape
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Fit, Listener, Segments, Spec

FEW_PIXELS = 500_000  # that chunks draw together, up to which activations are kept without asking: some 100 MiB


class Optimization(Inverter):
    """Adam on the codes of all chunks, and on the masks where they can move.

    Args:
        steps: optimiser steps.
        lr: step size of the codes, in standard deviations of their latent space.
        mask_lr: step size of the mask generator's own code, in standard deviations.
        masks_join, masks_freeze: shares of the steps between which masks move, where they can (`seghead`).
        mask_every: of these steps, masks move in every so manyth and rest in the others, which cost much less.
        mask_threshold: a moving mask at or below it is not drawn, which saves time; of n chunks, no channel of the
            composite changes by more than 2 (n - 1) times it. 0 is exact.
        mask_guard: weight of what a chunk costs that shrinks below `mask_keep` of its first area.
        mask_keep: see there; a chunk that ends below a third of this share is warned of.
        rampup, rampdown: shares of the steps in which the step size rises and falls.
        betas: Adam's memory of the gradient and of its square; shorter ones suit fits of few steps.
        start: ``"mean"``; ``"bank"``: for every chunk the best of `bank_samples` samples; or ``"regression"``: for
            every chunk what ridge regression over these samples predicts, if that is nearer than the best of them.
        bank_samples, bank_truncation: how many samples, and how far they are pulled to the mean.
        latent_noise: noise on the codes at the first step, in standard deviations; fades out.
        latent_noise_until: share of the steps after which it is gone.
        perceptual, l2: weights of the perceptual distance and of the mean squared difference.
        dispersion: weight of the codes' spread, lambda_reg of Eq. 2 (the paper: 0 or 1).
        coherence: weight of what chunks disagree by where their masks overlap, in the unit of l2: with 1
            beside ``l2: 1`` every chunk, not only their blend, has to come near the picture in all of its mask. Not
            in the paper.
        fit_noise: fit the generator's noise maps too; they are saved with the projection.
        noise_regularisation: weight of their self-correlation.
        patience: stop when the mean loss of so many steps is hardly better than that of as many before; null: never.
        min_improvement: what counts as better, as a share.
        coarse_size: longer side in pixels at which the first steps draw and compare: the generator's partial sum,
            target and masks averaged down to it; null: all steps at full size. The end is of full size in any case.
        coarse_until: share of the steps that are coarse.
        perceptual_size: longer side to which composite and target are averaged down before the perceptual distance,
            where they are larger; null: not at all. The distances that are told are then those at this size.
        memory: ``"joint"`` keeps all chunks' activations, ``"frugal"`` those of one chunk for one more forward
            pass, ``"auto"`` chooses by what is free, and warns where that is frugal.

    Source: ChunkyGAN, Eq. 2; schedules after the projector in NVlabs/stylegan2-ada-pytorch.
    """

    def __init__(
        self,
        steps: int = 100,
        lr: float = 0.2,
        mask_lr: float = 0.02,
        masks_join: float = 0.0,
        masks_freeze: float = 1.0,
        mask_every: int = 1,
        mask_threshold: float = 0.0,
        mask_guard: float = 0.1,
        mask_keep: float = 0.3,
        rampup: float = 0.05,
        rampdown: float = 0.25,
        betas: Sequence[float] = (0.9, 0.999),
        start: Literal["mean", "bank", "regression"] = "mean",
        bank_samples: int = 256,
        bank_truncation: float = 0.7,
        latent_noise: float = 0.05,
        latent_noise_until: float = 0.75,
        perceptual: float = 1.0,
        l2: float = 0.0,
        dispersion: float = 0.0,
        coherence: float = 0.0,
        fit_noise: bool = False,
        noise_regularisation: float = 1e5,
        patience: int | None = None,
        min_improvement: float = 0.005,
        coarse_size: int | None = None,
        coarse_until: float = 0.5,
        perceptual_size: int | None = None,
        memory: Literal["auto", "joint", "frugal"] = "auto",
        trainer: dict[str, Any] | None = None,
    ) -> None:
        self.settings = dict(
            steps=steps, lr=lr, mask_lr=mask_lr, rampup=rampup, rampdown=rampdown, latent_noise=latent_noise,
            latent_noise_until=latent_noise_until, perceptual=perceptual, l2=l2, dispersion=dispersion,
            noise_regularisation=noise_regularisation, fit_noise=fit_noise, masks_join=masks_join,
            masks_freeze=masks_freeze, mask_every=mask_every, mask_threshold=mask_threshold, mask_guard=mask_guard,
            mask_keep=mask_keep,
            betas=tuple(betas), coarse_size=coarse_size, coarse_until=coarse_until, perceptual_size=perceptual_size,
            coherence=coherence,
        )  # fmt: skip
        if not 0 <= masks_join <= masks_freeze:
            raise RecipeError(f"inverter.masks_join: must be 0 to masks_freeze, {masks_freeze}; got {masks_join}")
        if mask_every < 1:
            raise RecipeError(f"inverter.mask_every: must be 1 or more; got {mask_every}")
        if not 0 <= mask_threshold < 1:
            raise RecipeError(f"inverter.mask_threshold: must be 0 or more and below 1; got {mask_threshold}")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise RecipeError(f"inverter.betas: must be two numbers, 0 or more and below 1; got {list(betas)}")
        if not 0 <= coarse_until < 1:
            raise RecipeError(f"inverter.coarse_until: must be 0 or more and below 1; got {coarse_until}")
        self.start, self.bank_samples, self.bank_truncation = start, bank_samples, bank_truncation
        self.patience, self.min_improvement, self.memory = patience, min_improvement, memory
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
        request = FitRequest(target, spaces, mask_generator, start, listeners, state)
        ((_, fit),) = self.project_all([request], generator=generator, perceptual=perceptual, seed=seed)
        if isinstance(fit, Exception):
            raise fit
        return fit

    @property
    def fits_together(self) -> bool:  # type: ignore[override]
        """Always, but where a scale of the loss, which adapts to what it is given, would be that of all pictures."""
        return self.trainer.get("precision") != "16-mixed"

    def project_all(
        self, requests: Sequence[FitRequest], *, generator: Generator, perceptual: Perceptual, seed: int = 0
    ) -> Iterator[tuple[int, Fit | Exception]]:
        if len(requests) > 1 and not self.fits_together:
            yield from super().project_all(requests, generator=generator, perceptual=perceptual, seed=seed)
            return
        problems, places = _problems(requests, generator, perceptual), list[int]()
        members: list[Member] = []
        settings = self._settings([_segments(one.mask_generator) for one in requests])
        for place, (one, problem) in enumerate(zip(requests, problems)):
            try:
                fit = self._fit(one, problem, settings, seed)
            except Exception as error:
                yield place, error
                continue
            members.append(Member(fit, one.listeners, one.state, self.patience, self.min_improvement))
            places.append(place)
        for number, problem_found in fitting.run_batch(members, trainer=self.trainer):
            place = places[number]
            yield place, problem_found or _result(members[number].fit, requests[place].spaces)

    def _fit(self, one: FitRequest, problem: Problem, settings: Settings, seed: int) -> ChunkFit:
        """The fit of a picture, at its start."""
        check_shape(one.target, "1 3 h w", name="target", **_size(problem.generator))
        if not torch.isfinite(one.target).all():
            raise ProjectionError("the target holds numbers that are not finite")
        segments = _segments(one.mask_generator)
        codes = self._start_codes(
            one.target, problem.generator, problem.spaces, one.spaces, segments, one.start, seed
        )
        noise = None if one.start is None else one.start.noise
        return ChunkFit(problem, one.mask_generator, codes, settings, noise=noise, seed=seed)

    def _start_codes(
        self,
        target: Tensor,
        generator: Generator,
        spaces: Sequence[LatentSpace],
        specs: Sequence[Spec],
        segments: Segments,
        start: Fit | None,
        seed: int,
    ) -> list[Tensor]:
        if start is not None:
            codes = converted_codes(start.codes, generator, spaces, specs)
            if not all(torch.isfinite(code).all() for code in codes):
                raise ProjectionError("the start's codes hold numbers that are not finite")
            return codes
        if self.start == "mean":
            return mean_codes(spaces)
        bank = bank_of(generator, samples=self.bank_samples, truncation=self.bank_truncation, seed=seed)
        if self.start == "bank":
            return bank_codes(bank, target, spaces, segments)
        return regressed_codes(bank, target, generator, spaces, segments)

    def _settings(self, chunks: Sequence[Segments]) -> Settings:
        few = sum(float((one.masks > 0).sum()) for one in chunks) <= FEW_PIXELS
        frugal = {"joint": False, "frugal": True, "auto": False if few else None}[self.memory]
        return Settings(**self.settings, frugal=frugal)  # type: ignore[arg-type]


def _problems(requests: Sequence[FitRequest], generator: Generator, perceptual: Perceptual) -> list[Problem]:
    """What is fitted to what; chunks of equal spaces share the space, in whatever picture they are."""
    spaces = iter(latent_spaces([spec for one in requests for spec in one.spaces], generator))
    return [Problem(one.target, generator, [next(spaces) for _ in one.spaces], perceptual) for one in requests]


def _size(generator: Generator) -> dict[str, int]:
    return {"h": generator.resolution[0], "w": generator.resolution[1]}


def _segments(mask_generator: MaskGenerator) -> Segments:
    with torch.no_grad():
        static = mask_generator.static()
        return Segments(mask_generator()[0], mask_generator.names, None if static is None else static[0])


@torch.no_grad()
def _result(fit: ChunkFit, spaces: Sequence[Spec]) -> Fit:
    fit.to(fit.problem.generator.w_avg.device)  # the trainer has taken it to the CPU, the generator it has not
    segments = fit.segments()
    static = None if segments.static is None else segments.static.cpu()
    return Fit(
        codes=Codes(tuple(code.detach().cpu() for code in fit.codes()), tuple(spaces)),
        segments=Segments(segments.masks.detach().cpu(), segments.names, static),
        noise=tuple(value.detach().cpu() for value in fit.noise) or None,
        mask_state={name: value.detach().cpu() for name, value in fit.mask_generator.fitted().items()},
        history=tuple({name: float(value) for name, value in row.items()} for row in fit.history),
        steps=len(fit.history),
        areas=_areas(fit, segments),
    )


def _areas(fit: ChunkFit, segments: Segments) -> dict[str, tuple[float, float]]:
    """Each chunk's share of the picture before and after; warns of those that have all but vanished."""
    if not fit.movable:
        return {}
    pairs = zip(fit.get_buffer("first_areas").tolist(), segments.masks.mean((1, 2)).tolist())
    areas = dict(zip(segments.names, pairs))
    for name, (first, last) in areas.items():
        if last < fit.settings.mask_keep / 3 * first:
            warnings.warn(
                f"chunk '{name}' shrank from {100 * first:.2g} % of the picture to {100 * last:.2g} %; "
                "a smaller inverter.mask_lr or a larger inverter.mask_guard holds it",
                stacklevel=2,
            )
    return areas
