"""Eq. 2 as a LightningModule: codes, and masks where they move, fitted to one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from chunkygan.drawing import composite, cover_of_segments
from chunkygan.interfaces import Generator, LatentSpace, MaskGenerator, Perceptual
from chunkygan.lightning import noise_maps
from chunkygan.lightning.schedule import fading, learning_rate
from chunkygan.masks import pruned
from chunkygan.objective import dispersion, l2, objective, shrinking
from chunkygan.types import Noise, Segments, Styles
from chunkygan.windows import Cover


@dataclass(frozen=True)
class Settings:
    """Numbers of a fit.

    Attributes:
        steps: optimiser steps.
        lr: step size of the codes, in standard deviations of their space; of noise maps in their own unit.
        mask_lr: step size of the mask generator's parameters.
        rampup, rampdown: shares of the steps in which the step size rises and falls.
        latent_noise: standard deviation of the noise on the codes at the first step, in those of the space.
        latent_noise_until: share of the steps after which it is gone.
        perceptual, l2, dispersion: weights of the objective's terms.
        noise_regularisation: weight of the noise maps' self-correlation, where they are fitted.
        fit_noise: fit the noise maps too.
        frugal: draw chunks once more in the backward pass instead of keeping their activations.
        masks_join, masks_freeze: shares of the steps between which masks move, where they can.
        mask_threshold: below it a mask that can move counts as 0; see `chunkygan.masks.pruned`.
        mask_guard: weight of `chunkygan.objective.shrinking`.
        mask_keep: share of its first area that a chunk may shrink to at no cost.
    """

    steps: int
    lr: float
    mask_lr: float
    rampup: float
    rampdown: float
    latent_noise: float
    latent_noise_until: float
    perceptual: float
    l2: float
    dispersion: float
    noise_regularisation: float
    fit_noise: bool
    frugal: bool
    masks_join: float = 0.0
    masks_freeze: float = 1.0
    mask_threshold: float = 0.0
    mask_guard: float = 0.0
    mask_keep: float = 0.3

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the objective's terms by name."""
        return {
            "perceptual": self.perceptual,
            "l2": self.l2,
            "dispersion": self.dispersion,
            "noise": self.noise_regularisation,
            "masks": self.mask_guard,
        }

    def masks_move(self, step: int) -> bool:
        """Whether masks that can move do so in a step."""
        return self.masks_join * self.steps <= step < self.masks_freeze * self.steps


@dataclass(frozen=True)
class Problem:
    """What is fitted to what. The networks are held, moved to the device, and never saved with the fit."""

    target: Tensor
    generator: Generator
    spaces: Sequence[LatentSpace]
    perceptual: Perceptual


