"""The small residual network that a domain's classifier and identity network share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID = 4
"""Places a side at which the last features are read: what is told may depend on where it is."""


class ResidualTrunk(nn.Module):
    """(n, 3, h, w) in [-1, 1] to (n, out).

    Pictures are averaged to `size`, folded to half of it with four times the channels (which loses nothing and saves
    the costliest layer), and halved again by every stage after the first.

    Args:
        out: numbers a picture.
        size: side in pixels at which pictures are looked at, at least 8 * 2 ** (stages - 1).
        widths: channels of each stage.
    """

    def __init__(self, out: int, size: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.size = size
        self.stem = _convolution(12, widths[0], 1)
        self.stages = nn.ModuleList(_Stage(before, width) for before, width in pairwise(widths))
        self.read = nn.Linear(widths[-1] * GRID * GRID, out)

    def forward(self, images: Tensor) -> Tensor:
        x = F.pixel_unshuffle(resized(images, self.size), 2)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        for stage in self.stages:
            x = stage(x)
        return self.read(F.adaptive_avg_pool2d(x, GRID).flatten(1))


def resized(images: Tensor, size: int) -> Tensor:
    """(n, c, size, size) of pictures of any size: averaged where that shrinks them, else interpolated."""
    if tuple(images.shape[-2:]) == (size, size):
        return images
    if min(images.shape[-2:]) >= size:
        return F.interpolate(images, (size, size), mode="area")
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False)


class _Stage(nn.Module):
    """A convolution that halves, then one residual block."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.down = _convolution(c_in, c_out, 2)
        self.block = nn.Sequential(
            _convolution(c_out, c_out, 1), nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        return torch.relu(x + self.block(x))


def _convolution(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())
