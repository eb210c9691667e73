"""Cuts a box out of a picture and scales it to a network's input, in one differentiable resampling."""

from __future__ import annotations

import torch
from torch import Tensor

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in fractions of the picture's width and height; may reach beyond the picture."""


def resample_box(images: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """The box of every picture, scaled to (height, width); where it reaches beyond the picture, the border repeats.

    Linear interpolation when enlarging, a triangle as wide as two output pixels when reducing (what Pillow calls
    bilinear): nothing aliases, and the box need not fall on whole pixels.

    Args:
        images: (n, c, h, w).

    Returns:
        (n, c, *size).
    """
    left, top, right, bottom = box
    rows = _weights(images.shape[-2], size[0], top, bottom).to(images)
    columns = _weights(images.shape[-1], size[1], left, right).to(images)
    return rows @ images @ columns.T


def _weights(size_in: int, size_out: int, start: float, stop: float) -> Tensor:
    """(size_out, size_in) rows that sum to 1: each output pixel as a mean of input pixels, triangle-weighted."""
    start, stop = start * size_in, stop * size_in
    step = (stop - start) / size_out  # input pixels an output pixel
    reach = max(step, 1.0)
    centres = start + (torch.arange(size_out, dtype=torch.float64) + 0.5) * step
    beyond = int(max(0.0, -start, stop - size_in) + reach) + 2
    places = torch.arange(-beyond, size_in + beyond)
    weights = (1 - (places + 0.5 - centres[:, None]).abs() / reach).clamp(min=0)  # (size_out, places)
    weights = weights / weights.sum(1, keepdim=True)
    inside = torch.zeros(size_out, size_in, dtype=torch.float64)
    return inside.index_add_(1, places.clamp(0, size_in - 1), weights)
