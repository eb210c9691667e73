"""What a fit looks at: its target at the size that is drawn, and the target's side of the perceptual distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from chunkygan.interfaces import Perceptual


@dataclass(frozen=True)
class View:
    """The target at one size.

    Attributes:
        target: (1, 3, h, w) in [-1, 1].
        features: of the perceptual distance.
        perceptual_size: longer side to which pictures are averaged down before it; None: not at all.
    """

    target: Tensor
    features: list[Tensor]
    perceptual_size: int | None

    def distance(self, image: Tensor, perceptual: Perceptual) -> Tensor:
        """(1,), the perceptual distance of a picture of the target's size."""
        return perceptual.distance(perceptual.features(reduced(image, self.perceptual_size)), self.features)


def view_of(target: Tensor, perceptual: Perceptual, size: int | None, perceptual_size: int | None) -> View:
    """The target, (1, 3, h, w), averaged down to a longer side of `size`."""
    small = reduced(target, size)
    return View(small, perceptual.features(reduced(small, perceptual_size)), perceptual_size)


def reduced(images: Tensor, size: int | None) -> Tensor:
    """Images (..., h, w) averaged down so that their longer side is `size`; as they are where it is not larger.

    Masks that sum to 1 still do.
    """
    height, width = images.shape[-2:]
    if size is None or size >= max(height, width):
        return images
    factor = size / max(height, width)
    shape = max(1, round(height * factor)), max(1, round(width * factor))
    flat = images.reshape(1, -1, height, width)
    return F.interpolate(flat, shape, mode="area").reshape(*images.shape[:-2], *shape)
