"""W+: one vector of W for every style row of the generator."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from chunkygan.components.latent_spaces.affine import solve_rows, w_scale
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.types import Styles


class WPlus(LatentSpace):
    """Codes (num_ws, w_dim). Fits best of the spaces the mapping network feeds.

    Source: Abdal et al., Image2StyleGAN (2019).
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)

    @property
    def code_shape(self) -> tuple[int, ...]:
        return self.generator.num_ws, self.generator.w_dim

    def to_styles(self, codes: Tensor) -> Styles:
        return self.generator.styles(codes)

    def from_ws(self, ws: Tensor) -> Tensor:
        return ws.clone()

    def from_styles(self, styles: Styles) -> Tensor:
        return solve_rows(self.generator, styles)

    def scale(self) -> Tensor:
        return self._scale

    @cached_property
    def _scale(self) -> Tensor:
        return w_scale(self.generator).expand(1, -1).clone(memory_format=torch.contiguous_format)
