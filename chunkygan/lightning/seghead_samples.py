"""What a segmentation head learns from: feature maps at their own sizes, and the labels of their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chunkygan.interfaces import Generator


@dataclass(frozen=True)
class Samples:
    """Labelled pictures of a generator.

    Args:
        maps: of `Generator.feature_stack`, each (n, h, w, c), so that a pixel's channels lie together.
        labels: (n, h, w); below 0 where there is none.
        pictures: (n, 3, h, w) in [-1, 1].
    """

    maps: tuple[Tensor, ...]
    labels: Tensor
    pictures: Tensor

    def stack(self, i: int) -> list[Tensor]:
        """The feature maps of one picture, (1, c, h, w) each."""
        return [part[i : i + 1].permute(0, 3, 1, 2) for part in self.maps]

    def part(self, begin: int, end: int) -> Samples:
        """Some of the pictures."""
        rows = slice(begin, end)
        return Samples(tuple(m[rows] for m in self.maps), self.labels[rows], self.pictures[rows])


@torch.no_grad()
def drawn_samples(generator: Generator, ws: Tensor, label: Callable[[Tensor], Tensor] | Tensor) -> Samples:
    """Samples of codes (n, num_ws, w_dim).

    Args:
        label: (n, h, w) labels, or what gives them for pictures (b, 3, h, w).
    """
    maps: list[list[Tensor]] = []
    pictures, labels = [], []
    for batch in ws.to(generator.w_avg).split(4):
        styles = generator.styles(batch)
        maps.append([part.permute(0, 2, 3, 1).float().cpu() for part in generator.feature_stack(styles)])
        pictures.append(generator.synthesis(styles).clamp(-1, 1))
        if callable(label):
            labels.append(label(pictures[-1]).cpu())
    stacked = tuple(torch.cat(level).contiguous() for level in zip(*maps))
    return Samples(stacked, torch.cat(labels) if labels else label, torch.cat(pictures).cpu())  # type: ignore[arg-type]


def pixels_of(maps: Sequence[Tensor], picture: Tensor, y: Tensor, x: Tensor, size: tuple[int, int]) -> Tensor:
    """(p, d): all channels of single pixels, as if every map had been upsampled bilinearly to a size and stacked.

    Args:
        maps: (n, h, w, c) each.
        picture, y, x: (p,), which picture, row and column.
    """
    return torch.cat([_interpolated(part, picture, y, x, size) for part in maps], 1)


def _interpolated(part: Tensor, picture: Tensor, y: Tensor, x: Tensor, size: tuple[int, int]) -> Tensor:
    h, w = part.shape[1:3]
    if (h, w) == tuple(size):
        return part[picture, y, x]
    (top, below, down), (left, beside, right) = _neighbours(y, h, size[0]), _neighbours(x, w, size[1])
    upper = torch.lerp(part[picture, top, left], part[picture, top, beside], right)
    lower = torch.lerp(part[picture, below, left], part[picture, below, beside], right)
    return torch.lerp(upper, lower, down)


def _neighbours(at: Tensor, length: int, full: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two entries of an axis that a place of the upsampled one lies between, and how far along, (p, 1)."""
    place = ((at + 0.5) * (length / full) - 0.5).clamp(min=0)
    low = place.floor().long()
    return low, (low + 1).clamp(max=length - 1), (place - low).unsqueeze(1)
