"""Rays and what they meet.

Coordinates are x to the picture's right, y down and z towards the viewer. The head's own axes are
the same for a face that looks straight ahead; its centre is between the ears at the eyes' height.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .procfaces_window import Window, coarse


@dataclass(frozen=True)
class Camera:
    """Where each pixel's ray runs.

    Attributes:
        rotation: (n, 3, 3), head to camera axes.
        columns, rows: (n, 5, 1, w) and (n, 5, h, 1), whose sums are x, y and the three of `base`.
        sample: (n, 1, 1) distance of neighbouring rays, in head units.
        fine: (n, 1, 1) half a pixel of the finished picture, in head units: what soft edges are measured by.
        inset: (n, 1, 1) how far inside their outline surfaces end, in head units: the rim has no normal.
        per_pixel: samples per pixel and side.
        view: which samples of the picture these are.
    """

    rotation: Tensor
    columns: Tensor
    rows: Tensor
    sample: Tensor
    fine: Tensor
    inset: Tensor
    per_pixel: int
    view: Window

    @functools.cached_property
    def x(self) -> Tensor:
        """Camera coordinates (n, h, w) to the right, in head units."""
        return self.columns[:, 0] + self.rows[:, 0]

    @functools.cached_property
    def y(self) -> Tensor:
        """Camera coordinates (n, h, w) downwards, in head units."""
        return self.columns[:, 1] + self.rows[:, 1]

    @functools.cached_property
    def base(self) -> tuple[Tensor, Tensor, Tensor]:
        """Head coordinates, (n, h, w) each, of the rays' points at depth 0."""
        x, y, z = (self.columns[:, i] + self.rows[:, i] for i in (2, 3, 4))
        return x, y, z

    def project(self, point: tuple[Tensor | float, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Camera coordinates, each (n, 1, 1), of a point in the head's coordinates."""
        return turned(self.rotation, point)

    def to_head(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Head coordinates of the points at depth z (n, h, w) on the rays."""
        return self.along(0, z), self.along(1, z), self.along(2, z)

    def along(self, axis: int, z: Tensor) -> Tensor:
        """One of the coordinates of `to_head`."""
        return torch.addcmul(self.base[axis], self.rotation[:, 2, axis, None, None], z)

    def window(self, cut: Window) -> Camera:
        """The rays of a window only, which must lie within `view`."""
        columns = self.columns[..., cut.left - self.view.left : cut.right - self.view.left]
        rows = self.rows[..., cut.top - self.view.top : cut.bottom - self.view.top, :]
        return replace(self, columns=columns, rows=rows, view=cut)

    def box(
        self, left: float | Tensor, right: float | Tensor, top: float | Tensor, bottom: float | Tensor
    ) -> Window:
        """The window of all rays of all pictures that run between camera coordinates (n, 1, 1)."""
        step = coarse(self.columns)
        x, y = (self.columns[:, i, :, ::step] + self.rows[:, i, ::step] for i in (0, 1))
        found = Window.around((x > left) & (x < right) & (y > top) & (y < bottom), self.per_pixel, step)
        return found.moved(self.view.top, self.view.left) & self.view


@dataclass(frozen=True)
class Surface:
    """What the rays meet: head coordinates x, y, z, coverage and camera-space normal, (n, h, w) each."""

    x: Tensor
    y: Tensor
    z: Tensor
    cover: Tensor
    normal: tuple[Tensor, Tensor, Tensor]
    view: Window

    def box(self, reach: float, top: float | Tensor, bottom: float | Tensor, multiple: int) -> Window:
        """The window of all samples up to `reach` left and right on the head and between two heights (n, 1, 1).

        It begins and ends at a multiple of samples.
        """
        step = coarse(self.x)
        x, y = self.x[:, ::step, ::step], self.y[:, ::step, ::step]
        found = Window.around((x.abs() < reach) & (y > top) & (y < bottom), multiple, step)
        return found.moved(self.view.top, self.view.left) & self.view

    def window(self, cut: Window) -> Surface:
        """What the rays of a window meet, which must lie within `view`."""
        x, y, z, cover, *normal = (
            cut.of(part, self.view).contiguous() for part in (self.x, self.y, self.z, self.cover, *self.normal)
        )
        return Surface(x, y, z, cover, (normal[0], normal[1], normal[2]), cut)


def turned(rotation: Tensor, point: tuple[Tensor | float, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """A point in the head's coordinates, turned into the camera's, each (n, 1, 1)."""
    r = rotation[:, :, :, None, None]
    x, y, z = point
    parts = [r[:, i, 0] * x + r[:, i, 1] * y + r[:, i, 2] * z for i in range(3)]
    return parts[0], parts[1], parts[2]
