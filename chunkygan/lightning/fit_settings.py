"""Numbers of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
        coherence: weight of the chunks' disagreement, see `chunkygan.objective.incoherence`.
        fit_noise: fit the noise maps too.
        frugal: draw chunks once more in the backward pass instead of keeping their activations; None: where they
            would not fit in what is free on the device (see `chunkygan.memory.fitting_mode`).
        masks_join, masks_freeze: shares of the steps between which masks move, where they can.
        mask_every: of the steps between them, masks move in the first and then in every so manyth.
        mask_threshold: below it a mask that can move counts as 0; see `chunkygan.masks.pruned`.
        mask_guard: weight of `chunkygan.objective.shrinking`.
        mask_keep: share of its first area that a chunk may shrink to at no cost.
        coarse_size: longer side in pixels at which the chunks are drawn and compared at first; None: never.
        coarse_until: share of the steps that are.
        betas: Adam's memory of the gradient and of its square.
        perceptual_size: longer side to which composite and target are averaged down before the perceptual distance,
            where they are larger; None: not at all.
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
    frugal: bool | None
    masks_join: float = 0.0
    masks_freeze: float = 1.0
    mask_every: int = 1
    mask_threshold: float = 0.0
    mask_guard: float = 0.0
    mask_keep: float = 0.3
    coarse_size: int | None = None
    coarse_until: float = 0.0
    perceptual_size: int | None = None
    coherence: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the objective's terms by name."""
        return {
            "perceptual": self.perceptual,
            "l2": self.l2,
            "dispersion": self.dispersion,
            "noise": self.noise_regularisation,
            "masks": self.mask_guard,
            "coherence": self.coherence,
        }

    def masks_move(self, step: int) -> bool:
        """Whether masks that can move do so in a step."""
        first = math.ceil(self.masks_join * self.steps)
        return first <= step < self.masks_freeze * self.steps and (step - first) % self.mask_every == 0

    def size(self, step: int) -> int | None:
        """Longer side in pixels at which a step draws; None: the full size."""
        return self.coarse_size if step < self.coarse_until * self.steps else None
