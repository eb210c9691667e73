"""An edited picture back in its photo, at the photo's own resolution.

What is pasted is the edit's mask, no more: all other pixels of the photo stay as they are, bit for bit, in a format of
files that keeps them (PNG, TIFF).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from chunkygan.errors import ImageError, ProjectionError
from chunkygan.interfaces import Blender
from chunkygan.photos.alignment import Alignment, Pixels, bounds
from chunkygan.photos.pasting import paste_layers
from chunkygan.projection import Projection

FADE = 1 / 32
"""Share of an aligned picture's side over which a mask that reaches its border fades out, so that no edge shows."""

_MODES = ("RGB", "RGBA", "L", "LA", "P")


@torch.no_grad()
def photo_with(projection: Projection, photo: Image.Image, blender: Blender | None = None) -> Image.Image:
    """The photo with the edited chunks of its projection in it; RGB, or RGBA where the photo is transparent somewhere.

    Args:
        photo: upright, at its own resolution; 8 bits a channel.
        blender: see `chunkygan.photos.pasting.paste_layers`.

    Raises:
        ProjectionError: the projection does not know where it lies in its photo, or its photo has another size.
        ImageError: a photo whose colours would have to be changed (16 bits, CMYK).
    """
    place = projection.alignment
    if place is None:
        raise ProjectionError(
            "this projection does not know where it lies in its photo: it is older, or was made of a picture in "
            "memory; invert the photo's file again"
        )
    if place.photo is not None and place.photo != photo.size:
        raise ProjectionError(f"made of a photo of {_by(place.photo)} pixels; this one has {_by(photo.size)}")
    if photo.mode not in _MODES:
        raise ImageError(f"only photos of 8 bits, RGB or grey, can be pasted into; this is {photo.mode}: convert it")
    pixels = np.array(photo.convert("RGBA" if photo.has_transparency_data else "RGB"))
    picture, mask = paste_layers(projection, blender)
    place = Alignment(place.corners, mask.shape[-1], place.photo)
    colours = paste_back(np.ascontiguousarray(pixels[..., :3]), picture, faded(mask, place, photo.size), place)
    return Image.fromarray(np.concatenate([colours, pixels[..., 3:]], 2))


def faded(mask: Tensor, alignment: Alignment, photo: tuple[int, int]) -> Tensor:
    """A mask (h, w) that is 0 at the sides of the aligned picture that lie inside the photo of (width, height)."""
    height, width = mask.shape
    down, across = ((torch.arange(n) + 0.5) / n for n in (height, width))
    corners = np.array(alignment.corners)
    ramps = {(0, 1): across[None], (1, 2): (1 - down)[:, None], (2, 3): (1 - across)[None], (3, 0): down[:, None]}
    for (first, second), distance in ramps.items():
        x, y = (corners[first] + corners[second]) / 2
        if 0 < x < photo[0] - 1 and 0 < y < photo[1] - 1:
            mask = mask * (distance / FADE).clamp(0, 1)
    return mask


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


@torch.no_grad()
def paste_back(photo: Pixels, edited: Tensor, mask: Tensor, alignment: Alignment) -> Pixels:
    """The photo with an edited picture in its place; where the mask is 0, and outside the square, no bit changes.

    Args:
        photo: (h, w, 3), uint8.
        edited: (1, 3, size, size) in [-1, 1], aligned.
        mask: (size, size) in [0, 1], aligned: how much of the edit is taken.

    Raises:
        ImageError: a photo of another kind.
    """
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ImageError(f"photo must be (h, w, 3) of uint8; got {photo.shape} of {photo.dtype}")
    result = photo.copy()
    box = bounds(np.array(alignment.corners)) + np.array([-1, -1, 2, 2])
    left, top, right, bottom = np.clip(box, 0, [photo.shape[1], photo.shape[0]] * 2).tolist()
    if right <= left or bottom <= top:
        return result
    layers = torch.cat([(edited.float().cpu() + 1) * 127.5, mask.float().cpu()[None, None]], 1)
    if (reduced := math.ceil(alignment.side)) < alignment.size:  # averaged first where the photo is coarser
        layers = F.interpolate(layers, (reduced, reduced), mode="bilinear", align_corners=False, antialias=True)
    grid = _places(alignment, (left, top, right, bottom))
    drawn = F.grid_sample(layers, grid[None], mode="bilinear", padding_mode="border", align_corners=False)[0]
    weight = drawn[3:].clamp(0, 1) * (grid.abs() <= 1).all(-1)
    region = torch.from_numpy(result[top:bottom, left:right].copy()).permute(2, 0, 1)
    mixed = (region + weight * (drawn[:3] - region)).round().clamp(0, 255).byte()
    result[top:bottom, left:right] = torch.where(weight > 0, mixed, region).permute(1, 2, 0).numpy()
    return result


def like_photo(photo: Image.Image, pixels: Pixels) -> tuple[Image.Image, dict[str, Any]]:
    """An RGB picture of these pixels, and what `Image.save` must be told to keep the photo's profile and EXIF."""
    profile = photo.info.get("icc_profile") or b""
    fits = profile[16:20] not in (b"GRAY", b"CMYK")  # the colours that a profile is for
    kept = {"icc_profile": profile if fits else None, "exif": photo.getexif().tobytes() or None}
    return Image.fromarray(pixels), {key: value for key, value in kept.items() if value}


def _places(alignment: Alignment, box: tuple[int, int, int, int]) -> Tensor:
    """(h, w, 2): where the pixels of a box of the photo lie in the aligned picture, (x, y) in [-1, 1]."""
    left, top, right, bottom = box
    start, below, _, beside = np.array(alignment.corners)
    inverse = np.linalg.inv(np.stack([beside - start, below - start], 1))
    y, x = np.mgrid[top:bottom, left:right]
    relative = (np.stack([x, y], -1) - start) @ inverse.T
    return torch.from_numpy(relative * 2 - 1).float()
