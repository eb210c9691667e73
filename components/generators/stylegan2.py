"""StyleGAN2 (config F, skip architecture) in plain PyTorch, any resolution and width, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from chunkygan.components.generators.stylegan2_costs import LAUNCHED, Costs, arranged
from chunkygan.components.generators.stylegan2_layers import StyledConv, ToRGB
from chunkygan.components.generators.stylegan2_mapping import Mapping
from chunkygan.components.generators.stylegan2_synthesis import Block, Inputs, Synthesis
from chunkygan.components.generators.stylegan2_windows import group_drawing
from chunkygan.errors import ShapeError
from chunkygan.interfaces import Generator
from chunkygan.shapes import check_shape
from chunkygan.types import Feature, Noise, Styles, Window


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
        self.style_dims = tuple(layer.affine.weight.shape[0] for layer in self.styled_layers())

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
        return [layer.affine(ws[:, row]) for layer, row in zip(self.styled_layers(), self.style_rows)]

    def synthesis(
        self,
        styles: Styles,
        *,
        noise: Noise = "const",
        size: int | None = None,
        window: Window | None = None,
        feature: Feature | None = None,
    ) -> Tensor:
        levels = self._levels_up_to(size)
        if window is not None:
            _check_window(window, self.blocks[levels - 1].size)
        plan = self.synthesis_network.plan(levels, window)
        drawn = self.synthesis_network.draw(len(styles[0]), plan, self._inputs(styles, noise, levels, feature))
        assert drawn.image is not None
        return drawn.image

    def window_cost(self, window: Window, size: int | None = None) -> float:
        """As the `Generator` says, of a window among others; what its many small steps cost is in it."""
        whole = self._costs(None).among_others(Window(0, 0, *self.resolution))
        return self._costs(size).among_others(window) / whole

    def _costs(self, size: int | None) -> Costs:
        """Of a partial sum's windows on the device that there is."""
        costs = self._costs_on_cpu[self._levels_up_to(size) - 1]
        return costs if self.w_avg.device.type == "cpu" else replace(costs, overheads=LAUNCHED)

    @cached_property
    def _costs_on_cpu(self) -> list[Costs]:
        """Of each partial sum, smallest first."""
        blocks = self.blocks
        heights, widths = zip(*(block.size for block in blocks))
        channels = tuple(block.conv1.weight.shape[0] for block in blocks)
        weights = tuple((sum(c.weight.numel() for c in b.convs if c.up), b.conv1.weight.numel()) for b in blocks)
        return [Costs(heights[:n], widths[:n], channels[:n], weights[:n]) for n in range(1, len(blocks) + 1)]

    def synthesis_windows(
        self,
        styles: Styles,
        windows: Sequence[Window],
        owners: Sequence[int],
        *,
        noise: Noise = "const",
        frugal: bool = False,
        size: int | None = None,
    ) -> list[Tensor]:
        network, levels = self.synthesis_network, self._levels_up_to(size)
        for window in windows:
            _check_window(window, network.blocks[levels - 1].size)
        groups = arranged(self._costs(size), tuple(windows), tuple(owners), thrifty=frugal)
        draw = group_drawing(network, self._inputs(styles, noise, levels), windows, owners, groups)
        drawn = self.drawn_frugally(draw, groups) if frugal else [*map(draw, groups)]
        crops = {number: crop for group, part in zip(groups, drawn) for number, crop in zip(group.windows, part)}
        return [crops[number] for number in range(len(windows))]

    def features(self, styles: Styles, *, noise: Noise = "const") -> list[Tensor]:
        maps: list[Tensor] = []
        plan = self.synthesis_network.plan(len(self.blocks))
        inputs = self._inputs(styles, noise, len(self.blocks))
        with _kept(self._convs(), maps):
            self.synthesis_network.draw(len(styles[0]), plan, inputs)
        return maps

    def constant(self) -> Tensor:
        return self.blocks[0].const

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

    def styled_layers(self) -> list[StyledConv | ToRGB]:
        """Those that take a style, in forward order."""
        layers: list[StyledConv | ToRGB] = []
        for block in self.blocks:
            layers += [*block.convs, block.torgb]
        return layers

    def _levels_up_to(self, size: int | None) -> int:
        if size is None:
            return self.synthesis_network.levels
        sizes = [max(block.size) for block in self.blocks]
        if size not in sizes:
            raise ShapeError(f"size must be one of {sizes}, the longer side of a partial sum; got {size}")
        return sizes.index(size) + 1

    def _inputs(self, styles: Styles, noise: Noise, levels: int, feature: Feature | None = None) -> Inputs:
        styles, noises = self._checked(styles), self._noises(noise, styles[0])
        dtypes = [self._dtype(level, styles[0]) for level in range(levels)]
        return self.synthesis_network.inputs(styles, noises, dtypes, feature)

    def _dtype(self, level: int, x: Tensor) -> torch.dtype:
        half = level >= len(self.blocks) - self.half_blocks and x.device.type != "cpu"
        return self.half_dtype if half else torch.float32

    def _checked(self, styles: Styles) -> Styles:
        widths = tuple(style.shape[1] for style in styles)
        if widths != self.style_dims:
            raise ShapeError(f"styles must have widths {self.style_dims}; got {widths}")
        return styles

    def _noises(self, noise: Noise, like: Tensor) -> Sequence[Tensor | None]:
        convs = self._convs()
        if isinstance(noise, str):
            if noise not in ("const", "none", "random"):
                raise ShapeError(f'noise must be "const", "none", "random" or a list of maps; got {noise!r}')
            return [_stored_noise(conv, noise, like) for conv in convs]
        if len(noise) != len(convs):
            raise ShapeError(f"noise: {len(convs)} maps are needed, one a convolution; got {len(noise)}")
        return noise


@contextmanager
def _kept(convs: Sequence[StyledConv], maps: list[Tensor]) -> Iterator[None]:
    """Collects what convolutions give while the context lasts."""
    handles = [conv.register_forward_hook(lambda module, args, out: maps.append(out)) for conv in convs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
