"""The layers of StyleGAN2's discriminator. All of them can be differentiated twice, as a gradient penalty needs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.components.generators.stylegan2_layers import FILTER, SQRT2, FullyConnected
from chunkygan.components.generators.stylegan2_mapping import normalise


def filter_down(x: Tensor, pad: int, *, stride: int = 1) -> Tensor:
    """The separable filter [1, 3, 3, 1] / 8 over features (n, c, h, w), zeros around them, every `stride`-th kept."""
    taps = torch.tensor(FILTER, dtype=x.dtype, device=x.device) / 8
    n = x.shape[1]
    x = F.conv2d(x, taps.view(1, 1, 4, 1).expand(n, 1, 4, 1), padding=(pad, 0), stride=(stride, 1), groups=n)
    return F.conv2d(x, taps.view(1, 1, 1, 4).expand(n, 1, 1, 4), padding=(0, pad), stride=(1, stride), groups=n)


def single(x: Tensor) -> Tensor:
    """Half precision widened to single; the rest as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def minibatch_deviation(x: Tensor, group: int, channels: int) -> Tensor:
    """Features (n, c, h, w) with `channels` more: how much the pictures of a group differ, on average.

    Args:
        group: pictures a group; where the batch is no multiple of it, the largest smaller number that divides it.

    Source: Karras et al., Progressive Growing of GANs (2018), section 3.
    """
    n, c, h, w = x.shape
    size = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    grouped = x.reshape(size, n // size, channels, c // channels, h, w)
    spread = ((grouped - grouped.mean(0)).square().mean(0) + 1e-8).sqrt()  # (groups, channels, c', h, w)
    told = spread.mean((2, 3, 4)).repeat(size, 1)  # (n, channels)
    return torch.cat([x, told[:, :, None, None].expand(-1, -1, h, w)], 1)


class EqualConv(nn.Module):
    """Equalised convolution: stored weights have deviation 1 and are scaled by 1 / sqrt(fan-in) when used.

    Args:
        down: filtered and halved on the way.
        linear: no bias and no activation, as in a short cut; else bias and leaky ReLU of slope 0.2 and gain sqrt(2).
        clamp: bound of the output, before a gain of the caller; None: no bound.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        down: bool = False,
        linear: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, kernel, kernel)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        if not linear:
            self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = 1 / math.sqrt(inputs * kernel * kernel)
        self.kernel, self.down, self.linear, self.clamp = kernel, down, linear, clamp

    def forward(self, x: Tensor, *, gain: float = 1.0) -> Tensor:
        """(n, out, h, w), half of that where `down`; the result, and its bound, times `gain`."""
        weight = self.weight * self.scale
        bias = None if self.linear else self.bias
        if not self.down:
            y = F.conv2d(x, weight.to(x.dtype), _cast(bias, x), padding=self.kernel // 2)
        elif self.kernel == 1:  # nothing is lost by halving first
            y = F.conv2d(filter_down(x, 1, stride=2), weight.to(x.dtype), _cast(bias, x))
        else:
            y = F.conv2d(filter_down(x, 2), weight.to(x.dtype), _cast(bias, x), stride=2)
        y = y * gain if self.linear else F.leaky_relu(y, 0.2) * (SQRT2 * gain)
        return y if self.clamp is None else y.clamp(-self.clamp * gain, self.clamp * gain)


def _cast(bias: Tensor | None, like: Tensor) -> Tensor | None:
    return None if bias is None else bias.to(like.dtype)


class ClassMapping(nn.Module):
    """Class vectors (n, c_dim) to directions (n, width), under the names of a mapping network."""

    def __init__(self, c_dim: int, width: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.embed = FullyConnected(c_dim, width)
        for i in range(layers):
            self.add_module(f"fc{i}", FullyConnected(width, width, lr_multiplier=0.01, activate=True))

    def forward(self, c: Tensor) -> Tensor:
        x = normalise(self.embed(c))
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x
