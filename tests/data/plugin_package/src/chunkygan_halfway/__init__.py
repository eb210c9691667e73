"""A latent space of two rows: one for the lower half of a generator's layers, one for the upper half."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.types import Styles


class Halfway(LatentSpace):
    """Two rows of W.

    Args:
        split: share of the layers that the first row feeds.
    """

    def __init__(self, generator: Generator, split: float = 0.5) -> None:
        super().__init__(generator)
        self.first = round(split * generator.num_ws)

    @property
    def code_shape(self) -> tuple[int, ...]:
        return 2, self.generator.w_dim

    def to_styles(self, codes: Tensor) -> Styles:
        counts = torch.tensor([self.first, self.generator.num_ws - self.first], device=codes.device)
        return self.generator.styles(codes.repeat_interleave(counts, dim=1))

    def from_ws(self, ws: Tensor) -> Tensor:
        return torch.stack([ws[:, : self.first].mean(1), ws[:, self.first :].mean(1)], dim=1)

    def from_styles(self, styles: Styles) -> Tensor:
        mean = self.generator.w_avg.expand(len(styles[0]), self.generator.num_ws, -1)
        return self.from_ws(mean)

    def scale(self) -> Tensor:
        rng = torch.Generator().manual_seed(0)
        return self.sample(256, rng=rng).std(0).mean().expand(1, 1)
