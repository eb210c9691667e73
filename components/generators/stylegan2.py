"""StyleGAN2 (config F, skip architecture) in plain PyTorch, any resolution and width, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chunkygan.components.generators.stylegan2_layers import StyledConv, ToRGB, upsample_image
from chunkygan.components.generators.stylegan2_mapping import Mapping
from chunkygan.components.generators.stylegan2_regions import BlockRegions, Interval, plan
from chunkygan.errors import ShapeError
from chunkygan.interfaces import Generator
from chunkygan.shapes import check_shape
from chunkygan.types import Feature, Noise, Styles, Window


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


@dataclass
class _Inputs:
    """What the layers of one pass consume, in forward order."""

    styles: Iterator[Tensor]
    noises: Iterator[Tensor | None]
    conv: int = 0


class StyleGAN2(Generator):
    """StyleGAN2 generator; parameters carry NVIDIA's names (``synthesis.b8.conv0.weight``).

    Args:
        resolution: height of the picture in pixels: ``const_size[0]`` times a power of two.
        z_dim, w_dim, c_dim: widths of latent, W and class vector (0: unconditional).
        mapping_layers: depth of the mapping network.
        mapping_lr_multiplier: scale between its stored and its used weights.
        channel_base, channel_max: channels at size r (of a square picture) are min(channel_base // r, channel_max).
        channels: channels of each resolution, lowest first; replaces the two above.
        conv_clamp: outputs of convolutions are clamped to +- this; None: not at all.
        const_size: (height, width) of the learnt constant; another aspect makes pictures that are not square.
        half_blocks: how many of the top resolutions run in `half_dtype`, where the device is no CPU.
        half_dtype: ``"float16"`` or ``"bfloat16"``.

    Raises:
        ShapeError: a resolution that the constant cannot reach by doubling.

    Source: Karras et al. 2020; arithmetic of NVlabs/stylegan2-ada-pytorch.
    """

    component = "stylegan2"

    def __init__(
        self,
        resolution: int = 1024,
        z_dim: int = 512,
        w_dim: int = 512,
        c_dim: int = 0,
        mapping_layers: int = 8,
        mapping_lr_multiplier: float = 0.01,
        channel_base: int = 32768,
        channel_max: int = 512,
        channels: Sequence[int] | None = None,
        conv_clamp: float | None = None,
        const_size: Sequence[int] = (4, 4),
        half_blocks: int = 0,
        half_dtype: str = "float16",
    ) -> None:
        super().__init__()
        levels = _levels(resolution, const_size[0])
        channels = list(channels or [min(channel_base // (4 << i), channel_max) for i in range(levels)])
        if len(channels) != levels:
            raise ShapeError(f"channels: {levels} resolutions up to {resolution} need as many; got {len(channels)}")
        self.config = dict(
            resolution=resolution, z_dim=z_dim, w_dim=w_dim, c_dim=c_dim, mapping_layers=mapping_layers,
            mapping_lr_multiplier=mapping_lr_multiplier, channels=channels, conv_clamp=conv_clamp,
            const_size=list(const_size), half_blocks=half_blocks, half_dtype=half_dtype,
        )  # fmt: skip
        self.z_dim, self.w_dim, self.c_dim = z_dim, w_dim, c_dim
        self.half_blocks, self.half_dtype = half_blocks, getattr(torch, half_dtype)
        self.map = Mapping(z_dim, c_dim, w_dim, mapping_layers, mapping_lr_multiplier)
        self.synthesis_network = Synthesis((const_size[0], const_size[1]), channels, w_dim, conv_clamp)
        self.resolution = self.blocks[-1].size
        self.num_ws = 2 * levels
        self.style_rows = _style_rows(levels)
        self.style_dims = tuple(layer.affine.weight.shape[0] for layer in self._styled_layers())

    @property
    def blocks(self) -> list[Block]:
        """One block a resolution, lowest first."""
        return self.synthesis_network.blocks

    @property
    def w_avg(self) -> Tensor:  # type: ignore[override]
        """(w_dim,), mean of W."""
        return self.map.w_avg

    def mapping(
        self, z: Tensor, c: Tensor | None = None, *, truncation: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        """(n, num_ws, w_dim); truncation acts on the first `truncation_cutoff` rows (None: on all)."""
        ws = self.map(z, c)[:, None].repeat(1, self.num_ws, 1)
        if truncation == 1.0:
            return ws
        rows = torch.arange(self.num_ws, device=ws.device) < (truncation_cutoff or self.num_ws)
        return torch.where(rows[:, None], self.w_avg + truncation * (ws - self.w_avg), ws)

    def styles(self, ws: Tensor) -> Styles:
        check_shape(ws, "n rows w_dim", name="ws", rows=self.num_ws, w_dim=self.w_dim)
        return [layer.affine(ws[:, row]) for layer, row in zip(self._styled_layers(), self.style_rows)]

    def synthesis(
        self,
        styles: Styles,
        *,
        noise: Noise = "const",
        size: int | None = None,
        window: Window | None = None,
        feature: Feature | None = None,
    ) -> Tensor:
        blocks = self._blocks_up_to(size)
        height, width = blocks[-1].size
        window = window or Window(0, 0, height, width)
        _check_window(window, (height, width))
        rows = plan([block.size[0] for block in blocks], (window.top, window.bottom))
        columns = plan([block.size[1] for block in blocks], (window.left, window.right))
        inputs = self._inputs(styles, noise)
        x, image = self._start(styles, blocks[0], rows[0].inputs, columns[0].inputs), None
        for level, block in enumerate(blocks):
            regions = rows[level], columns[level]
            x = self._features(block, x.to(self._dtype(level, x)), regions, inputs, feature)
            image = _add_image(block, x, next(inputs.styles), image, regions, (rows, columns), level)
        assert image is not None
        return image

    def features(self, styles: Styles, *, noise: Noise = "const") -> list[Tensor]:
        inputs = self._inputs(styles, noise)
        x = self._start(styles, self.blocks[0], (0, self.blocks[0].size[0]), (0, self.blocks[0].size[1]))
        maps: list[Tensor] = []
        for level, block in enumerate(self.blocks):
            regions = tuple(plan([size // 2, size], (0, size))[1] for size in block.size)
            x = self._features(block, x.to(self._dtype(level, x)), regions, inputs, None, maps)  # type: ignore[arg-type]
            next(inputs.styles)  # toRGB's
        return maps

    def noise_maps(self) -> list[Tensor]:
        return [conv.noise_const.detach().clone() for conv in self._convs()]

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Accepts NVIDIA's names (``mapping.``, ``synthesis.``), which are this network's public ones."""
        own = {_own_name(name): value for name, value in state_dict.items() if not name.endswith("resample_filter")}
        return super().load_state_dict(own, strict=strict, assign=assign)

    def public_state_dict(self) -> dict[str, Tensor]:
        """The state under NVIDIA's names."""
        return {_public_name(name): value for name, value in self.state_dict().items()}

    def _convs(self) -> list[StyledConv]:
        return [conv for block in self.blocks for conv in block.convs]

    def _styled_layers(self) -> list[StyledConv | ToRGB]:
        layers: list[StyledConv | ToRGB] = []
        for block in self.blocks:
            layers += [*block.convs, block.torgb]
        return layers

    def _blocks_up_to(self, size: int | None) -> list[Block]:
        if size is None:
            return self.blocks
        sizes = [max(block.size) for block in self.blocks]
        if size not in sizes:
            raise ShapeError(f"size must be one of {sizes}, the longer side of a partial sum; got {size}")
        return self.blocks[: sizes.index(size) + 1]

    def _dtype(self, level: int, x: Tensor) -> torch.dtype:
        half = level >= len(self.blocks) - self.half_blocks and x.device.type != "cpu"
        return self.half_dtype if half else torch.float32

    def _inputs(self, styles: Styles, noise: Noise) -> _Inputs:
        widths = tuple(style.shape[1] for style in styles)
        if widths != self.style_dims:
            raise ShapeError(f"styles must have widths {self.style_dims}; got {widths}")
        convs = self._convs()
        if isinstance(noise, str):
            if noise not in ("const", "none", "random"):
                raise ShapeError(f'noise must be "const", "none", "random" or a list of maps; got {noise!r}')
            return _Inputs(iter(styles), (_stored_noise(conv, noise, styles[0]) for conv in convs))
        if len(noise) != len(convs):
            raise ShapeError(f"noise: {len(convs)} maps are needed, one a convolution; got {len(noise)}")
        return _Inputs(iter(styles), iter(noise))

    @staticmethod
    def _start(styles: Styles, block: Block, rows: Interval, columns: Interval) -> Tensor:
        const = block.const[:, slice(*rows), slice(*columns)]
        return const.expand(styles[0].shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def _features(
        block: Block,
        x: Tensor,
        regions: tuple[BlockRegions, BlockRegions],
        inputs: _Inputs,
        feature: Feature | None,
        keep: list[Tensor] | None = None,
    ) -> Tensor:
        """The block's convolutions on their regions, features replaced or joined on the way."""
        for conv in block.convs:
            rows, columns = (axis.middle if conv.up else axis.features for axis in regions)
            crop = (..., slice(*rows), slice(*columns))
            noise = next(inputs.noises)
            x = conv(x, next(inputs.styles), None if noise is None else noise[crop], regions)
            if feature is not None and feature.layer == inputs.conv:
                value = feature.value[crop].to(x.dtype)
                x = value.expand_as(x) if feature.mode == "replace" else x + value
            inputs.conv += 1
            if keep is not None:
                keep.append(x)
        return x


def _add_image(
    block: Block,
    x: Tensor,
    styles: Tensor,
    image: Tensor | None,
    regions: tuple[BlockRegions, BlockRegions],
    plans: tuple[list[BlockRegions], list[BlockRegions]],
    level: int,
) -> Tensor:
    """The partial sum after this block, on the rectangle that is needed of it."""
    rows, columns = (axis.image for axis in regions)
    y, x0 = rows[0] - regions[0].features[0], columns[0] - regions[1].features[0]
    own = block.torgb(x[..., y : y + rows[1] - rows[0], x0 : x0 + columns[1] - columns[0]], styles)
    if image is None:
        return own
    below = plans[0][level - 1].image, plans[1][level - 1].image
    return upsample_image(image, rows, columns, below) + own


def _stored_noise(conv: StyledConv, mode: str, like: Tensor) -> Tensor | None:
    if mode == "none":
        return None
    if mode == "const":
        return conv.noise_const
    return torch.randn(like.shape[0], 1, *conv.noise_const.shape, device=like.device)


def _levels(resolution: int, const: int) -> int:
    levels = (resolution // const).bit_length()
    if const << (levels - 1) != resolution or levels < 1:
        raise ShapeError(f"resolution must be {const} times a power of two; got {resolution}")
    return levels


def _style_rows(levels: int) -> tuple[int, ...]:
    """A toRGB layer shares its row with the upsampling convolution of the next resolution."""
    rows = [0, 1]
    for level in range(1, levels):
        rows += [2 * level - 1, 2 * level, 2 * level + 1]
    return tuple(rows)


def _check_window(window: Window, size: tuple[int, int]) -> None:
    inside = 0 <= window.top < window.bottom <= size[0] and 0 <= window.left < window.right <= size[1]
    if not inside:
        raise ShapeError(f"window must lie in a picture of {size[0]} x {size[1]} and hold a pixel; got {window}")


def _own_name(name: str) -> str:
    for public, own in (("mapping.", "map."), ("synthesis.", "synthesis_network.")):
        if name.startswith(public):
            return own + name[len(public) :]
    return name


def _public_name(name: str) -> str:
    for public, own in (("mapping.", "map."), ("synthesis.", "synthesis_network.")):
        if name.startswith(own):
            return public + name[len(own) :]
    return name
