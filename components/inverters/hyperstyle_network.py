"""HyperStyle's hypernetwork: from a picture beside its reconstruction to changes of a generator's convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from chunkygan.checkpoint_files.hypernetwork_states import HypernetworkConfig, RefinementConfig
from chunkygan.components.encoders.bodies import resnet_layers
from chunkygan.components.encoders.network import EqualLinear
from chunkygan.errors import WeightsError

Shape = tuple[int, ...]


class Hypernetwork(nn.Module):
    """(n, 6, side, side) in [-1, 1] to relative changes of weights; state names of HyperStyle's checkpoints.

    Args:
        config: the shape.
        shapes: (out, in, k, k) of the generator's modulated convolutions in forward order, toRGB included.

    Raises:
        WeightsError: it was made for a generator with other convolutions.

    Source: Alaluf et al., HyperStyle: StyleGAN Inversion with HyperNetworks (2022); layer numbering of its code.
    """

    def __init__(self, config: HypernetworkConfig, shapes: Sequence[Shape]) -> None:
        super().__init__()
        if max(config.refinements) >= len(shapes):
            raise WeightsError(
                f"it changes layer {max(config.refinements)}, but the generator has only {len(shapes)} layers: "
                "they do not belong together"
            )
        self.shapes = list(shapes)
        for name, layer in resnet_layers(config.body).items():
            self.add_module(name, layer)
        if config.shared is not None:
            self.shared_weight_hypernet = SharedMaps(*config.shared)
        self.refinement_blocks = nn.ModuleList(
            _part(config, j, shape) if j in config.refinements else nn.Identity() for j, shape in enumerate(shapes)
        )
        self.changed = tuple(config.refinements)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Index of a convolution -> (n, out, in, k, k), what is to be added to 1 and multiplied with its weights."""
        for name in ("conv1", "bn1", "relu", "body"):
            x = self.get_submodule(name)(x)
        found = {}
        for j in self.changed:
            change = self.refinement_blocks[j](x)
            if isinstance(self.refinement_blocks[j], SharedPart):
                change = self.shared_weight_hypernet(change).reshape(len(x), *self.shapes[j])
            found[j] = change.expand(-1, *self.shapes[j])
        return found


class SharedMaps(nn.Module):
    """Two linear maps, one after the other, from a code (n, c) to a filter (n, out, in, k, k)."""

    def __init__(self, code: int, outputs: int, inputs: int) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.zeros(code, outputs))
        self.b1 = nn.Parameter(torch.zeros(outputs))
        self.w2 = nn.Parameter(torch.zeros(code, inputs * code))
        self.b2 = nn.Parameter(torch.zeros(inputs * code))
        self.inputs, self.code = inputs, code

    def forward(self, code: Tensor) -> Tensor:
        rows = (code @ self.w2 + self.b2).view(len(code), self.inputs, self.code)
        return rows @ self.w1 + self.b1  # read as (out, in, k, k) in this order, as the published weights want it


class SharedPart(nn.Module):
    """Features to a code for the shared maps."""

    def __init__(self, channels: Shape) -> None:
        super().__init__()
        self.convs = _convolutions(channels, first_stride=1)
        self.linear = EqualLinear(channels[-1], channels[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.convs(x).flatten(1))


class RepeatedPart(nn.Module):
    """Features to one number for each pair of channels, the same at every place of the filter."""

    def __init__(self, channels: Shape, shape: Shape) -> None:
        super().__init__()
        self.convs = _convolutions(channels)
        self.output = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels[-1], shape[0] * shape[1], 1))
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.convs(x)).view(len(x), *self.shape[:2], 1, 1)


class ToRgbPart(nn.Module):
    """Features of one pixel to the change of a toRGB layer."""

    def __init__(self, channels: Shape, shape: Shape) -> None:
        super().__init__()
        self.convs = _convolutions(channels)
        self.output = nn.Sequential(nn.Conv2d(channels[-1], shape[0] * shape[1], 1))
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.convs(x)).view(len(x), *self.shape)


class SeparablePart(nn.Module):
    """Features to filters that are a product of a row and a column at every place."""

    def __init__(self, channels: Shape, shape: Shape) -> None:
        super().__init__()
        self.convs = _convolutions(channels)
        self.output = nn.Sequential(SeparableFilter(channels[-1], shape))
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.convs(x))


class SeparableFilter(nn.Module):
    """Features, (n, c) in all, to filters (n, out, in, k, k)."""

    def __init__(self, features: int, shape: Shape) -> None:
        super().__init__()
        outputs, inputs, k, _ = shape
        self.make_kernel_in = nn.Linear(features, k * k * inputs)
        self.make_kernel_out = nn.Linear(features, k * k * outputs)
        self.kernel_linear_in = nn.Linear(inputs, inputs)
        self.kernel_linear_out = nn.Linear(outputs, outputs)
        self.features, self.shape = features, shape

    def forward(self, x: Tensor) -> Tensor:
        outputs, inputs, k, _ = self.shape
        x = x.reshape(-1, self.features)
        rows = self.make_kernel_in(x).view(-1, k, k, 1, inputs)
        columns = self.make_kernel_out(x).view(-1, k, k, outputs, 1)
        filters = self.kernel_linear_in(columns @ rows)  # (n, k, k, out, in)
        filters = self.kernel_linear_out(filters.transpose(3, 4))  # (n, k, k, in, out)
        return filters.permute(0, 4, 3, 1, 2)


def _part(config: HypernetworkConfig, j: int, shape: Shape) -> nn.Module:
    part: RefinementConfig = config.refinements[j]
    if part.kind == "shared":
        code, outputs, inputs = config.shared or (0, 0, 0)
        if (outputs * inputs, code) != (_numbers(shape), part.convs[-1]):
            raise WeightsError(
                f"its shared maps give {outputs * inputs} numbers, but layer {j} of the generator has the shape "
                f"{shape}: they do not belong together"
            )
        return SharedPart(part.convs)
    made = {"repeated": RepeatedPart, "separable": SeparablePart, "to_rgb": ToRgbPart}[part.kind]
    return made(part.convs, shape)


def _numbers(shape: Shape) -> int:
    return int(torch.Size(shape).numel())


def _convolutions(channels: Shape, *, first_stride: int = 2) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(channels)):
        layers += [nn.Conv2d(before, after, 3, 2 if number else first_stride, 1), nn.LeakyReLU()]
    return nn.Sequential(*layers)
