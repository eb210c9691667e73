"""What a fit looks like: masks in colour, chunks inside their masks, errors, and the way there as an animation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from chunkygan.errors import ImageError, ShapeError
from chunkygan.files import atomic_write
from chunkygan.images import to_pil
from chunkygan.shapes import check_shape

# Nine points of matplotlib's "magma" (CC0): lightness rises evenly, so that equal steps of error look equal.
_MAGMA = torch.tensor(
    [
        (0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122),
        (229, 80, 100), (251, 135, 97), (254, 194, 135), (252, 253, 191),
    ]
).float() / 255  # fmt: skip

_STATIC = 0.92  # grey of what is kept from the photo, in [0, 1]
_OUTLINE = 0.008  # width of outlines, as a share of the picture's shorter side; at least a pixel


def masks_picture(masks: Tensor, colours: Tensor, static: Tensor | None = None) -> Image.Image:
    """Masks in their colours, mixed where they are soft; light grey where the photo is kept.

    Args:
        masks: (n_chunks, h, w) in [0, 1], summing to 1.
        colours: (n_chunks, 3) in 0 to 255.
        static: (h, w) or (1, h, w) in [0, 1]; None for nowhere.

    Raises:
        ShapeError: sizes do not agree.
    """
    return to_pil(_mask_colours(masks, colours, static) * 2 - 1)


def masks_over(image: Tensor, masks: Tensor, colours: Tensor, static: Tensor | None = None) -> Image.Image:
    """A picture in grey with its masks laid over it in colour; without colour where the photo is kept.

    Args:
        image: (1, 3, h, w) in [-1, 1]; for the rest see `masks_picture`.

    Raises:
        ShapeError: sizes do not agree.
    """
    tint = _mask_colours(masks, colours, static)
    check_shape(image, "1 3 h w", name="image", h=tint.shape[1], w=tint.shape[2])
    grey = ((_grey(image[0]).to(tint) + 1) / 2).clamp(0, 1)
    mixed = tint * (0.35 + 0.65 * grey)  # the photo's light in the chunk's colour
    if static is not None:
        mixed = torch.lerp(mixed, grey.expand_as(mixed), static.to(tint).reshape(1, *tint.shape[1:]))
    return to_pil(mixed * 2 - 1)


def chunk_picture(drawn: Tensor, mask: Tensor, colour: Tensor) -> Image.Image:
    """What a chunk drew: as it is inside its mask, pale outside, the mask's outline in the chunk's colour.

    Args:
        drawn: (3, h, w) in [-1, 1].
        mask: (h, w) in [0, 1].
        colour: (3,) in 0 to 255.

    Raises:
        ShapeError: sizes do not agree.
    """
    sizes = check_shape(drawn, "3 h w", name="drawn")
    check_shape(mask, "h w", name="mask", **sizes)
    mask = mask.detach().to("cpu", torch.float32)
    drawn = drawn.detach().to(mask).clamp(-1, 1)
    pale = 0.55 + 0.35 * _grey(drawn)  # grey, light, with little contrast
    inside = (mask / mask.max().clamp(min=1e-6)).sqrt()  # a faint share is still a share
    picture = torch.lerp(pale.expand_as(drawn), drawn, inside)
    line = colour.to(mask).reshape(3, 1, 1) / 127.5 - 1
    return to_pil(torch.where(_outline(inside > 0.5), line, picture))


def pixel_errors(a: Tensor, b: Tensor) -> Tensor:
    """(h, w): root of the mean squared difference of the channels, 0 to 2, of images (1, 3, h, w) in [-1, 1]."""
    sizes = check_shape(a, "1 3 h w", name="a")
    check_shape(b, "1 3 h w", name="b", **sizes)
    return (a.detach().float() - b.detach().to(a).float()).square().mean(1).sqrt()[0].cpu()


def error_picture(errors: Tensor, largest: float) -> Image.Image:
    """Errors as colours from black (0) over red to pale yellow (`largest` and above).

    Args:
        errors: (h, w), 0 or more.
        largest: the error that gets the last colour.
    """
    check_shape(errors, "h w", name="errors")
    place = (errors / max(largest, 1e-12)).clamp(0, 1) * (len(_MAGMA) - 1)
    low = place.floor().long().clamp(max=len(_MAGMA) - 2)
    colours = torch.lerp(_MAGMA[low], _MAGMA[low + 1], (place - low).unsqueeze(-1))
    return to_pil(colours.permute(2, 0, 1) * 2 - 1)


def progress_gif(
    frames: Sequence[Image.Image], path: str | os.PathLike[str], *, seconds: float = 0.15, hold: float = 2.0
) -> Path:
    """The path, after an endless animation was written to it, whole or not at all.

    Args:
        frames: all of one size; small ones are enlarged to 256 pixels.
        path: ends in .gif.
        seconds: how long each frame stays.
        hold: how long the last one stays.

    Raises:
        ImageError: no frames, frames of different sizes, another suffix, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".gif":
        raise ImageError(f"{path}: an animation's name must end in .gif")
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) != 1:
        raise ImageError(f"{path}: an animation needs frames of one size; got {sizes or 'no frames'}")
    first, *others = (enlarged(frame.convert("RGB"), 256) for frame in frames)
    milliseconds = [round(1000 * seconds)] * len(others) + [round(1000 * hold)]

    def save(file: BinaryIO) -> None:
        first.save(file, format="GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)

    return atomic_write(path, save, error=ImageError)


def grid(images: Tensor, columns: int) -> Tensor:
    """Pictures side by side, row by row, white where the last row is short.

    Args:
        images: (n, 3, h, w) in [-1, 1].

    Returns:
        (1, 3, rows * h, columns * w).
    """
    sizes = check_shape(images, "n 3 h w", name="images")
    rows = -(-sizes["n"] // columns)
    blank = images.new_ones(rows * columns - sizes["n"], 3, sizes["h"], sizes["w"])
    tiles = torch.cat([images.clamp(-1, 1), blank]).unflatten(0, (rows, columns))
    return tiles.permute(2, 0, 3, 1, 4).reshape(1, 3, rows * sizes["h"], columns * sizes["w"])


def enlarged(picture: Image.Image, pixels: int) -> Image.Image:
    """The picture at the largest whole multiple of its size whose longer side is at most `pixels`, or as it is."""
    factor = max(1, pixels // max(picture.size))
    size = (picture.width * factor, picture.height * factor)
    return picture if factor == 1 else picture.resize(size, Image.Resampling.LANCZOS)


def _mask_colours(masks: Tensor, colours: Tensor, static: Tensor | None) -> Tensor:
    """(3, h, w) in [0, 1], on the CPU."""
    sizes = check_shape(masks, "n_chunks h w", name="masks")
    check_shape(colours, "n_chunks 3", name="colours", n_chunks=sizes["n_chunks"])
    shares = masks.detach().to("cpu", torch.float32)
    mixed = torch.einsum("nhw,nc->chw", shares, colours.to(shares) / 255)
    if static is not None:
        if static.numel() != shares[0].numel():
            raise ShapeError(f"static must have the masks' size {tuple(shares.shape[1:])}; got {tuple(static.shape)}")
        mixed = torch.lerp(mixed, torch.full_like(mixed, _STATIC), static.to(shares).reshape(1, *shares.shape[1:]))
    return mixed


def _grey(image: Tensor) -> Tensor:
    """(1, h, w) brightness of (3, h, w); weights of ITU-R BT.709."""
    return torch.einsum("chw,c->hw", image, image.new_tensor([0.2126, 0.7152, 0.0722])).unsqueeze(0)


def _outline(inside: Tensor) -> Tensor:
    """(h, w) boolean: a band along the edge of a region (h, w), on its outer side; none at the picture's border."""
    width = max(1, round(_OUTLINE * min(inside.shape)))
    grown = F.max_pool2d(inside.float()[None], 2 * width + 1, stride=1, padding=width)[0]
    return (grown > 0) & ~inside
