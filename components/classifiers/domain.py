"""A domain's own attribute network: a few numbers that say what a picture shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chunkygan.components.classifiers.residual_trunk import ResidualTrunk
from chunkygan.errors import ComponentError
from chunkygan.interfaces import Classifier
from chunkygan.network_file import fill_network, read_network
from chunkygan.shapes import check_shape

KIND = "attribute_network"
KEYS = ("names", "size", "widths")


class DomainClassifier(Classifier):
    """Attributes in the domain's own units, from a small residual network; frozen.

    Args:
        weights: file or manifest name of a network that `train_attributes` wrote.
        config: `names`, `size` and `widths` of an untrained network instead, as a training starts from.

    Raises:
        ComponentError: neither weights nor config, or both.
        WeightsError: weights that are missing, damaged or of another network.
    """

    def __init__(self, weights: str | Path | None = None, config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        if (weights is None) == (config is None):
            raise ComponentError("classifier 'domain': name one of weights and config")
        state = None
        if weights is not None:
            config, state = read_network(weights, KIND, KEYS)
        self.config: dict[str, Any] = {"kind": KIND, **dict(config or {})}
        self.names = tuple(self.config["names"])
        self.network = AttributeNetwork(len(self.names), self.config["size"], self.config["widths"])
        if state is not None:
            fill_network(self.network, state, weights or "")
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> DomainClassifier:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """(n, len(names)) attributes of pictures (n, 3, h, w) in [-1, 1]; differentiable.

        Raises:
            ShapeError: no three-channel pictures.
        """
        check_shape(images, "n 3 h w", name="images")
        return self.network(images)


class AttributeNetwork(nn.Module):
    """The plain network: a trunk that tells standardised attributes, brought to their units.

    Attributes:
        mean, spread: (k,) of the attributes over the training's pictures.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, count: int, size: int, widths: list[int]) -> None:
        super().__init__()
        self.trunk = ResidualTrunk(count, size, widths)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))

    def forward(self, images: Tensor) -> Tensor:
        return self.mean + self.spread * self.trunk(images)
