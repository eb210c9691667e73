"""The layers of StyleGAN2, each able to work on a rectangle of its input.

Weights are shared by a batch: styles scale the features before the convolution and demodulation scales them after it,
which equals convolving with modulated weights (to rounding) and needs no grouped convolution. Activations are kept
channels-last, where CPUs and tensor cores are quickest.

Source: Karras et al., Analyzing and Improving the Image Quality of StyleGAN (2020), section 2 and appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

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
        y = torch.addmm(self.bias, x, self.weight.T, beta=self.bias_gain, alpha=self.weight_gain)
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


def filter_up(x: Tensor, taps: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
    """The filter `taps`, (4, 4), without padding beyond `pad` (left, right, top, bottom).

    At once, not along one axis after the other: half the time on a CPU, where a pass costs more than its arithmetic.
    """
    channels = x.shape[1]
    symmetric = pad[0] == pad[1] and pad[2] == pad[3]
    if not symmetric:
        x = F.pad(x, pad)
    padding = (pad[2], pad[0]) if symmetric else (0, 0)
    return F.conv2d(x, taps.expand(channels, 1, 4, 4), padding=padding, groups=channels)


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


class Modulation(NamedTuple):
    """What the styles of a batch do to a convolution, (n, channels, 1, 1) each."""

    inputs: Tensor
    outputs: Tensor

    def split(self) -> list[Modulation]:
        """That of each sample; one operation for all of them, whose gradient is one too."""
        return [Modulation(*pair) for pair in zip(self.inputs.split(1), self.outputs.split(1))]

    @staticmethod
    def joined(parts: Sequence[Modulation]) -> Modulation:
        """That of samples as a batch."""
        return Modulation(*(torch.cat(tensors) for tensors in zip(*parts)))


def laid_out(weight: Tensor, *, transposed: bool) -> Tensor:
    """The same (out, in, k, k), lying in memory as its convolution reads it.

    Laid out otherwise it is copied at every call: 40 of the 66 ms that 8 x 8 pixels of a block of 512 channels took on
    one CPU core, there and back.

    Args:
        transposed: by a transposed convolution, which takes (in, out, k, k).
    """
    if transposed:
        return laid_out(weight.transpose(0, 1), transposed=False).transpose(0, 1)
    return weight.contiguous(memory_format=torch.channels_last)


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; optionally upsampling by 2."""

    noise_const: Tensor
    taps: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, size: tuple[int, int], *, up: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(laid_out(torch.randn(outputs, inputs, 3, 3), transposed=up))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(*size))
        row = torch.tensor(FILTER) / 4
        self.register_buffer("taps", torch.outer(row, row) if up else None, persistent=False)  # gain 4 in all
        self.up, self.clamp = up, clamp
        self._kept: tuple[Any, tuple[Tensor, Tensor]] | None = None

    def modulation(self, styles: Tensor, dtype: torch.dtype) -> Modulation:
        """What styles (n, in) do to a convolution in a dtype: taken once for all rectangles that are drawn with them.

        The gain of the leaky ReLU is in it, since that scales with its input.
        """
        _, energy = self._prepared(dtype)
        styles = styles_for_half(styles) if dtype in HALF else styles
        scale = demodulation(energy, styles) * SQRT2
        return Modulation(styles.to(dtype)[:, :, None, None], scale.to(dtype)[:, :, None, None])

    def forward(
        self,
        x: Tensor,
        modulation: Modulation,
        noise: Tensor | None,
        regions: tuple[BlockRegions, BlockRegions],
        inside: Tensor | None = None,
    ) -> Tensor:
        """Features of the rectangle that `regions` (rows, columns) plans, (n, out, h, w).

        Args:
            noise: (h, w) or (n, 1, h, w), times its strength.
            inside: (n, 1, h, w), 1 in the picture and 0 where a rectangle reaches out of it; None: nowhere.
        """
        weight, _ = self._prepared(modulation.inputs.dtype)  # under autocast x may have another one
        x = x * modulation.inputs.to(x.dtype)
        y = self._upsampling(x, weight, regions) if self.up else self._plain(x, weight, regions)
        y = torch.addcmul((self.bias * SQRT2).to(y.dtype)[:, None, None], y, modulation.outputs.to(y.dtype))
        if noise is not None:
            y += noise.to(y.dtype)
        if inside is not None:
            y *= inside.to(y.dtype)  # before the activation, which leaves 0 as it is: one pass, and nothing to keep
        y = F.leaky_relu_(y, 0.2)
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)

    def scaled(self, noise: Tensor | None) -> Tensor | None:
        """Noise as `forward` takes it, of maps of unit deviation."""
        return None if noise is None else noise * (self.noise_strength * SQRT2)

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

    def _upsampling(self, x: Tensor, weight: Tensor, regions: tuple[BlockRegions, BlockRegions]) -> Tensor:
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        keep = []
        pad: list[int] = []
        for axis in regions:
            first = axis.transposed[0] - 2 * axis.inputs[0]
            keep.append(slice(first, first + axis.transposed[1] - axis.transposed[0]))
            pad = [*missing(filter_input(axis.middle), axis.transposed), *pad]
        return filter_up(y[:, :, keep[0], keep[1]], self.taps.to(y.dtype), (pad[0], pad[1], pad[2], pad[3]))


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, without demodulation."""

    def __init__(self, inputs: int, w_dim: int, *, clamp: float | None) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.gain = 1.0 / math.sqrt(inputs)
        self.clamp = clamp

    def modulated(self, styles: Tensor) -> Tensor:
        """(n, 3, in): the weights of a batch of styles (n, in)."""
        return self.weight[:, :, 0, 0] * (styles * self.gain)[:, None, :]

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """(n, 3, h, w) in single precision, of what `modulated` gives."""
        y = torch.einsum("nchw,noc->nohw", x, weight.to(x.dtype)) + self.bias.to(x.dtype)[:, None, None]
        return (y if self.clamp is None else y.clamp(-self.clamp, self.clamp)).float()
