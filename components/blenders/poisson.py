"""Seamless cloning: the drawn picture's gradients, the photo's colours around it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chunkygan.components.blenders.poisson_system import PoissonSystem, steps_of
from chunkygan.errors import ComponentError, ShapeError
from chunkygan.interfaces import Blender
from chunkygan.shapes import check_shape


class Poisson(Blender):
    """The picture whose gradients inside the mask are the drawn one's, and which meets the photo at the mask's border.

    Solved exactly (a Dirichlet problem on the mask's pixels only), so everything outside stays the photo, bit for bit.
    Where the mask touches the picture's frame no value is prescribed there. A shift of colour or brightness between
    both pictures disappears; a difference of structure along the border is smeared inwards.

    Args:
        threshold: pixels whose mask is at least this belong to the region; above 0.
        keep: factorisations that are kept, each for one region.

    Raises:
        ShapeError: a mask without any pixel, or sizes that do not agree.

    Source: Perez et al., Poisson Image Editing (2003).
    """

    def __init__(self, threshold: float = 0.5, keep: int = 2) -> None:
        if not 0 < threshold <= 1:
            raise ComponentError(f"blender 'poisson': threshold must be above 0 and at most 1; got {threshold}")
        self.threshold, self.keep = threshold, max(keep, 1)
        self._systems: OrderedDict[bytes, PoissonSystem] = OrderedDict()

    def blend(self, drawn: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
        sizes = check_shape(drawn, "n 3 h w", name="drawn")
        check_shape(mask, "n h w", name="mask", **sizes)
        regions = (mask >= self.threshold).long()
        return torch.cat(
            [self._joined(one[None], old[None], region) for one, old, region in zip(drawn, photo, regions)]
        )

    def blend_chunks(self, drawn: Tensor, photo: Tensor, masks: Tensor) -> Tensor:
        sizes = check_shape(drawn, "n 3 h w", name="drawn")
        check_shape(masks, "n h w", name="masks", **sizes)
        shares, owner = masks.max(0)
        return self._joined(drawn, photo, (owner + 1) * (masks.sum(0) >= self.threshold) * (shares > 0))

    def _joined(self, drawn: Tensor, photo: Tensor, owners: Tensor) -> Tensor:
        """(1, 3, h, w) of drawn pictures (n, 3, h, w); owners (h, w): 0 for the photo, k for the k-th picture."""
        check_shape(photo, "1 3 h w", name="photo", h=owners.shape[0], w=owners.shape[1])
        labels = owners.cpu().numpy()
        region = labels > 0
        if not region.any():
            raise ShapeError(
                f"the mask has no pixel of {self.threshold:g} or more: there is nothing to blend; paint one"
            )
        rows, columns = _around(region)
        labels, region = labels[rows, columns], region[rows, columns]
        pictures = drawn.detach()[..., rows, columns].cpu().double().numpy()
        old = photo.detach()[0, :, rows, columns].cpu().double().numpy()
        mine = np.take_along_axis(pictures, np.maximum(labels - 1, 0)[None, None], 0)[0]  # (3, h, w)
        steps = _guidance(pictures, labels)
        system, result = self._system(region), photo.detach().clone()
        part, inside = result[0, :, rows, columns], torch.from_numpy(region).to(photo.device)
        for channel in range(3):
            values = system.solve((steps[0][channel], steps[1][channel]), old[channel], mine[channel].mean())
            part[channel, inside] = torch.from_numpy(values).to(result)
        return result

    def _system(self, region: Any) -> PoissonSystem:
        key = hashlib.sha256(str(region.shape).encode() + np.packbits(region).tobytes()).digest()
        if key not in self._systems:
            self._systems[key] = PoissonSystem(region)
            while len(self._systems) > self.keep:
                self._systems.popitem(last=False)
        self._systems.move_to_end(key)
        return self._systems[key]


def _around(region: Any) -> tuple[slice, slice]:
    """Rows and columns of a region and of its neighbours, so that only a region at the frame touches their edge."""
    found = []
    for axis in (1, 0):
        used = np.flatnonzero(region.any(axis))
        found.append(slice(max(int(used[0]) - 1, 0), int(used[-1]) + 2))
    return found[0], found[1]


def _guidance(pictures: Any, labels: Any) -> tuple[Any, Any]:
    """(3, h, w - 1) and (3, h - 1, w) steps: of each pixel's own picture; between two pictures' regions, their mean."""
    owner = np.maximum(labels, 1) - 1
    pairs = zip(steps_of(pictures), ((owner[:, :-1], owner[:, 1:]), (owner[:-1], owner[1:])), _outsides(labels))
    found = []
    for steps, (a, b), (a_out, b_out) in pairs:
        a, b = np.where(a_out, b, a), np.where(b_out, a, b)  # the photo has no say: steps are the drawn picture's
        picked = [np.take_along_axis(steps, side[None, None], 0)[0] for side in (a, b)]
        found.append((picked[0] + picked[1]) / 2)
    return found[0], found[1]


def _outsides(labels: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    out = labels == 0
    return (out[:, :-1], out[:, 1:]), (out[:-1], out[1:])
