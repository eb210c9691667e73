"""W: one vector for all style rows of the generator."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from chunkygan.components.latent_spaces.affine import solve_shared, w_scale
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.types import Styles


class W(LatentSpace):
    """Codes (w_dim,). Fits least and edits best.

    Source: Karras et al., A Style-Based Generator Architecture (2019).
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)

    @property
    def code_shape(self) -> tuple[int, ...]:
        return (self.generator.w_dim,)

    def to_styles(self, codes: Tensor) -> Styles:
        return self.generator.styles(codes[:, None].expand(-1, self.generator.num_ws, -1))

    def from_ws(self, ws: Tensor) -> Tensor:
        return ws.mean(1)

    def from_styles(self, styles: Styles) -> Tensor:
        return solve_shared(self.generator, styles)

    def scale(self) -> Tensor:
        return self._scale

    @cached_property
    def _scale(self) -> Tensor:
        return w_scale(self.generator)
