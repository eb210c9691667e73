"""What codes are, and how they lead to styles."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from chunkygan.interfaces.generators import Generator
from chunkygan.types import Styles


class LatentSpace(ABC):
    """A space of codes that decode to a generator's styles. Codes are ``(n, *code_shape)``."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    @property
    @abstractmethod
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code, without the batch dimension."""

    @abstractmethod
    def to_styles(self, codes: Tensor) -> Styles:
        """Styles of codes; differentiable."""

    @abstractmethod
    def from_ws(self, ws: Tensor) -> Tensor:
        """The nearest codes of this space to W+ codes (n, num_ws, w_dim). Lossless where the space allows."""

    @abstractmethod
    def from_styles(self, styles: Styles) -> Tensor:
        """The nearest codes of this space to styles of any origin (least squares where it is no inverse)."""

    @abstractmethod
    def scale(self) -> Tensor:
        """Standard deviation of the domain's codes, broadcastable to ``code_shape``: the unit of latent noise and
        of step sizes."""

    def mean(self) -> Tensor:
        """The mean code, ``code_shape``."""
        ws = self.generator.w_avg.expand(1, self.generator.num_ws, -1)
        return self.from_ws(ws)[0]

    def sample(self, n: int, *, rng: torch.Generator, truncation: float = 1.0) -> Tensor:
        """n random codes of the domain; `rng` lives on the CPU."""
        z = torch.randn(n, self.generator.z_dim, generator=rng).to(self.generator.w_avg)
        c = torch.zeros(n, self.generator.c_dim).to(z) if self.generator.c_dim else None
        return self.from_ws(self.generator.mapping(z, c, truncation=truncation))

    def direction(self, ws: Tensor) -> Tensor:
        """What a direction of W, (w_dim,), or W+, (num_ws, w_dim), is in this space; ``code_shape``."""
        origin = self.generator.w_avg.expand(1, self.generator.num_ws, -1)
        return (self.from_ws(origin + ws.to(origin)) - self.from_ws(origin))[0]

    def move(self, codes: Tensor, direction: Tensor, strength: float | Tensor) -> Tensor:
        """Codes moved along a direction that broadcasts to ``code_shape``."""
        return codes + strength * direction.to(codes)
