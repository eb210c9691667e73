"""StyleGAN2's synthesis network: blocks of growing resolution, each able to go on from a rectangle of the one below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from chunkygan.components.generators.stylegan2_layers import (
    Area,
    Modulation,
    StyledConv,
    ToRGB,
    cropped,
    upsample_image,
)
from chunkygan.components.generators.stylegan2_regions import BlockRegions, plan
from chunkygan.types import Feature, Styles, Window

Plan = list[tuple[BlockRegions, BlockRegions]]
"""Rows and columns of every block, lowest resolution first."""


class Block(nn.Module):
    """One resolution: an upsampling convolution (but for the lowest), a convolution, and a contribution to the picture.

    Attributes:
        size: (height, width) in pixels.
    """

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, size: tuple[int, int], *, first: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.size = size
        if first:
            self.const = nn.Parameter(torch.randn(outputs, *size))
        else:
            self.conv0 = StyledConv(inputs, outputs, w_dim, size, up=True, clamp=clamp)
        self.conv1 = StyledConv(outputs, outputs, w_dim, size, up=False, clamp=clamp)
        self.torgb = ToRGB(outputs, w_dim, clamp=clamp)

    @property
    def convs(self) -> list[StyledConv]:
        """Its convolutions in forward order."""
        return [self.conv0, self.conv1] if hasattr(self, "conv0") else [self.conv1]


@dataclass(frozen=True)
class Inputs:
    """What the layers consume, made ready once for all rectangles that are drawn with it.

    Args:
        modulations: one entry a convolution.
        colours: weights of each block's toRGB, (n, 3, in).
        noises: one entry a convolution, (h, w) or (n, 1, h, w), times its strength; None for no noise.
        dtypes: the precision of each block.
        feature: features that replace or join those after one convolution.
    """

    modulations: Sequence[Modulation]
    colours: Sequence[Tensor]
    noises: Sequence[Tensor | None]
    dtypes: Sequence[torch.dtype]
    feature: Feature | None = None

    def split(self) -> list[Inputs]:
        """The inputs of each sample of the batch."""
        modulations = zip(*(modulation.split() for modulation in self.modulations))
        colours = zip(*(weight.split(1) for weight in self.colours))
        return [
            replace(self, modulations=m, colours=c, noises=[_of(noise, i) for noise in self.noises])
            for i, (m, c) in enumerate(zip(modulations, colours))
        ]


def _of(noise: Tensor | None, sample: int) -> Tensor | None:
    batched = noise is not None and noise.ndim == 4 and len(noise) > 1
    return noise[sample : sample + 1] if noise is not None and batched else noise


@dataclass(frozen=True)
class Drawn:
    """What is drawn up to some block: features and the picture's partial sum, on a rectangle."""

    x: Tensor
    area: Area
    image: Tensor | None = None

    def split(self) -> list[Drawn]:
        """Each sample of the batch."""
        parts = self.x.split(1)
        images = [None] * len(parts) if self.image is None else self.image.split(1)
        return [replace(self, x=x, image=image) for x, image in zip(parts, images)]


def joined_inputs(parts: Sequence[Inputs]) -> Inputs:
    """The inputs of samples as a batch."""
    modulations = [Modulation.joined(of_one) for of_one in zip(*(part.modulations for part in parts))]
    colours = [torch.cat(of_one) for of_one in zip(*(part.colours for part in parts))]
    noises = [
        torch.cat(of_one) if of_one[0] is not None and of_one[0].ndim == 4 else of_one[0]
        for of_one in zip(*(part.noises for part in parts))
    ]
    return replace(parts[0], modulations=modulations, colours=colours, noises=noises)


def joined_drawn(parts: Sequence[Drawn]) -> Drawn:
    """Samples that are drawn up to the same block as a batch."""
    images = [part.image for part in parts if part.image is not None]
    return replace(parts[0], x=torch.cat([part.x for part in parts]), image=torch.cat(images) if images else None)


