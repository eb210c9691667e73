"""The layers of StyleGAN2, each able to work on a rectangle of its input.

Weights are shared by a batch: styles scale the features before the convolution and demodulation scales them after it,
which equals convolving with modulated weights (to rounding) and needs no grouped convolution. Activations are kept
channels-last, where CPUs and tensor cores are quickest.

Source: Karras et al., Analyzing and Improving the Image Quality of StyleGAN (2020), section 2 and appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.components.generators.stylegan2_regions import (
    BlockRegions,
    Interval,
    clip,
    conv_input,
    upsample_input,
    upsampling_input,
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


Area = tuple[Interval, Interval]
"""Rows and columns of a rectangle."""


@lru_cache(maxsize=8192)
def _shared(have: Area, wanted: Area) -> Area:
    """The rectangle that two have in common."""
    (top, bottom), (left, right) = (clip((w[0] - h[0], w[1] - h[0]), h[1] - h[0]) for h, w in zip(have, wanted))
    return (top + have[0][0], bottom + have[0][0]), (left + have[1][0], right + have[1][0])


class _Placed(torch.autograd.Function):
    """See `placed`. Its adjoint is the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, have: Area, wanted: Area) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.areas = have, wanted
        return _place(x, scale, have, wanted)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (slope,), (x, scale), (have, wanted) = slopes, ctx.saved_tensors, ctx.areas
        back = _Placed.apply if torch.is_grad_enabled() else _place
        shared = _shared(have, wanted)
        product = cropped(slope, wanted, shared) * cropped(x, have, shared)
        return back(slope, scale, wanted, have), product.sum((2, 3), keepdim=True), None, None


def _place(x: Tensor, scale: Tensor, have: Area, wanted: Area) -> Tensor:
    """As `placed`, without a gradient."""
    shared = _shared(have, wanted)
    part = cropped(x, have, shared)
    if shared == wanted:
        return part * scale
    (rows, columns), (height, width) = wanted, (end - first for first, end in wanted)
    out = torch.empty((*x.shape[:2], height, width), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    (above, below), (left, right) = missing(rows, shared[0]), missing(columns, shared[1])
    rims = out[:, :, :above], out[:, :, height - below :], out[..., :left], out[..., width - right :]
    for rim, size in zip(rims, (above, below, left, right)):
        if size:
            rim.zero_()
    torch.mul(part, scale, out=cropped(out, wanted, shared))
    return out


def placed(x: Tensor, scale: Tensor, have: Area, wanted: Area) -> Tensor:
    """x * scale on the rectangle `wanted`, cut and padded with zeros in the same pass, there and back.

    Args:
        x: (n, c, h, w), the rectangle `have`.
        scale: (n, c, 1, 1) of the same dtype.
    """
    placing = _Placed.apply if torch.is_grad_enabled() else _place
    return x * scale if have == wanted else placing(x, scale, have, wanted)


def cropped(x: Tensor, have: Area, wanted: Area) -> Tensor:
    """The part of a rectangle that is wanted; it must lie inside."""
    if have == wanted:
        return x
    slices = [slice(want[0] - has[0], want[1] - has[0]) for has, want in zip(have, wanted)]
    return x[..., slices[0], slices[1]]


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
        convolve = self._upsampling if self.up else self._plain
        y = convolve(x, modulation.inputs.to(x.dtype), weight, regions)
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
    def _plain(x: Tensor, scale: Tensor, weight: Tensor, regions: tuple[BlockRegions, BlockRegions]) -> Tensor:
        rows, columns = regions
        have, wanted = (rows.middle, columns.middle), (conv_input(rows.features), conv_input(columns.features))
        area, padding = _own_padding(have, wanted)
        return F.conv2d(placed(x, scale, have, area), weight, padding=padding)

    def _upsampling(
        self, x: Tensor, scale: Tensor, weight: Tensor, regions: tuple[BlockRegions, BlockRegions]
    ) -> Tensor:
        """A stride-2 transposed convolution, then the filter at once, not along one axis after the other: half the time
        on a CPU, where a pass costs more than its arithmetic."""
        rows, columns = regions
        have, wanted = (rows.inputs, columns.inputs), (upsampling_input(rows.middle), upsampling_input(columns.middle))
        area, padding = _own_padding(have, wanted)
        # Without zeros around it the transposed convolution gives one pixel less on each side, which is zero as well.
        cut = 1 - padding[0], 1 - padding[1]
        y = F.conv_transpose2d(placed(x, scale, have, area), weight.transpose(0, 1), stride=2, padding=cut)
        channels = y.shape[1]
        return F.conv2d(y, self.taps.to(y.dtype).expand(channels, 1, 4, 4), padding=padding, groups=channels)


def _own_padding(have: Area, wanted: Area) -> tuple[Area, tuple[int, int]]:
    """What a convolution is to be given, and how much it pads by itself: along an axis whose both ends lack a pixel."""
    lacks = [missing(w, h) == (1, 1) for h, w in zip(have, wanted)]
    rows, columns = (h if own else w for own, h, w in zip(lacks, have, wanted))
    return (rows, columns), (int(lacks[0]), int(lacks[1]))


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
