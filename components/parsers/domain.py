"""A domain's own parser: the class of every pixel, from a small U-shaped network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.errors import ComponentError, ShapeError
from chunkygan.interfaces import Parser
from chunkygan.network_file import fill_network, read_network
from chunkygan.shapes import check_shape

KIND = "parser_network"
KEYS = ("classes", "widths")


class DomainParser(Parser):
    """Classes of pixels from a small U-shaped network, at the pictures' own size; frozen.

    Args:
        weights: file or manifest name of a network that `train_parser` wrote.
        config: `classes` and `widths` of an untrained network instead, as a training starts from.

    Raises:
        ComponentError: neither weights nor config, or both.
        WeightsError: weights that are missing, damaged or of another network.
    """

    def __init__(self, weights: str | Path | None = None, config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        if (weights is None) == (config is None):
            raise ComponentError("parser 'domain': name one of weights and config")
        state = None
        if weights is not None:
            config, state = read_network(weights, KIND, KEYS)
        self.config: dict[str, Any] = {"kind": KIND, **dict(config or {})}
        self.classes = tuple(self.config["classes"])
        self.network = ParserNetwork(len(self.classes), self.config["widths"])
        if state is not None:
            fill_network(self.network, state, weights or "")
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> DomainParser:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """(n, len(classes), h, w) logits of pictures (n, 3, h, w) in [-1, 1]; differentiable.

        Raises:
            ShapeError: no three-channel pictures, or a side that the network cannot halve often enough.
        """
        check_shape(images, "n 3 h w", name="images")
        step = self.network.step
        if any(side % step for side in images.shape[-2:]):
            raise ShapeError(f"a parser needs sides that are multiples of {step}; got {tuple(images.shape[-2:])}")
        return self.network(images)


class ParserNetwork(nn.Module):
    """The plain network: folds pixels two by two, goes down by halves, and up again adding what it passed.

    Args:
        classes: how many.
        widths: channels of each stage.

    Attributes:
        step: pixels that sides must be multiples of.
    """

    def __init__(self, classes: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.step = 2 ** len(widths)
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, width, 2 if k else 1), _convolution(width, width, 1))
            for k, (before, width) in enumerate(zip((12, *widths), widths))
        )
        pairs = list(pairwise(widths))[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(deep, shallow, 1) for shallow, deep in pairs)
        self.up = nn.ModuleList(_convolution(shallow, shallow, 1) for shallow, _ in pairs)
        self.tell = nn.Conv2d(widths[0], 4 * classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)
        passed = []
        for stage in self.down:
            x = stage(x)
            passed.append(x)
        for narrow, up, beside in zip(self.narrow, self.up, passed[-2::-1]):
            x = F.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = up(x + beside)
        return F.pixel_shuffle(self.tell(x), 2)


def _convolution(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())
