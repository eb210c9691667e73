"""Networks that compare pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Perceptual(nn.Module, ABC):
    """A perceptual distance whose target side is computed once. `name` tells its network: ``lpips_squeeze``."""

    name: str

    @abstractmethod
    def features(self, images: Tensor) -> list[Tensor]:
        """What the distance compares, of images (n, 3, h, w) in [-1, 1]."""

    @abstractmethod
    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """(n,) distances of two results of `features`; 0 where they agree."""

    def taps(self, images: Tensor) -> list[Tensor]:
        """Feature maps (n, c, h, w) of images, as the network leaves them; `features`, where there are no others."""
        return self.features(images)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(n,) distances of images (n, 3, h, w) in [-1, 1]."""
        return self.distance(self.features(x), self.features(y))


class Identity(nn.Module, ABC):
    """An embedding whose cosine compares identities. `name` tells its network: ``identity_mobilefacenet``."""

    name: str

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """(n, d) unit vectors of aligned images (n, 3, h, w) in [-1, 1]."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(n,) of 1 - cosine, in [0, 2]."""
        return 1 - (self.embed(x) * self.embed(y)).sum(1)
