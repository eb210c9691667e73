"""StyleGAN2's discriminator (residual architecture) in plain PyTorch, any resolution and width, on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from chunkygan.components.discriminators.stylegan2_layers import (
    ClassMapping,
    EqualConv,
    minibatch_deviation,
    single,
)
from chunkygan.components.generators.stylegan2_layers import FullyConnected
from chunkygan.errors import ShapeError
from chunkygan.interfaces import Discriminator
from chunkygan.shapes import check_shape

HALF = math.sqrt(0.5)


class Block(nn.Module):
    """One resolution: two convolutions, the second halving, beside a 1x1 short cut; both branches by sqrt(1/2)."""

    def __init__(self, inputs: int, outputs: int, *, first: bool, clamp: float | None) -> None:
        super().__init__()
        if first:
            self.fromrgb = EqualConv(3, inputs, 1, clamp=clamp)
        self.conv0 = EqualConv(inputs, inputs, 3, clamp=clamp)
        self.conv1 = EqualConv(inputs, outputs, 3, down=True, clamp=clamp)
        self.skip = EqualConv(inputs, outputs, 1, down=True, linear=True, clamp=clamp)

    def forward(self, x: Tensor) -> Tensor:
        """(n, out, h / 2, w / 2) features of features, or of pictures for the first block."""
        if hasattr(self, "fromrgb"):
            x = self.fromrgb(x)
        return self.skip(x, gain=HALF) + self.conv1(self.conv0(x), gain=HALF)


class Epilogue(nn.Module):
    """The smallest resolution: how much a group of pictures differs, a convolution, and a score."""

    def __init__(
        self, width: int, size: tuple[int, int], classes: int, group: int, channels: int, clamp: float | None
    ) -> None:
        super().__init__()
        self.group, self.channels, self.classes = group, channels, classes
        self.conv = EqualConv(width + channels, width, 3, clamp=clamp)
        self.fc = FullyConnected(width * size[0] * size[1], width, activate=True)
        self.out = FullyConnected(width, classes or 1)

    def forward(self, x: Tensor, classes: Tensor | None) -> Tensor:
        """(n,) logits; classes, (n, d), choose the direction in which a score is read."""
        x = single(x)
        if self.channels:
            x = minibatch_deviation(x, self.group, self.channels)
        x = self.out(self.fc(self.conv(x).flatten(1)))
        if classes is None:
            return x[:, 0]
        return (x * classes).sum(1) / math.sqrt(self.classes)


class StyleGAN2Discriminator(Discriminator):
    """StyleGAN2's discriminator; parameters carry NVIDIA's names (``b8.conv0.weight``, ``b4.out.bias``).

    Args:
        resolution: (height, width) of the pictures: 4 times a power of two, of an aspect that 4 pixels can have.
        c_dim: width of the class vector; 0: unconditional.
        channel_base, channel_max: channels at size r (of a square picture) are min(channel_base // r, channel_max).
        channels: channels of each resolution, lowest first; replaces the two above.
        conv_clamp: outputs of convolutions are clamped to +- this; None: not at all.
        minibatch_group: pictures whose deviation from each other the last layers see; as many as divide the batch.
        minibatch_channels: channels of that deviation; 0: none.
        mapping_layers: depth of the network that maps classes.

    Raises:
        ShapeError: a resolution that cannot be reached by doubling.

    Source: Karras et al. 2020, section 4.1 and appendix B; arithmetic of NVlabs/stylegan2-ada-pytorch.
    """

    def __init__(
        self,
        resolution: Sequence[int],
        c_dim: int = 0,
        channel_base: int = 32768,
        channel_max: int = 512,
        channels: Sequence[int] | None = None,
        conv_clamp: float | None = None,
        minibatch_group: int = 4,
        minibatch_channels: int = 1,
        mapping_layers: int = 8,
    ) -> None:
        super().__init__()
        height, width = resolution
        levels, smallest = _levels(height, width)
        widths = list(channels or [min(channel_base // (4 << i), channel_max) for i in range(levels)])
        if len(widths) != levels:
            raise ShapeError(f"channels: {levels} resolutions up to {height} x {width} need as many; got {len(widths)}")
        self.config: dict[str, Any] = dict(
            resolution=[height, width], c_dim=c_dim, channels=widths, conv_clamp=conv_clamp,
            minibatch_group=minibatch_group, minibatch_channels=minibatch_channels, mapping_layers=mapping_layers,
        )  # fmt: skip
        self.resolution, self.c_dim, self.levels = (height, width), c_dim, levels
        for level in range(levels - 1, 0, -1):
            first = level == levels - 1
            self.add_module(f"b{4 << level}", Block(widths[level], widths[level - 1], first=first, clamp=conv_clamp))
        if c_dim:
            self.mapping = ClassMapping(c_dim, widths[0], mapping_layers)
        classes = widths[0] if c_dim else 0
        self.b4 = Epilogue(widths[0], smallest, classes, minibatch_group, minibatch_channels, conv_clamp)

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        check_shape(images, "n 3 h w", name="images", h=self.resolution[0], w=self.resolution[1])
        if (c is None) != (self.c_dim == 0):
            raise ShapeError(f"c: this discriminator takes a class vector of {self.c_dim} numbers; got {c}")
        x = images.contiguous(memory_format=torch.channels_last)
        for level in range(self.levels - 1, 0, -1):
            x = self.get_submodule(f"b{4 << level}")(x)
        return single(self.b4(x, None if c is None else self.mapping(c)))

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Accepts NVIDIA's files, whose resampling filters are constants here."""
        own = {name: value for name, value in state_dict.items() if not name.endswith("resample_filter")}
        return super().load_state_dict(own, strict=strict, assign=assign)


def _levels(height: int, width: int) -> tuple[int, tuple[int, int]]:
    """How many resolutions lead to a picture, and the smallest of them: its shorter side is 4 pixels."""
    levels = (min(height, width) // 4).bit_length()
    halvings = levels - 1
    if levels < 2 or min(height, width) != 4 << halvings or max(height, width) % (1 << halvings):
        raise ShapeError(f"resolution must have a shorter side of 8, 16, 32 ... pixels; got {height} x {width}")
    return levels, (height >> halvings, width >> halvings)
