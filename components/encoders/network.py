"""The encoder networks of the pSp family: one picture to codes, before any mean code is added."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.checkpoint_files.encoder_states import EncoderConfig
from chunkygan.components.encoders.bodies import residual_layers, resnet_layers, stages

COARSE, MIDDLE = 3, 7
"""Rows before the first see the lowest level of a pyramid, those before the second the next, the rest the third."""


class EqualLinear(nn.Module):
    """A linear layer whose stored weights are of unit variance."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight / math.sqrt(self.weight.shape[1]), self.bias)


class StyleHead(nn.Module):
    """Features (n, c, side, side) to one row of a code: halved down to one pixel, then linear."""

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(int(math.log2(side))):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU()]
            inputs = outputs
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.convs(x).flatten(1))


class EncoderNetwork(nn.Module):
    """(n, inputs, input_size, input_size) in [-1, 1] to codes (n, rows, style_dim); state names of pSp's checkpoints.

    Args:
        config: the shape; `progressive` None counts as False.

    Attributes:
        stage: how many rows after the first get a difference of their own, where they are differences; raised during
            e4e's training.

    Source: Richardson et al. 2021 (pSp), Tov et al. 2021 (e4e), Alaluf et al. 2021 (ReStyle); layer numbering of their
    code.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.stage = config.rows
        top, dim = config.widths[-1], config.style_dim
        layers = resnet_layers(config) if config.body == "resnet" else residual_layers(config)
        for name, layer in layers.items():  # this module's own: checkpoints know no name for the body as a whole
            self.add_module(name, layer)
        self._stem = [name for name in layers if name != "body"]
        if config.head in ("pyramid", "flat"):
            side = config.input_size // 16
            pyramid = config.head == "pyramid"
            sides = [side << (_level(row) if pyramid else 0) for row in range(config.rows)]
            self.styles = nn.ModuleList(StyleHead(top, dim, size) for size in sides)
            if pyramid:
                self.latlayer1 = nn.Conv2d(config.widths[-2], top, 1)
                self.latlayer2 = nn.Conv2d(config.widths[-3], top, 1)
        else:
            outputs = dim * config.rows if config.head == "w_plus" else dim
            self.linear = EqualLinear(top, outputs)
            if config.head == "w_plus":
                self.output_layer_2 = nn.Sequential(
                    nn.BatchNorm2d(top), nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(top * 49, top)
                )

    def forward(self, x: Tensor) -> Tensor:
        features = self._features(x)
        rows, head = self.config.rows, self.config.head
        if head == "w":
            return self.linear(F.adaptive_avg_pool2d(features[-1], 1).flatten(1))[:, None].repeat(1, rows, 1)
        if head == "w_plus":
            return self.linear(self.output_layer_2(features[-1])).unflatten(1, (rows, -1))
        levels = self._pyramid(features) if head == "pyramid" else features[-1:]
        per_row = [levels[min(_level(row), len(levels) - 1)] for row in range(rows)]
        if not self.config.progressive:
            return torch.stack([style(level) for style, level in zip(self.styles, per_row)], 1)
        first = self.styles[0](per_row[0])
        changes = [
            style(level) if row <= self.stage else torch.zeros_like(first)
            for row, (style, level) in enumerate(zip(self.styles, per_row))
            if row
        ]
        return torch.stack([first, *(first + change for change in changes)], 1)

    def _features(self, x: Tensor) -> list[Tensor]:
        for name in self._stem:
            x = self.get_submodule(name)(x)
        return stages(x, self.get_submodule("body"), self.config.units)  # type: ignore[arg-type]

    def _pyramid(self, features: list[Tensor]) -> list[Tensor]:
        low = features[-1]
        middle = _enlarged(low, features[-2]) + self.latlayer1(features[-2])
        return [low, middle, _enlarged(middle, features[-3]) + self.latlayer2(features[-3])]


def _level(row: int) -> int:
    """The level of the pyramid that a row sees: 0 is the lowest resolution."""
    return (row >= COARSE) + (row >= MIDDLE)


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
