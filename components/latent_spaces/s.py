"""S, or StyleSpace: the outputs of all affine layers, toRGB included."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from chunkygan.components.latent_spaces.affine import SAMPLES, SEED
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.sampling import sample_ws
from chunkygan.types import Styles


class S(LatentSpace):
    """Codes (sum of style_dims,): the styles of all layers in forward order, one after another.

    Source: Wu et al., StyleSpace Analysis (2021).
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)

    @property
    def code_shape(self) -> tuple[int, ...]:
        return (sum(self.generator.style_dims),)

    def to_styles(self, codes: Tensor) -> Styles:
        return list(codes.split(list(self.generator.style_dims), dim=1))

    def from_ws(self, ws: Tensor) -> Tensor:
        return torch.cat(self.generator.styles(ws), 1)

    def from_styles(self, styles: Styles) -> Tensor:
        return torch.cat(styles, 1)

    def scale(self) -> Tensor:
        return self._scale

    @cached_property
    def _scale(self) -> Tensor:
        with torch.no_grad():
            return self.from_ws(sample_ws(self.generator, SAMPLES, seed=SEED)).std(0).clamp_min(1e-6)
