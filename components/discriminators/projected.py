"""A discriminator that sees pictures through a frozen network: it learns from fewer pictures than one of pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from chunkygan.build import create
from chunkygan.errors import ShapeError
from chunkygan.interfaces import Discriminator
from chunkygan.shapes import check_shape

SMALLEST, NARROWEST = 8, 32
"""Pixels of the shorter side of a map of judgements, smaller feature maps being judged as they are; and the fewest
channels of a head's hidden layers."""


class Projection(nn.Module):
    """Feature maps mixed over channels and, from coarse to fine, over sizes, by fixed random convolutions.

    Args:
        widths: channels of each map, finest first; they stay.
        seed: of the random weights.
    """

    def __init__(self, widths: Sequence[int], seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.channels = nn.ModuleList(_fixed(width, width, 1, rng) for width in widths)
        self.coarser = nn.ModuleList(_fixed(coarse, fine, 1, rng) for fine, coarse in itertools.pairwise(widths))
        self.sizes = nn.ModuleList(_fixed(width, width, 3, rng) for width in widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the same shapes, finest first."""
        mixed = [mix(x) for mix, x in zip(self.channels, maps)]
        found = [self.sizes[-1](mixed[-1])]
        for level in range(len(mixed) - 2, -1, -1):
            above = F.interpolate(self.coarser[level](found[0]), mixed[level].shape[-2:], mode="bilinear")
            found.insert(0, self.sizes[level]((mixed[level] + above) * math.sqrt(0.5)))
        return found


class Head(nn.Sequential):
    """Judgements (n, 1, h, w) of the places of a feature map, which is halved until `SMALLEST`.

    Args:
        width: channels of the map.
        side: its shorter side in pixels.
        widest: channels double where the size halves, up to so many.
    """

    def __init__(self, width: int, side: int, widest: int) -> None:
        layers: list[nn.Module] = []
        while side > SMALLEST:
            wider = min(max(2 * width, NARROWEST), widest)
            layers += _hidden(nn.Conv2d(width, wider, 4, stride=2, padding=1))
            width, side = wider, side // 2
        layers += _hidden(nn.Conv2d(width, width, 3, padding=1))
        super().__init__(*layers, spectral_norm(nn.Conv2d(width, 1, 3, padding=1)))


class ProjectedDiscriminator(Discriminator):
    """Heads on the feature maps of a frozen perceptual network, one each, judging place by place; one on the picture.

    Nothing about pictures has to be learnt but what gives drawn ones away, so it serves where pictures, or the time to
    see them, are few. The head that sees the picture itself looks after what the frozen network is blind to. Spectral
    normalisation keeps the heads smooth in place of R1: leave that out (`gamma: 0`).

    Args:
        resolution: (height, width) of the pictures in pixels.
        c_dim: must be 0: it judges pictures without classes.
        features: spec of the perceptual network whose `taps` it sees through, at least one.
        widest: most channels a head has.
        seed: of the fixed random mixtures.

    Raises:
        ShapeError: classes are asked for.

    Source: Sauer et al., Projected GANs Converge Faster (2021), section 3. Theirs normalises batches, which would make
    a picture's judgement depend on its neighbours, where here groups of channels are; and has no head for pixels.
    """

    def __init__(
        self,
        resolution: Sequence[int],
        c_dim: int = 0,
        features: Mapping[str, Any] | None = None,
        widest: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if c_dim:
            raise ShapeError(f"c_dim: the projected discriminator takes no classes; got {c_dim}")
        height, width = resolution
        self.resolution, self.c_dim = (height, width), 0
        self.perceptual = create("perceptual", dict(features or {"name": "lpips"})).requires_grad_(False)
        with torch.no_grad():
            maps = self.perceptual.taps(torch.zeros(1, 3, height, width))
        self.projection = Projection([found.shape[1] for found in maps], seed).requires_grad_(False)
        judged = [torch.zeros(1, 3, height, width), *maps]
        self.heads = nn.ModuleList(Head(found.shape[1], min(found.shape[-2:]), widest) for found in judged)
        self.register_buffer("scales", torch.zeros(len(maps)))

    scales: Tensor

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        check_shape(images, "n 3 h w", name="images", h=self.resolution[0], w=self.resolution[1])
        if c is not None:
            raise ShapeError("c: the projected discriminator takes no classes")
        maps = self.perceptual.taps(images)
        if not bool(self.scales.all()):  # data-dependent, once: networks differ in how large their features are
            self.scales = torch.stack([1 / found.detach().square().mean().sqrt().clamp(min=1e-8) for found in maps])
        seen = [images, *self.projection([found * scale for found, scale in zip(maps, self.scales)])]
        return torch.cat([head(found).flatten(1) for head, found in zip(self.heads, seen)], 1)


def _fixed(inputs: int, outputs: int, kernel: int, rng: torch.Generator) -> nn.Conv2d:
    """A convolution without bias whose random weights keep the size of what passes."""
    made = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    with torch.no_grad():
        made.weight.copy_(torch.randn(made.weight.shape, generator=rng) / math.sqrt(inputs * kernel * kernel))
    return made


def _hidden(convolution: nn.Conv2d) -> list[nn.Module]:
    """A layer whose outputs are normalised in groups of channels, or judgements would fade from layer to layer."""
    width = convolution.out_channels
    return [spectral_norm(convolution), nn.GroupNorm(math.gcd(width, 8), width), nn.LeakyReLU(0.2)]
