"""How near a reconstruction comes: plain functions, and torchmetrics that average them over images and devices."""

from __future__ import annotations

from typing import Any

import chunkygan._torchmetrics  # noqa: F401  (before torchmetrics comes by itself)

# isort: split
import torch
from torch import Tensor
from torchmetrics import Metric

from chunkygan.errors import ShapeError
from chunkygan.interfaces import Identity, Perceptual
from chunkygan.objective import l2
from chunkygan.shapes import check_shape

__all__ = ["L2", "IdentityDistance", "OutsideMask", "PerceptualDistance", "l2", "measure", "outside_mask"]


@torch.no_grad()
def measure(
    reconstruction: Tensor, target: Tensor, perceptual: Perceptual, identity: Identity | None = None
) -> dict[str, float]:
    """Means over the images, by name: ``l2``, ``lpips_<net>`` and, where there is a network for it, ``identity_<net>``.

    Args:
        reconstruction: (n, 3, h, w) in [-1, 1].
        target: as reconstruction.

    Raises:
        ShapeError: the shapes differ.
    """
    found = {"l2": l2(reconstruction, target), perceptual.name: perceptual(reconstruction, target)}
    if identity is not None:
        found[identity.name] = identity(reconstruction, target)
    return {name: float(values.mean()) for name, values in found.items()}


def outside_mask(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Largest absolute difference of each pair of images where the mask is 0; 0 where it nowhere is.

    Args:
        x: (n, 3, h, w) in [-1, 1].
        y: as x.
        mask: (n, h, w) or (h, w); what may have changed is above 0.

    Returns:
        (n,) in [0, 2].

    Raises:
        ShapeError: the shapes do not agree.
    """
    sizes = check_shape(x, "n 3 h w", name="x")
    check_shape(y, "n 3 h w", name="y", **sizes)
    if mask.ndim == 2:
        mask = mask.expand(sizes["n"], -1, -1)
    check_shape(mask, "n h w", name="mask", **sizes)
    return ((x - y).abs() * (mask == 0).unsqueeze(1)).amax((1, 2, 3))


class _MeanOverImages(Metric):
    """Mean of one number an image, over updates and devices; subclasses say which number."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor
    name: str

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def values(self, x: Tensor, y: Tensor) -> Tensor:
        """(n,) numbers of images (n, 3, h, w) in [-1, 1]."""
        raise NotImplementedError

    def update(self, x: Tensor, y: Tensor) -> None:
        """Adds images x and y, (n, 3, h, w) in [-1, 1]."""
        values = self.values(x, y)
        self.total = self.total + values.sum()
        self.count = self.count + len(values)

    def compute(self) -> Tensor:
        """The mean so far.

        Raises:
            ShapeError: there was no image.
        """
        if self.count == 0:
            raise ShapeError(f"{self.name}: no images were compared; call update first")
        return self.total / self.count


class L2(_MeanOverImages):
    """Mean of `l2` over images."""

    name = "l2"

    def values(self, x: Tensor, y: Tensor) -> Tensor:
        """(n,), see `l2`."""
        return l2(x, y)


class PerceptualDistance(_MeanOverImages):
    """Mean perceptual distance over images, under the network's own name.

    Args:
        perceptual: the network that measures.
    """

    def __init__(self, perceptual: Perceptual, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.perceptual = perceptual
        self.name = perceptual.name

    def values(self, x: Tensor, y: Tensor) -> Tensor:
        """(n,) distances."""
        return self.perceptual(x, y)


class IdentityDistance(_MeanOverImages):
    """Mean of 1 - cosine over images, under the network's own name.

    Args:
        identity: the network that measures.
    """

    def __init__(self, identity: Identity, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.identity = identity
        self.name = identity.name

    def values(self, x: Tensor, y: Tensor) -> Tensor:
        """(n,) in [0, 2]."""
        return self.identity(x, y)


class OutsideMask(Metric):
    """Largest `outside_mask` of all images: 0 where nothing outside the masks has changed."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    name = "outside_mask"
    largest: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("largest", torch.tensor(0.0), dist_reduce_fx="max")

    def update(self, x: Tensor, y: Tensor, mask: Tensor) -> None:
        """Adds images x and y, (n, 3, h, w), and masks (n, h, w) or (h, w)."""
        self.largest = torch.maximum(self.largest, outside_mask(x, y, mask).max())

    def compute(self) -> Tensor:
        """The largest difference so far, in [0, 2]."""
        return self.largest
