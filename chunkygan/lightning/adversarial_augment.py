"""Adaptive augmentation: random changes of all that the discriminator sees, as many as it needs not to overfit.

Real and drawn pictures go through the same changes, and drawn ones pass their gradients back. While each change is
left out often enough, the generator does not learn the changes themselves.

Source: Karras et al., Training Generative Adversarial Networks with Limited Data (2020), section 3 and appendix B: its
groups "blit", "geometry" and "colour". Pictures are resampled by one bicubic step instead of wavelets and a finer grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chunkygan.lightning.adversarial_augment_colour import colour_changes, recolour
from chunkygan.lightning.adversarial_augment_geometry import blit, geometry, warp
from chunkygan.lightning.adversarial_chance import Chance

GROUPS = ("blit", "geometry", "colour")


def augment(images: Tensor, p: float, rng: torch.Generator, groups: Sequence[str] = GROUPS) -> Tensor:
    """Pictures with every change of the groups applied to each of them with probability p.

    Args:
        images: (n, 3, h, w), nominally in [-1, 1].
        p: in [0, 1]; at 0 the pictures themselves come back.
        rng: on the device of images.
        groups: of `GROUPS`.

    Returns:
        (n, 3, h, w); moved and turned pictures go on beyond their border mirrored. Colours are not clamped, so that
        gradients pass everywhere: brightness and contrast may lead out of [-1, 1].
    """
    if p <= 0 or not groups:
        return images
    chance = Chance(len(images), p, rng)
    moves = torch.eye(3, device=images.device).expand(len(images), 3, 3)
    for name, draw in (("blit", blit), ("geometry", geometry)):
        if name in groups:
            moves = draw(chance, (images.shape[2], images.shape[3])) @ moves
    if "blit" in groups or "geometry" in groups:
        images = warp(images, moves.to(images.dtype))
    return recolour(images, colour_changes(chance).to(images.dtype)) if "colour" in groups else images


def adapted(p: float, sure: float, target: float, pictures: int, span: float) -> float:
    """The probability of augmentation after so many more pictures: up while `sure` is above `target`, down below it.

    Args:
        sure: mean sign of the discriminator's logits of real pictures: 0 where it does not overfit, 1 where it does.
        pictures: seen since the last change.
        span: pictures over which p can go from 0 to 1.

    Source: the heuristic r_t, section 3.1.
    """
    direction = (sure > target) - (sure < target)
    return min(max(p + direction * pictures / span, 0.0), 1.0)
