"""Windows: the part of the picture that a layer can touch, so that nothing is computed outside it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Rows from `top` to `bottom` and columns from `left` to `right`, in samples, the ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def around(cls, wanted: Tensor, multiple: int, step: int = 1) -> Window:
        """The smallest window with all samples of a mask.

        Args:
            wanted: (n, h, w) booleans, True where something may be drawn in any of n pictures.
            multiple: the window begins and ends at multiples of it, so that whole pixels lie inside.
            step: `wanted` has every so many-th sample, and what lies between them counts, too.
        """
        rows, columns = (wanted.any(0).any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        if not rows:
            return cls(0, 0, 0, 0)
        top, bottom = _widened(rows, step, multiple, wanted.shape[1] * step)
        left, right = _widened(columns, step, multiple, wanted.shape[2] * step)
        return cls(top, bottom, left, right)

    @classmethod
    def of_shares(cls, like: Tensor, multiple: int, shares: tuple[float, float, float, float]) -> Window:
        """From top to bottom and from left to right, as shares of pictures like (n, h, w)."""
        pixels = like.shape[-1] // multiple
        top, left = (int(shares[i] * pixels) * multiple for i in (0, 2))
        bottom, right = (math.ceil(shares[i] * pixels) * multiple for i in (1, 3))
        return cls(top, bottom, left, right)

    def __and__(self, other: Window) -> Window:
        """What two windows have in common."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Window(top, max(top, min(self.bottom, other.bottom)), left, max(left, min(self.right, other.right)))

    def moved(self, down: int, right: int) -> Window:
        """The window so many rows further down and so many columns further to the right."""
        return Window(self.top + down, self.bottom + down, self.left + right, self.right + right)

    def of(self, full: Tensor, view: Window) -> Tensor:
        """This window's part of a tensor (..., h, w) that shows `view`."""
        top, left = self.top - view.top, self.left - view.left
        return full[..., top : top + self.bottom - self.top, left : left + self.right - self.left]

    def spread(self, part: Tensor, view: Window) -> Tensor:
        """A tensor (..., h, w) that shows this window: `part`, which shows `view`, with zeros around it."""
        out = part.new_zeros(*part.shape[:-2], self.bottom - self.top, self.right - self.left)
        common = self & view
        common.of(out, self).copy_(common.of(part, view))
        return out


def _widened(places: list[int], step: int, multiple: int, size: int) -> tuple[int, int]:
    """First and last but one of samples of which `places` are every `step`-th, one step wider, at multiples."""
    first, last = (places[0] - 1) * step, (places[-1] + 2) * step
    return max(0, first // multiple * multiple), min(size, math.ceil(last / multiple) * multiple)


def whole(like: Tensor) -> Window:
    """The window that shows all of (..., h, w)."""
    return Window(0, like.shape[-2], 0, like.shape[-1])


def coarse(like: Tensor) -> int:
    """Every how many-th sample of (..., h, w) is enough to find a window by."""
    return max(1, like.shape[-1] // 48)


def below(y: Tensor, height: float) -> Window:
    """The window of all samples that lie lower on the head than a height, from their heights y (n, h, w)."""
    return between(y, height, torch.inf)


def between(y: Tensor, top: float, bottom: float) -> Window:
    """The window of all samples between two heights on the head, from their heights y (n, h, w)."""
    step = coarse(y)
    some = y[:, ::step, ::step]
    return Window.around((some > top) & (some < bottom), 1, step) & whole(y)


def within(window: Window, compute: Callable[..., Tensor], *fields: Tensor) -> Tensor:
    """What `compute` gives for the window's part of the fields (n, h, w), with zeros around it."""
    view = whole(fields[0])
    return view.spread(compute(*(window.of(field, view).contiguous() for field in fields)), window)


def pooled(samples: Tensor, factor: int) -> Tensor:
    """Means (..., h / factor, w / factor) of squares of samples; quicker than a pooling layer on a CPU."""
    if factor == 1:
        return samples
    rows = functools.reduce(torch.add, [samples[..., i::factor, :] for i in range(factor)])
    return functools.reduce(torch.add, [rows[..., i::factor] for i in range(factor)]) / factor**2