class Synthesis(nn.Module):
    """The blocks ``b4``, ``b8``, ... under NVIDIA's names."""

    def __init__(self, const_size: tuple[int, int], channels: Sequence[int], w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.levels = len(channels)
        for level, width in enumerate(channels):
            size = (const_size[0] << level, const_size[1] << level)
            block = Block(channels[max(level - 1, 0)], width, w_dim, size, first=level == 0, clamp=clamp)
            self.add_module(f"b{4 << level}", block)

    @property
    def blocks(self) -> list[Block]:
        """All blocks, lowest resolution first."""
        return [self.get_submodule(f"b{4 << level}") for level in range(self.levels)]  # type: ignore[misc]

    def plan(self, levels: int, window: Window | None = None) -> Plan:
        """What each of the first blocks has to produce for a window of the last of them; None: all of it."""
        blocks = self.blocks[:levels]
        height, width = blocks[-1].size
        window = window or Window(0, 0, height, width)
        rows = plan(tuple(block.size[0] for block in blocks), (window.top, window.bottom))
        return list(zip(rows, plan(tuple(block.size[1] for block in blocks), (window.left, window.right))))

    def inputs(
        self,
        styles: Styles,
        noises: Sequence[Tensor | None],
        dtypes: Sequence[torch.dtype],
        feature: Feature | None = None,
    ) -> Inputs:
        """What the first blocks consume, as many as there are dtypes, each block's own."""
        modulations, colours, scaled = [], [], []
        for level, (block, dtype) in enumerate(zip(self.blocks, dtypes)):
            for number, conv in enumerate(block.convs, first_conv(level)):
                modulations.append(conv.modulation(styles[number + level], dtype))  # a toRGB's style ends every block
                scaled.append(conv.scaled(noises[number]))
            colours.append(block.torgb.modulated(styles[3 * level + 1]))
        return Inputs(modulations, colours, scaled, dtypes, feature)

    def draw(self, n: int, plan: Plan, inputs: Inputs, *, begun: Drawn | None = None, begin: int = 0) -> Drawn:
        """All blocks of a plan, of n samples.

        Args:
            begun: what to go on from; None: the constant.
            begin: the block to go on with.
        """
        drawn = begun or self._constant(n, plan[0])
        for level in range(begin, len(plan)):
            drawn = self._advance(drawn, level, plan[level], inputs)
        return drawn

    def _constant(self, n: int, regions: tuple[BlockRegions, BlockRegions]) -> Drawn:
        """The constant, n times."""
        area = regions[0].inputs, regions[1].inputs
        const = self.blocks[0].const[:, slice(*area[0]), slice(*area[1])]
        return Drawn(const.expand(n, -1, -1, -1).contiguous(memory_format=torch.channels_last), area)

    def _advance(
        self, drawn: Drawn, level: int, regions: tuple[BlockRegions, BlockRegions], inputs: Inputs
    ) -> Drawn:
        """One block more, on the rectangles of `regions`."""
        block, (rows, columns) = self.blocks[level], regions
        x = cropped(drawn.x, drawn.area, (rows.inputs, columns.inputs)).to(inputs.dtypes[level])
        for number, conv in enumerate(block.convs, first_conv(level)):
            area = (rows.middle, columns.middle) if conv.up else (rows.features, columns.features)
            noise = inputs.noises[number]
            noise = None if noise is None else noise[(..., slice(*area[0]), slice(*area[1]))]
            x = conv(x, inputs.modulations[number], noise, regions)
            x = with_feature(x, number, area, inputs.feature)
        image, area = block.torgb(x, inputs.colours[level]), (rows.features, columns.features)
        if drawn.image is not None:
            image = upsample_image(drawn.image, *area, drawn.area) + image
        return Drawn(x, area, image)


def first_conv(level: int) -> int:
    """Number, in forward order, of a block's first convolution."""
    return max(2 * level - 1, 0)


def with_feature(x: Tensor, conv: int, area: Area, feature: Feature | None) -> Tensor:
    """Features after a convolution, replaced or joined by given ones where they are for it."""
    if feature is None or feature.layer != conv:
        return x
    value = feature.value[..., slice(*area[0]), slice(*area[1])].to(x.dtype)
    return value.expand_as(x) if feature.mode == "replace" else x + value