class ChunkFit(pl.LightningModule):
    """One picture's codes in training. Codes are kept as offsets from their start, in their space's own unit.

    Args:
        problem: target, networks and spaces.
        mask_generator: its parameters, if any, are fitted too.
        start: one code a chunk, ``code_shape`` of its space.
        noise: noise maps to begin with; None: the generator's own.
        seed: of the latent noise.
    """

    def __init__(
        self,
        problem: Problem,
        mask_generator: MaskGenerator,
        start: Sequence[Tensor],
        settings: Settings,
        *,
        noise: Sequence[Tensor] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._held = [problem]  # in a list, so that Lightning does not take the networks for its own
        self.settings, self.seed = settings, seed
        self.mask_generator = mask_generator
        self.offsets = nn.ParameterList(torch.zeros_like(code) for code in start)
        for i, (code, space) in enumerate(zip(start, problem.spaces)):
            self.register_buffer(f"start_{i}", code.detach().clone())
            self.register_buffer(f"scale_{i}", space.scale().detach().clone())
        maps = list(noise) if noise is not None else problem.generator.noise_maps()
        fitted = noise is not None or settings.fit_noise
        self.noise = nn.ParameterList(
            nn.Parameter(value.detach().clone(), requires_grad=settings.fit_noise) for value in (maps if fitted else [])
        )
        self.history: list[dict[str, Tensor]] = []
        self._cover: Cover | None = None
        self._resting: Segments | None = None
        self.movable = any(p.requires_grad for p in mask_generator.parameters())
        if self.movable:
            with torch.no_grad():
                self.register_buffer("first_areas", self._segments().masks.mean((1, 2)))
        self._target_features: list[Tensor] = []

    @property
    def problem(self) -> Problem:
        """What is fitted to what."""
        return self._held[0]

    def codes(self) -> list[Tensor]:
        """The chunks' codes, each ``code_shape`` of its space."""
        return [
            self.get_buffer(f"start_{i}") + self.get_buffer(f"scale_{i}") * offset
            for i, offset in enumerate(self.offsets)
        ]

    def segments(self) -> Segments:
        """The chunks' masks as they are now; without gradient where they rest."""
        if self._moving():
            self._resting = self._cover = None
            return self._segments()
        if self._resting is None:
            with torch.no_grad():
                self._resting = self._segments()
        return self._resting

    def _moving(self) -> bool:
        return self.movable and self.settings.masks_move(len(self.history))

    def _segments(self) -> Segments:
        static, masks = self.mask_generator.static(), self.mask_generator()[0]
        if self.movable:
            masks = pruned(masks, self.settings.mask_threshold)
        return Segments(masks, self.mask_generator.names, None if static is None else static[0])

    def noise_input(self) -> Noise:
        """The fitted noise maps, or the generator's own."""
        return list(self.noise) if len(self.noise) else "const"

    def composite(self, codes: Sequence[Tensor] | None = None) -> Tensor:
        """(1, 3, h, w): what the codes, as they are by default, draw together."""
        return self._composite(self.segments(), codes)

    def _composite(self, segments: Segments, codes: Sequence[Tensor] | None) -> Tensor:
        p = self.problem
        styles = self.styles(self.codes() if codes is None else codes)
        return composite(
            p.generator, styles, segments, p.target,
            noise=self.noise_input(), cover=self.cover(segments), frugal=self.settings.frugal,
        )  # fmt: skip

    def styles(self, codes: Sequence[Tensor]) -> list[Styles]:
        """S-space codes of codes, each with a batch of 1."""
        return [space.to_styles(code[None]) for space, code in zip(self.problem.spaces, codes)]

    def cover(self, segments: Segments) -> Cover:
        """Where each chunk is drawn; taken once where masks rest."""
        if self._cover is None or self._moving():
            self._cover = cover_of_segments(self.problem.generator, segments)
        return self._cover

    def terms(self, codes: Sequence[Tensor]) -> dict[str, Tensor]:
        """The objective's terms that have a weight, unweighted."""
        p, weights = self.problem, self.settings.weights
        segments = self.segments()
        image = self._composite(segments, codes)
        terms: dict[str, Tensor] = {}
        if weights["perceptual"]:
            terms["perceptual"] = p.perceptual.distance(p.perceptual.features(image), self._target_features).sum()
        if weights["l2"]:
            terms["l2"] = l2(image, p.target).sum()
        if weights["dispersion"]:
            terms["dispersion"] = dispersion(self._comparable(codes))
        if len(self.noise) and self.settings.fit_noise:
            terms["noise"] = noise_maps.correlation(self.noise)
        if weights["masks"] and self._moving():
            first = self.get_buffer("first_areas")
            terms["masks"] = shrinking(segments.masks.mean((1, 2)), first, keep=self.settings.mask_keep)
        return terms

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        terms = self.terms([code + noise for code, noise in zip(self.codes(), self._latent_noise())])
        total = objective(terms, self.settings.weights)
        self.history.append({name: value.detach() for name, value in {**terms, "total": total}.items()})
        return total

    def configure_optimizers(self) -> Any:
        s = self.settings
        groups = [{"params": [*self.offsets, *(n for n in self.noise if n.requires_grad)], "lr": s.lr}]
        if moving := [p for p in self.mask_generator.parameters() if p.requires_grad]:
            groups.append({"params": moving, "lr": s.mask_lr})
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.999))

        def rate(step: int) -> float:
            return learning_rate(step, s.steps, rampup=s.rampup, rampdown=s.rampdown)

        def mask_rate(step: int) -> float:
            return rate(step) if s.masks_move(step) else 0.0

        rates: list[Any] = [rate, mask_rate]
        factor = torch.optim.lr_scheduler.LambdaLR(optimizer, rates[: len(groups)])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": factor, "interval": "step"}}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.settings.fit_noise:
            noise_maps.normalise(self.noise)

    def on_fit_start(self) -> None:
        p = self.problem
        self._held = [
            Problem(p.target.to(self.device), p.generator.to(self.device), p.spaces, p.perceptual.to(self.device))
        ]
        with torch.no_grad():
            self._target_features = self.problem.perceptual.features(self.problem.target)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = [{name: float(value) for name, value in row.items()} for row in self.history]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = [{name: torch.tensor(value) for name, value in row.items()} for row in checkpoint["history"]]
        self._resting = self._cover = None

    def _comparable(self, codes: Sequence[Tensor]) -> Tensor:
        """(n_chunks, d) rows of one space: the chunks' own where they agree, S otherwise."""
        kinds = {type(space) for space in self.problem.spaces}
        if len(kinds) == 1:
            return torch.stack([code.flatten() for code in codes])
        return torch.stack([torch.cat(layers, 1)[0] for layers in self.styles(codes)])

    def _latent_noise(self) -> list[Tensor]:
        """Noise on the codes, a function of seed and step alone, so that a resumed fit draws the same."""
        s, step = self.settings, len(self.history)
        strength = s.latent_noise * fading(step, s.steps, until=s.latent_noise_until)
        if not strength:
            return [torch.zeros((), device=self.device)] * len(self.offsets)
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        return [
            strength * self.get_buffer(f"scale_{i}") * torch.randn(offset.shape, generator=rng).to(offset)
            for i, offset in enumerate(self.offsets)
        ]
