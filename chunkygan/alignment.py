"""FFHQ's alignment of a face from 68 landmarks, and the way back into the photo.

Source: Karras et al. 2019, the dataset's own cropping; what the pSp family does with photos of any kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from chunkygan.errors import ImageError

Pixels = np.ndarray[Any, Any]

RIGHT_EYE, LEFT_EYE, MOUTH_CORNERS = slice(36, 42), slice(42, 48), (48, 54)
"""Points of the 68: the eye on the picture's left and on its right, and the outer corners of the mouth."""


@dataclass(frozen=True)
class Alignment:
    """Where an aligned picture lies in its photo.

    Args:
        corners: top left, bottom left, bottom right, top right in pixels of the photo (x, y), a turned square; whole
            numbers are the centres of pixels.
        size: side of the aligned picture in pixels.
    """

    corners: tuple[tuple[float, float], ...]
    size: int

    @property
    def side(self) -> float:
        """Length of the square's side in pixels of the photo."""
        return math.dist(self.corners[0], self.corners[1])

    def as_dict(self) -> dict[str, Any]:
        """What JSON has a form for; `Alignment(**...)` makes it again."""
        return {"corners": [list(corner) for corner in self.corners], "size": self.size}


def alignment_of(landmarks: Pixels, size: int = 1024) -> Alignment:
    """The square that FFHQ's crop takes of a photo.

    Args:
        landmarks: (68, 2) points (x to the right, y down) of the iBUG scheme, in pixels of the photo.
        size: side of the aligned picture.

    Raises:
        ImageError: other landmarks, or points that all lie together.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ImageError(f"landmarks must be 68 points (x, y); got an array of shape {points.shape}")
    eyes = np.stack([points[RIGHT_EYE].mean(0), points[LEFT_EYE].mean(0)])
    mouth = points[list(MOUTH_CORNERS)].mean(0)
    between, middle = eyes[1] - eyes[0], eyes.mean(0)
    down = mouth - middle
    axis = between + np.array([down[1], -down[0]])  # along the eyes, and across the line from them to the mouth
    length = np.hypot(*axis)
    if not length:
        raise ImageError("landmarks: eyes and mouth lie in one point")
    half = max(np.hypot(*between) * 2.0, np.hypot(*down) * 1.8)
    x = axis / length * half
    y = np.array([-x[1], x[0]])
    centre = middle + down * 0.1
    corners = (centre - x - y, centre - x + y, centre + x + y, centre + x - y)
    return Alignment(tuple((float(a), float(b)) for a, b in corners), size)


def align(photo: Image.Image, alignment: Alignment, *, oversampling: int = 1) -> Image.Image:
    """The aligned picture; what lies outside the photo is its mirror image, fading into its blur and its median colour.

    Args:
        oversampling: drawn so many times larger and reduced; 4 is what FFHQ did for 1024 pixels, 1 what pSp does.
    """
    image, corners = photo.convert("RGB"), np.array(alignment.corners)
    side = alignment.side
    shrink = math.floor(side / alignment.size * 0.5)
    if shrink > 1:
        image = image.resize([round(length / shrink) for length in image.size], Image.Resampling.LANCZOS)
        corners, side = corners / shrink, side / shrink
    border = max(round(side * 0.1), 3)
    box = np.clip(_bounds(corners) + np.array([-border, -border, border, border]), 0, [*image.size, *image.size])
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ImageError("the face lies outside the photo")
    image, corners = image.crop(tuple(box.tolist())), corners - box[:2]
    margin = _bounds(corners) + np.array([-border, -border, border, border])
    missing = np.maximum([-margin[0], -margin[1], margin[2] - image.size[0], margin[3] - image.size[1]], 0)
    if missing.max() > border - 4:
        missing = np.maximum(missing, round(side * 0.3))
        image, corners = _extended(image, missing, side * 0.02), corners + missing[:2]
    drawn = alignment.size * oversampling
    data = tuple((corners + 0.5).flatten().tolist())
    image = image.transform((drawn, drawn), Image.Transform.QUAD, data, Image.Resampling.BILINEAR)
    return image if oversampling == 1 else image.resize((alignment.size,) * 2, Image.Resampling.LANCZOS)


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
    bounds = _bounds(np.array(alignment.corners)) + np.array([-1, -1, 2, 2])
    left, top, right, bottom = np.clip(bounds, 0, [photo.shape[1], photo.shape[0]] * 2).tolist()
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


def _bounds(corners: Pixels) -> Pixels:
    """Left, top, right, bottom of the box around points, in whole pixels."""
    return np.concatenate([np.floor(corners.min(0)), np.ceil(corners.max(0))]).astype(int)


def _places(alignment: Alignment, box: tuple[int, int, int, int]) -> Tensor:
    """(h, w, 2): where the pixels of a box of the photo lie in the aligned picture, (x, y) in [-1, 1]."""
    left, top, right, bottom = box
    start, below, _, beside = np.array(alignment.corners)
    inverse = np.linalg.inv(np.stack([beside - start, below - start], 1))
    y, x = np.mgrid[top:bottom, left:right]
    relative = (np.stack([x, y], -1) - start) @ inverse.T
    return torch.from_numpy(relative * 2 - 1).float()


def _extended(image: Image.Image, missing: Pixels, blur: float) -> Image.Image:
    """The picture with mirrored margins (left, top, right, bottom) that fade out."""
    left, top, right, bottom = missing.tolist()
    pixels = np.pad(np.asarray(image, np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width = pixels.shape[:2]
    x, y = np.arange(width, dtype=np.float32)[None, :, None], np.arange(height, dtype=np.float32)[:, None, None]
    across = 1 - np.minimum(x / left, (width - 1 - x) / right)
    down = 1 - np.minimum(y / top, (height - 1 - y) / bottom)
    outside = np.maximum(across, down)
    pixels += (_blurred(pixels, blur) - pixels) * np.clip(outside * 3 + 1, 0, 1)
    pixels += (np.median(pixels, axis=(0, 1)) - pixels) * np.clip(outside, 0, 1)
    return Image.fromarray(np.uint8(np.clip(np.rint(pixels), 0, 255)))


def _blurred(pixels: Pixels, deviation: float) -> Pixels:
    """Gaussian blur of (h, w, 3), cut at four deviations, the picture mirrored at its edges."""
    radius = int(4 * deviation + 0.5)
    steps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (steps / deviation) ** 2)
    weights = torch.from_numpy(kernel / kernel.sum()).float()[None, None]
    for axis in (0, 1):
        edges = [(radius, radius) if i == axis else (0, 0) for i in range(3)]
        rows = torch.from_numpy(np.moveaxis(np.pad(pixels, edges, "symmetric"), axis, -1).copy())
        smooth = F.conv1d(rows.flatten(0, 1)[:, None], weights)[:, 0]
        pixels = np.moveaxis(smooth.unflatten(0, rows.shape[:2]).numpy(), -1, axis)
    return pixels
