"""A domain's own identity network, for pictures that no face recognition network was made for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from chunkygan.components.classifiers.residual_trunk import ResidualTrunk
from chunkygan.errors import ComponentError, WeightsError
from chunkygan.interfaces import Identity
from chunkygan.network_file import fill_network, read_network
from chunkygan.shapes import check_shape

KIND = "identity_network"
KEYS = ("net", "dimensions", "size", "widths")


class DomainIdentity(Identity):
    """Cosine of a small residual network's embeddings of the domain's pictures, whole; frozen.

    Args:
        net: the name that the network carries. The measure is called ``identity_<net>``.
        weights: file or manifest name of a network that `train_identity` wrote.
        config: `dimensions`, `size` and `widths` of an untrained network instead, as a training starts from.

    Raises:
        ComponentError: neither weights nor config, or both.
        WeightsError: weights that are missing, damaged, of another network or of another name.
    """

    def __init__(self, net: str, weights: str | Path | None = None, config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        if (weights is None) == (config is None):
            raise ComponentError("identity 'domain': name one of weights and config")
        state = None
        if weights is not None:
            config, state = read_network(weights, KIND, KEYS)
            if config["net"] != net:
                raise WeightsError(
                    f"{weights}: holds the network of identity_{config['net']}; identity_{net} was asked for"
                )
        self.name = f"identity_{net}"
        self.config: dict[str, Any] = {"kind": KIND, "net": net, **dict(config or {})}
        self.network = ResidualTrunk(self.config["dimensions"], self.config["size"], self.config["widths"])
        if state is not None:
            fill_network(self.network, state, weights or "")
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> DomainIdentity:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def embed(self, images: Tensor) -> Tensor:
        """(n, dimensions) unit vectors of pictures (n, 3, h, w) in [-1, 1]; differentiable.

        Raises:
            ShapeError: no three-channel pictures.
        """
        check_shape(images, "n 3 h w", name="images")
        return F.normalize(self.network(images))
