"""Keeps a generator near the pictures that its latents stand for, while an adversary sharpens what it draws."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from chunkygan.interfaces import Perceptual
from chunkygan.lightning.generator_losses import (
    PART_WEIGHTS,
    feature_distance,
    part_weights,
    pyramid_distance,
    shrink,
)


class Anchor(nn.Module):
    """How far drawn pictures are from those they should be; an adversary alone would be content with any real one.

    Args:
        classes: names of the label classes, whose `PART_WEIGHTS` say what their pixels count.
        pixels: weight of the difference of pixels and their slopes, at three sizes.
        features: weight of the difference of feature maps, each in units of its own mean.
        perceptual: the network whose `taps` these are; may be None where `features` is 0.
        size: longer side that pictures are averaged down to before pixels are compared: colours and shapes are held,
            and what is finer is the adversary's, which is not drawn to the mean of what is unsure. None: not at all.
    """

    weights: Tensor

    def __init__(
        self,
        classes: Sequence[str],
        pixels: float,
        features: float,
        perceptual: Perceptual | None,
        size: int | None = None,
    ) -> None:
        super().__init__()
        self.pixels, self.features, self.size = pixels, features, size
        self.perceptual = perceptual if features else None
        weights = torch.tensor([PART_WEIGHTS.get(name, 1.0) for name in classes])
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, drawn: Tensor, wanted: Tensor, labels: Tensor) -> Tensor:
        """The weighted sum of both differences.

        Args:
            drawn, wanted: (n, 3, h, w) in [-1, 1].
            labels: (n, h, w), classes.
        """
        compared = drawn, wanted, part_weights(labels, self.weights)
        loss = self.pixels * pyramid_distance(*(shrink(x, self.size) for x in compared))
        if self.perceptual is None:
            return loss
        return loss + self.features * feature_distance(self.perceptual, drawn, wanted)
