"""Augmentation's moves: where in a picture every pixel of the augmented one is read. (n, 3, 3) matrices, in pixels.

A matrix takes a pixel's place (x, y, 1), counted from the picture's centre, to the place that is read; moves follow
each other by multiplication, and the picture is resampled once.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.lightning.adversarial_chance import Chance

SHIFT = 0.125
"""Largest whole-pixel shift, and deviation of the other, as a share of the picture."""

SCALE = 0.2
"""Deviation of the binary logarithm of a scaling."""


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """(n, 3, 3) of factors (n,)."""
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], 1))


def shifting(x: Tensor, y: Tensor) -> Tensor:
    """(n, 3, 3) of distances (n,) in pixels."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([one, zero, x, zero, one, y, zero, zero, one], 1).reshape(-1, 3, 3)


def turning(cosine: Tensor, sine: Tensor) -> Tensor:
    """(n, 3, 3) of an angle's cosine and sine (n,)."""
    zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
    return torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], 1).reshape(-1, 3, 3)


def blit(chance: Chance, size: tuple[int, int]) -> Tensor:
    """Mirrored left to right, turned by quarters (by halves, where the picture is not square), shifted by whole pixels.

    No pixel's value changes.
    """
    height, width = size
    flip = chance.choose(1 - 2 * (chance.uniform() * 2).floor(), 1)
    quarters = chance.choose((chance.uniform() * 4).floor(), 0).long()
    if height != width:
        quarters = quarters // 2 * 2
    cosine = torch.tensor([1.0, 0.0, -1.0, 0.0], device=flip.device)[quarters]  # exact, unlike cos()
    sine = torch.tensor([0.0, 1.0, 0.0, -1.0], device=flip.device)[quarters]
    applies = chance.gate()
    x, y = (((chance.uniform() * 2 - 1) * SHIFT * side).round() * applies for side in (width, height))
    return shifting(x, y) @ turning(cosine, sine) @ scaling(flip, torch.ones_like(flip))


def geometry(chance: Chance, size: tuple[int, int]) -> Tensor:
    """Scaled, turned by any angle, stretched, turned again and shifted by parts of pixels."""
    height, width = size
    scale = chance.choose(2 ** (chance.normal() * SCALE), 1)
    stretch = chance.choose(2 ** (chance.normal() * SCALE), 1)
    # Two turns, so that the stretch lies at any angle; together they apply with probability p.
    each = 1 - math.sqrt(1 - chance.p)
    angles = [chance.choose((chance.uniform() * 2 - 1) * math.pi, 0, p=each) for _ in range(2)]
    first, second = (turning(angle.cos(), angle.sin()) for angle in angles)
    applies = chance.gate()
    shift = shifting(*(chance.normal() * SHIFT * side * applies for side in (width, height)))
    return shift @ second @ scaling(stretch, 1 / stretch) @ first @ scaling(scale, scale)


def warp(images: Tensor, moves: Tensor) -> Tensor:
    """Pictures (n, c, h, w) read where `moves` (n, 3, 3) say, bicubic, mirrored beyond their border.

    What is moved by whole pixels and right angles only keeps its values, to rounding.
    """
    half = torch.tensor([images.shape[3] / 2, images.shape[2] / 2, 1.0], dtype=moves.dtype, device=moves.device)
    theta = moves * half / half[:, None]  # in units of half a picture
    grid = F.affine_grid(theta[:, :2], list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
