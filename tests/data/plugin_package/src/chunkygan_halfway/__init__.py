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
        first = round(split * generator.num_ws)
        self.counts = torch.tensor([first, generator.num_ws - first], device=generator.w_avg.device)

    @property
    def code_shape(self) -> tuple[int, ...]:
        return 2, self.generator.w_dim

    def to_styles(self, codes: Tensor) -> Styles:
        return self.generator.styles(codes.repeat_interleave(self.counts, dim=1))

    def from_ws(self, ws: Tensor) -> Tensor:
        return torch.stack([half.mean(1) for half in ws.split(self.counts.tolist(), dim=1)], dim=1)

    @torch.no_grad()
    def from_styles(self, styles: Styles) -> Tensor:
        # Styles are affine in the code: decode the mean and a step along every coordinate, and solve.
        mean = self.mean()
        steps = torch.eye(mean.numel()).to(mean).unflatten(1, self.code_shape)
        at = torch.cat(self.to_styles(mean[None]), 1)
        moves = torch.cat(self.to_styles(mean + steps), 1) - at
        return mean + ((torch.cat(styles, 1) - at) @ torch.linalg.pinv(moves)).unflatten(1, self.code_shape)

    def scale(self) -> Tensor:
        return self.sample(256, rng=torch.Generator().manual_seed(0)).std(0)
