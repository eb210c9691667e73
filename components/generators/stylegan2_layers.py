"""The layers of StyleGAN2, each able to work on a rectangle of its input.

Weights are shared by a batch: styles scale the features before the convolution and demodulation scales them after it,
which equals convolving with modulated weights (to rounding) and needs no grouped convolution. Activations are kept
channels-last, where CPUs and tensor cores are quickest.

Source: Karras et al., Analyzing and Improving the Image Quality of StyleGAN (2020), section 2 and appendix B.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.components.generators.stylegan2_regions import (
    BlockRegions,
    Interval,
    conv_input,
    filter_input,
    upsample_input,
)

EPSILON = 1e-8
SQRT2 = math.sqrt(2.0)
FILTER = (1.0, 3.0, 3.0, 1.0)


class FullyConnected(nn.Module):
    """Equalised linear layer: weights are stored as the optimiser sees them and scaled when used.

    Args:
        lr_multiplier: the stored values are divided, and the used ones multiplied by this.
        activate: leaky ReLU of slope 0.2 and gain sqrt(2) afterwards.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, lr_multiplier: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(inputs)
        self.bias_gain = lr_multiplier
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(y, 0.2) * SQRT2 if self.activate else y


HALF = (torch.float16, torch.bfloat16)


def filter_energy(weight: Tensor) -> Tensor:
    """(in, out): squared length of what each filter does to each channel, of weights (out, in, k, k)."""
    return weight.square().sum((2, 3)).T


def demodulation(energy: Tensor, styles: Tensor) -> Tensor:
    """(n, out): one over the length of every modulated filter.

    Args:
        energy: see `filter_energy`.
        styles: (n, in).
    """
    return (styles.square() @ energy + EPSILON).rsqrt()


def weight_for_half(weight: Tensor) -> Tensor:
    """Weights brought into the range of half precision; demodulation cancels the factors."""
    return weight / (weight.abs().amax((1, 2, 3), keepdim=True) * math.sqrt(weight[0].numel()))


def styles_for_half(styles: Tensor) -> Tensor:
    """Styles (n, in) brought into the range of half precision; demodulation cancels the factors."""
    return styles / styles.abs().amax(1, keepdim=True)


def filter_up(x: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
    """The separable filter [1, 3, 3, 1] / 4, gain 4 in all, without padding beyond `pad` (left, right, top, bottom)."""
    taps = torch.tensor(FILTER, dtype=x.dtype, device=x.device) / 4
    channels = x.shape[1]
    symmetric = pad[0] == pad[1] and pad[2] == pad[3]
    if not symmetric:
        x = F.pad(x, pad)
    rows, columns = (pad[2], pad[0]) if symmetric else (0, 0)
    x = F.conv2d(x, taps.view(1, 1, 4, 1).expand(channels, 1, 4, 1), padding=(rows, 0), groups=channels)
    return F.conv2d(x, taps.view(1, 1, 1, 4).expand(channels, 1, 1, 4), padding=(0, columns), groups=channels)


def missing(wanted: Interval, have: Interval) -> tuple[int, int]:
    """How much of an interval lies before and after what there is: the padding."""
    return have[0] - wanted[0], wanted[1] - have[1]


def upsample_image(image: Tensor, rows: Interval, columns: Interval, have: tuple[Interval, Interval]) -> Tensor:
    """Rows and columns of the picture upsampled by 2 with the filter [1, 3, 3, 1], zeros around it.

    Args:
        image: the rectangle `have` (rows, columns) of the picture, which holds all that is needed.
    """
    # Inside, the filter is bilinear interpolation; a rim of zeros makes the border right as well.
    wanted = upsample_input(rows), upsample_input(columns)
    top, bottom = missing(wanted[0], have[0])
    left, right = missing(wanted[1], have[1])
    padded = F.pad(image, (left, right, top, bottom))
    up = F.interpolate(padded, scale_factor=2, mode="bilinear", align_corners=False)
    y, x = rows[0] - 2 * wanted[0][0], columns[0] - 2 * wanted[1][0]
    return up[..., y : y + rows[1] - rows[0], x : x + columns[1] - columns[0]]


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; optionally upsampling by 2."""

    noise_const: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, size: tuple[int, int], *, up: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3).contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(*size))
        self.up, self.clamp = up, clamp
        self._kept: tuple[Any, tuple[Tensor, Tensor]] | None = None

    def forward(
        self, x: Tensor, styles: Tensor, noise: Tensor | None, regions: tuple[BlockRegions, BlockRegions]
    ) -> Tensor:
        """Features of the rectangle that `regions` (rows, columns) plans, (n, out, h, w)."""
        weight, energy = self._prepared(x.dtype)
        styles = styles_for_half(styles) if x.dtype in HALF else styles
        scale = demodulation(energy, styles).to(x.dtype)
        x = x * styles.to(x.dtype)[:, :, None, None]
        y = self._upsampling(x, weight, regions) if self.up else self._plain(x, weight, regions)
        y = y * scale[:, :, None, None]
        if noise is not None:
            y = y + (noise * self.noise_strength).to(y.dtype)
        y = F.leaky_relu(y + self.bias.to(y.dtype)[:, None, None], 0.2) * SQRT2
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)

    def _prepared(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Weights in a dtype and their energy; kept while the weights are frozen and stay as they are."""
        if self.weight.requires_grad:
            return self._prepare(dtype)
        state = self.weight.data_ptr(), self.weight._version, dtype
        if self._kept is None or self._kept[0] != state:
            self._kept = state, self._prepare(dtype)
        return self._kept[1]

    def _prepare(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        weight = weight_for_half(self.weight) if dtype in HALF else self.weight
        return weight.to(dtype), filter_energy(weight)

    @staticmethod
    def _plain(x: Tensor, weight: Tensor, regions: tuple[BlockRegions, BlockRegions]) -> Tensor:
        top, bottom = missing(conv_input(regions[0].features), regions[0].middle)
        left, right = missing(conv_input(regions[1].features), regions[1].middle)
        if top == bottom and left == right:
            return F.conv2d(x, weight, padding=(top, left))
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight)

    @staticmethod
    def _upsampling(x: Tensor, weight: Tensor, regions: tuple[BlockRegions, BlockRegions]) -> Tensor:
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        keep = []
        pad: list[int] = []
        for axis in regions:
            first = axis.transposed[0] - 2 * axis.inputs[0]
            keep.append(slice(first, first + axis.transposed[1] - axis.transposed[0]))
            pad = [*missing(filter_input(axis.middle), axis.transposed), *pad]
        return filter_up(y[:, :, keep[0], keep[1]], (pad[0], pad[1], pad[2], pad[3]))


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, without demodulation."""

    def __init__(self, inputs: int, w_dim: int, *, clamp: float | None) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.gain = 1.0 / math.sqrt(inputs)
        self.clamp = clamp

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """(n, 3, h, w) in single precision."""
        weight = self.weight[:, :, 0, 0] * (styles * self.gain)[:, None, :]  # (n, 3, in)
        y = torch.einsum("nchw,noc->nohw", x, weight.to(x.dtype)) + self.bias.to(x.dtype)[:, None, None]
        return (y if self.clamp is None else y.clamp(-self.clamp, self.clamp)).float()
