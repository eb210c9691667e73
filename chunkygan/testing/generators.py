"""The contract check of generators, public as `chunkygan.testing.check_generator`."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import Generator
from chunkygan.testing.rules import agree, finite_gradient, require, shaped
from chunkygan.types import Feature, Styles, Window


def check_generator(generator: Generator, *, tolerance: float = 1e-5) -> None:
    """Shapes, repeatability, gradients; windows equal crops, sizes, noise maps and features mean what they say.

    Args:
        generator: small for speed; on a CPU, where convolutions repeat exactly.
        tolerance: largest difference of pictures, relative to their largest value.

    Raises:
        ComponentError: the generator breaks its contract.
    """
    _check_numbers(generator)
    ws = _check_mapping(generator)
    _check_styles(generator, ws)
    with torch.no_grad():
        styles = generator.styles(ws)
        picture = _check_picture(generator, styles, tolerance)
        allowed = tolerance * max(1.0, float(picture.abs().max()))
        _check_sizes(generator, styles, picture, allowed)
        _check_windows(generator, styles, picture, allowed)
        _check_noise(generator, styles, picture, allowed)
        _check_features(generator, styles, picture, allowed)
    _check_gradient(generator, ws)


def _check_numbers(generator: Generator) -> None:
    for name in ("z_dim", "w_dim", "num_ws"):
        value = getattr(generator, name, None)
        require(isinstance(value, int) and value > 0, generator, f"{name} must be a positive integer; got {value!r}")
    size = generator.resolution
    require(len(size) == 2 and min(size) > 0, generator, f"resolution must be (height, width); got {size!r}")
    dims, rows = generator.style_dims, generator.style_rows
    require(
        len(dims) == len(rows) and all(0 <= row < generator.num_ws for row in rows),
        generator,
        f"style_rows must name a row below num_ws for each of {len(dims)} layers; got {rows}",
    )
    shaped(generator.w_avg, (generator.w_dim,), generator, "w_avg")


@torch.no_grad()
def _check_mapping(generator: Generator) -> Tensor:
    """(2, num_ws, w_dim) codes, after checking how they come about."""
    z = torch.randn(2, generator.z_dim, generator=torch.Generator().manual_seed(0)).to(generator.w_avg)
    c = torch.eye(generator.c_dim)[[0, -1]].to(z) if generator.c_dim else None
    ws = generator.mapping(z, c)
    shaped(ws, (2, generator.num_ws, generator.w_dim), generator, "mapping()")
    agree(generator.mapping(z, c), ws, generator, "mapping must give the same codes when asked twice", 0.0)
    require(not torch.equal(ws[0], ws[1]), generator, "mapping must give different codes for different latents")
    mean = generator.w_avg.expand_as(ws)
    agree(generator.mapping(z, c, truncation=0.0), mean, generator, "truncation 0 must give w_avg in every row")
    half = generator.mapping(z, c, truncation=0.5)
    agree(half, (ws + mean) / 2, generator, "truncation 0.5 must give the middle between w_avg and the code", 1e-4)
    return ws


@torch.no_grad()
def _check_styles(generator: Generator, ws: Tensor) -> None:
    dims = generator.style_dims
    styles = generator.styles(ws)
    require(len(styles) == len(dims), generator, f"styles must give {len(dims)} layers; got {len(styles)}")
    for k, (style, dim) in enumerate(zip(styles, dims)):
        shaped(style, (len(ws), dim), generator, f"layer {k} of styles")
    for row in range(generator.num_ws):
        moved = ws.clone()
        moved[:, row] += 1
        changed = [not torch.equal(a, b) for a, b in zip(generator.styles(moved), styles)]
        fed = [r == row for r in generator.style_rows]
        require(changed == fed, generator, f"row {row} of W+ must feed the layers that style_rows names, and no other")


def _check_picture(generator: Generator, styles: Styles, tolerance: float) -> Tensor:
    """(2, 3, h, w), after checking that it repeats."""
    picture = generator.synthesis(styles)
    shaped(picture, (2, 3, *generator.resolution), generator, "synthesis()")
    agree(generator.synthesis(styles), picture, generator, "synthesis must repeat with its stored noise", 0.0)
    require(not torch.equal(picture[0], picture[1]), generator, "synthesis must differ for different styles")
    alone = generator.synthesis([style[1:] for style in styles])
    allowed = tolerance * max(1.0, float(picture.abs().max()))
    agree(alone, picture[1:], generator, "a picture must not depend on its neighbours in the batch", allowed)
    return picture


def _check_sizes(generator: Generator, styles: Styles, picture: Tensor, allowed: float) -> None:
    height, width = generator.resolution
    whole = generator.synthesis(styles, size=max(height, width))
    agree(whole, picture, generator, "size of the longer side must give the full picture", allowed)
    half = generator.synthesis(styles, size=max(height, width) // 2)
    shaped(half, (len(picture), 3, height // 2, width // 2), generator, "the partial sum at half the size")
    window = Window(0, 1, height // 2 - 1, width // 2)
    cut = generator.synthesis(styles, size=max(height, width) // 2, window=window)
    agree(cut, _crop(half, window), generator, f"{window} of a partial sum must equal its crop", allowed)


def _check_windows(generator: Generator, styles: Styles, picture: Tensor, allowed: float) -> None:
    for window in _windows(*generator.resolution):
        drawn = generator.synthesis(styles, window=window)
        shaped(drawn, (len(picture), 3, *window.size), generator, f"{window}")
        agree(drawn, _crop(picture, window), generator, f"{window} must equal the crop", allowed)


def _crop(picture: Tensor, window: Window) -> Tensor:
    rows, columns = window.slices
    return picture[..., rows, columns]


def _windows(height: int, width: int) -> list[Window]:
    """The whole picture, its corners, odd and even rectangles inside, a row, a column, a pixel."""
    y, x = height // 2, width // 2
    return [
        Window(0, 0, height, width),
        Window(0, 0, y + 1, x),
        Window(y - 1, x, height, width),
        Window(1, 1, height - 2, width - 1),
        Window(y - 1, x - 1, y + 2, x + 2),
        Window(y, 0, y + 1, width),
        Window(0, x, height, x + 1),
        Window(y, x, y + 1, x + 1),
    ]


def _check_noise(generator: Generator, styles: Styles, picture: Tensor, allowed: float) -> None:
    maps = generator.noise_maps()
    require(all(m.ndim == 2 for m in maps), generator, "noise_maps must be (h, w) each")
    given = generator.synthesis(styles, noise=maps)
    agree(given, picture, generator, "noise_maps given as noise must draw what the stored ones draw", allowed)
    zero, none = generator.synthesis(styles, noise=[m * 0 for m in maps]), generator.synthesis(styles, noise="none")
    agree(none, zero, generator, 'noise "none" must draw what maps of zeros draw', allowed)
    batched = [m.expand(len(picture), 1, *m.shape) for m in maps]
    agree(generator.synthesis(styles, noise=batched), picture, generator, "noise may be (n, 1, h, w) maps", allowed)
    shaped(generator.synthesis(styles, noise="random"), picture.shape, generator, 'synthesis with noise "random"')
    for m in maps:
        m.add_(1)
    agree(generator.synthesis(styles), picture, generator, "noise_maps must be copies of the stored maps", allowed)


def _check_features(generator: Generator, styles: Styles, picture: Tensor, allowed: float) -> None:
    maps, n_noise = generator.features(styles), len(generator.noise_maps())
    require(len(maps) == n_noise, generator, f"features must be one map a convolution, {n_noise}; got {len(maps)}")
    height, width = generator.resolution
    window = Window(1, 0, height, width - 1)
    for k, value in enumerate(maps):
        replaced = generator.synthesis(styles, feature=Feature(k, value, "replace"))
        agree(replaced, picture, generator, f"layer {k} replaced by its own features must change nothing", allowed)
        added = generator.synthesis(styles, feature=Feature(k, torch.zeros_like(value), "add"))
        agree(added, picture, generator, f"zeros added at layer {k} must change nothing", allowed)
        more = generator.synthesis(styles, feature=Feature(k, torch.ones_like(value), "add"))
        require(not torch.equal(more, picture), generator, f"a feature added at layer {k} must change the picture")
        cut = generator.synthesis(styles, feature=Feature(k, torch.ones_like(value), "add"), window=window)
        loose = allowed * max(1.0, float(more.abs().max()))
        agree(cut, _crop(more, window), generator, f"a window with a feature at layer {k}", loose)


def _check_gradient(generator: Generator, ws: Tensor) -> None:
    ws = ws.clone().requires_grad_()
    picture = generator.synthesis(generator.styles(ws))
    finite_gradient(picture.square().sum(), ws, generator, "synthesis must pass gradients to the codes")
