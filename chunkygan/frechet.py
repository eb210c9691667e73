"""How far a set of drawn pictures is from a set of real ones: the Frechet distance between their features.

The features are a perceptual network's, averaged over the picture, and the distance carries that network's name
(``frechet_procfaces``): numbers of different networks, or of different numbers of pictures, cannot be compared. What
two sets of real pictures score says what a perfect generator would.
"""

from __future__ import annotations

from collections.abc import Iterable

import chunkygan._torchmetrics  # noqa: F401  (before torchmetrics comes by itself)

# isort: split
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from chunkygan.interfaces import Perceptual


class PooledTaps(nn.Module):
    """(n, d) means over the picture of all feature maps of a perceptual network, frozen.

    Attributes:
        num_features: d; torchmetrics asks for it.
    """

    def __init__(self, perceptual: Perceptual, size: tuple[int, int]) -> None:
        super().__init__()
        self.perceptual = perceptual.requires_grad_(False).eval()
        like = next(iter(perceptual.state_dict().values()), torch.zeros(()))
        with torch.no_grad():
            self.num_features = self(torch.zeros(1, 3, *size, device=like.device)).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Of images (n, 3, h, w) in [-1, 1]."""
        return torch.cat([tap.float().mean((2, 3)) for tap in self.perceptual.taps(images)], 1)


def frechet_name(perceptual: Perceptual) -> str:
    """What the distance with this network is called: ``frechet_squeeze`` for ``lpips_squeeze``."""
    return f"frechet_{perceptual.name.partition('_')[2]}"


def frechet_metric(perceptual: Perceptual, size: tuple[int, int]) -> FrechetInceptionDistance:
    """A metric whose `update(images, real=...)` takes images (n, 3, h, w) in [-1, 1]; it sums up over devices.

    torchmetrics gives a custom network the pictures as they come, without scaling or resizing, and keeps sums in double
    precision.

    Args:
        size: (height, width) of the pictures.
    """
    return FrechetInceptionDistance(feature=PooledTaps(perceptual, size), reset_real_features=False)


def to_levels(images: Tensor) -> Tensor:
    """Images as an 8-bit file holds them, in [-1, 1]: real pictures come from files, drawn ones must not stand out.

    >>> to_levels(torch.tensor([-1.3, 0.0, 1.0])).tolist()
    [-1.0, 0.003921627998352051, 1.0]
    """
    return images.clamp(-1, 1).add(1).mul(127.5).round().div(127.5).sub(1)


@torch.no_grad()
def frechet_distance(
    drawn: Iterable[Tensor], real: Iterable[Tensor], perceptual: Perceptual, size: tuple[int, int]
) -> float:
    """The Frechet distance between two sets of pictures, given in batches (n, 3, h, w) in [-1, 1].

    Raises:
        RuntimeError: a set of fewer than two pictures.

    Source: Heusel et al. 2017, Eq. 6; torchmetrics computes it.
    """
    metric = frechet_metric(perceptual, size)
    for batches, is_real in ((real, True), (drawn, False)):
        for images in batches:
            metric.update(to_levels(images), real=is_real)
    return float(metric.compute())
