"""LPIPS: the learned perceptual distance, with a published network or a domain's own."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.components.perceptual import domain_backbone
from chunkygan.components.perceptual.domain_backbone import DomainBackbone
from chunkygan.components.perceptual.published_backbone import PUBLISHED, PublishedBackbone
from chunkygan.errors import ComponentError, ShapeError, WeightsError
from chunkygan.interfaces import Perceptual
from chunkygan.shapes import check_shape
from chunkygan.weights import find, read_safetensors

EPS = 1e-10  # the lpips package's, added to the length of a pixel's feature vector


class Lpips(Perceptual):
    """LPIPS version 0.1, frozen: gradients reach the pictures only.

    Args:
        net: ``squeeze``, ``alex`` or ``vgg`` (the `lpips` package's networks and heads), or the name that a domain's
            own network carries. The distance is called ``lpips_<net>``.
        weights: a file or manifest name. For the published networks torchvision's state dict, and may be left out
            where torch's hub cache has it; for any other net a safetensors file of a `DomainBackbone`.
        resize: pictures whose longer side is larger are averaged down to it first, as projectors do at 256. Distances
            at different sizes are different measures although `name` tells the network only: report the size too.

    Raises:
        ComponentError: a net without published weights and without a file.
        WeightsError: weights that are missing, damaged or of another network.

    Source: Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, 2018.
    """

    def __init__(self, net: str = "squeeze", weights: str | Path | None = None, resize: int | None = None) -> None:
        super().__init__()
        if resize is not None and resize < 1:
            raise ComponentError(f"resize must be a size in pixels or left out; got {resize}")
        self.name = f"lpips_{net}"
        self.resize = resize
        self.backbone = _backbone(net, weights)
        # A third less time on a CPU; torch's own annotations forget this argument.
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Lpips:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Taps of the network, scaled so that `distance` is a sum of squared differences.

        Each tap's pixels are unit vectors, times the square root of the head, over the square root of the number of
        pixels.

        Args:
            images: (n, 3, h, w) in [-1, 1].

        Returns:
            One (n, C_k, h_k, w_k) a tap.

        Raises:
            ShapeError: no three-channel pictures, or smaller than the network's last tap allows.
        """
        check_shape(images, "n 3 h w", name="images")
        images = _reduce(images, self.resize)
        if min(images.shape[-2:]) < self.backbone.min_size:
            raise ShapeError(
                f"{self.name} needs pictures of at least {self.backbone.min_size} pixels a side; "
                f"got {tuple(images.shape[-2:])}"
            )
        return [_scaled(tap, head) for tap, head in zip(self.backbone.taps(images), self.backbone.heads)]

    def taps(self, images: Tensor) -> list[Tensor]:
        return self.backbone.taps(_reduce(images, self.resize))

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """(n,) LPIPS distances of two results of `features`; one of them may hold a single picture."""
        return torch.stack([(x - y).square().sum((1, 2, 3)) for x, y in zip(a, b)]).sum(0)


def _backbone(net: str, weights: str | Path | None) -> DomainBackbone | PublishedBackbone:
    if net in PUBLISHED:
        return PublishedBackbone(net, weights)
    if weights is None:
        raise ComponentError(
            f"lpips: net must be one of {', '.join(PUBLISHED)}, or come with weights of its own; got {net!r} alone"
        )
    path = find(weights)
    try:
        backbone, name = domain_backbone.from_state(*read_safetensors(path))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    if name != net:
        raise WeightsError(f"{path}: holds the network of lpips_{name}; lpips_{net} was asked for: net: {name}")
    return backbone


def _scaled(tap: Tensor, head: Tensor) -> Tensor:
    """Unit feature vectors of a tap (n, c, h, w), weighted so that their squared differences sum to its share.

    The length is taken by `vector_norm`, whose gradient is 0, not NaN, where a pixel's features all are.
    """
    tap = tap.float() if tap.dtype in (torch.float16, torch.bfloat16) else tap  # squares would overflow
    length = torch.linalg.vector_norm(tap, dim=1, keepdim=True)
    weight = (head.to(tap) / (tap.shape[2] * tap.shape[3])).sqrt().reshape(-1, 1, 1)
    return tap * weight * (1 / (length + EPS))  # two products: a division of the whole tap has a costly gradient


def _reduce(images: Tensor, size: int | None) -> Tensor:
    """Pictures averaged down so that their longer side is `size`; as they are where it is not larger."""
    height, width = images.shape[-2:]
    if size is None or max(height, width) <= size:
        return images
    factor = size / max(height, width)
    return F.interpolate(images, (max(1, round(height * factor)), max(1, round(width * factor))), mode="area")
