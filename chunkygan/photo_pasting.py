"""An edited picture back in its photo, at the photo's own resolution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from chunkygan.alignment import Alignment, Pixels, bounds
from chunkygan.errors import ImageError


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
    """A picture of these pixels, and what `Image.save` must be told to keep the photo's colour profile and EXIF."""
    kept = {"icc_profile": photo.info.get("icc_profile"), "exif": photo.getexif().tobytes() or None}
    return Image.fromarray(pixels), {key: value for key, value in kept.items() if value}


def _places(alignment: Alignment, box: tuple[int, int, int, int]) -> Tensor:
    """(h, w, 2): where the pixels of a box of the photo lie in the aligned picture, (x, y) in [-1, 1]."""
    left, top, right, bottom = box
    start, below, _, beside = np.array(alignment.corners)
    inverse = np.linalg.inv(np.stack([beside - start, below - start], 1))
    y, x = np.mgrid[top:bottom, left:right]
    relative = (np.stack([x, y], -1) - start) @ inverse.T
    return torch.from_numpy(relative * 2 - 1).float()
