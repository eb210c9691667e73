"""Noise maps as unknowns of a fit: kept Gaussian, so that they cannot carry the picture.

Source: Karras et al. 2020, appendix D; the projector in NVlabs/stylegan2-ada-pytorch.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor


def correlation(maps: Iterable[Tensor]) -> Tensor:
    """Squared mean products of each map with itself shifted by one pixel, at all sizes down to 8 pixels.

    Args:
        maps: (h, w) each.

    Returns:
        Scalar; near 0 for white noise.
    """
    total = torch.zeros(())
    for noise in maps:
        level = noise[None, None]
        while True:
            shifted = ((level * level.roll(1, dims=axis)).mean().square() for axis in (2, 3))
            total = total.to(level) + sum(shifted)
            if min(level.shape[2:]) <= 8:
                break
            level = F.avg_pool2d(level, 2)
    return total


@torch.no_grad()
def normalise(maps: Iterable[Tensor]) -> None:
    """Makes every map zero mean and unit root mean square, in place."""
    for noise in maps:
        noise -= noise.mean()
        noise *= noise.square().mean().clamp_min(1e-12).rsqrt()
