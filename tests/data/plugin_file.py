"""A plugin file, as a recipe names one under ``plugins:``: a latent space and a perceptual distance without weights."""

from __future__ import annotations

from torch import Tensor

import chunkygan
from chunkygan.components.latent_spaces.w import W
from chunkygan.interfaces import Perceptual


class MeanRow(W):
    """W under another name."""


class Pixels(Perceptual):
    """Mean squared difference."""

    name = "lpips_pixels"

    def features(self, images: Tensor) -> list[Tensor]:
        return [images]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return (a[0] - b[0]).square().mean((1, 2, 3))


chunkygan.register("latent_space", "mean_row", MeanRow)
chunkygan.register("perceptual", "pixels", Pixels)
