"""FFHQ's alignment of a face from its landmarks.

Source: Karras et al. 2019, the dataset's own cropping; what the pSp family does with photos of any kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from chunkygan.errors import ImageError
from chunkygan.types import Point

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
        photo: (width, height) of the photo; None where it is not known.
    """

    corners: tuple[Point, ...]
    size: int
    photo: tuple[int, int] | None = None

    @property
    def side(self) -> float:
        """Length of the square's side in pixels of the photo."""
        return math.dist(self.corners[0], self.corners[1])

    def as_dict(self) -> dict[str, Any]:
        """What JSON has a form for; `alignment_from` makes it again."""
        photo = None if self.photo is None else list(self.photo)
        return {"corners": [list(corner) for corner in self.corners], "size": self.size, "photo": photo}


def alignment_from(value: Any) -> Alignment:
    """The alignment that `Alignment.as_dict` wrote down.

    Raises:
        ImageError: it is none, or no square.
    """
    try:
        corners = tuple((float(x), float(y)) for x, y in value["corners"])
        photo = None if value.get("photo") is None else (int(value["photo"][0]), int(value["photo"][1]))
        found = Alignment(corners, int(value["size"]), photo)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ImageError(f"no alignment: {error!r}") from error
    if found.size < 1 or not _is_square(np.array(corners)):
        raise ImageError("no alignment: four corners of a square and a size are needed")
    return found


def centred(photo: tuple[int, int], size: int) -> Alignment:
    """The largest upright square around the middle of a photo of (width, height), which is how pictures are cut that
    are not aligned."""
    side, middle = min(photo), [(length - 1) / 2 for length in photo]
    left, top, right, bottom = (middle[0] - side / 2, middle[1] - side / 2, middle[0] + side / 2, middle[1] + side / 2)
    return Alignment(((left, top), (left, bottom), (right, bottom), (right, top)), size, photo)


def alignment_of(
    landmarks: Sequence[Point] | Pixels, size: int = 1024, photo: tuple[int, int] | None = None
) -> Alignment:
    """The square that FFHQ's crop takes of a photo.

    Args:
        landmarks: (n, 2) points (x to the right, y down) in pixels of the photo: 68 of the iBUG scheme, or 5: both
            eyes' middles, the tip of the nose, both corners of the mouth.
        size: side of the aligned picture.
        photo: (width, height), kept in the result.

    Raises:
        ImageError: other landmarks, points that all lie together, or five points of which the nose is not where it
            must be.
    """
    eyes, mouth = _eyes_and_mouth(np.asarray(landmarks, dtype=np.float64))
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
    return Alignment(tuple((float(a), float(b)) for a, b in corners), size, photo)


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
    box = np.clip(bounds(corners) + np.array([-border, -border, border, border]), 0, [*image.size, *image.size])
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ImageError("the face lies outside the photo")
    image, corners = image.crop(tuple(box.tolist())), corners - box[:2]
    margin = bounds(corners) + np.array([-border, -border, border, border])
    missing = np.maximum([-margin[0], -margin[1], margin[2] - image.size[0], margin[3] - image.size[1]], 0)
    if missing.max() > border - 4:
        missing = np.maximum(missing, round(side * 0.3))
        image, corners = _extended(image, missing, side * 0.02), corners + missing[:2]
    drawn = alignment.size * oversampling
    data = tuple((corners + 0.5).flatten().tolist())
    image = image.transform((drawn, drawn), Image.Transform.QUAD, data, Image.Resampling.BILINEAR)
    return image if oversampling == 1 else image.resize((alignment.size,) * 2, Image.Resampling.LANCZOS)


def _eyes_and_mouth(points: Pixels) -> tuple[Pixels, Pixels]:
    """(2, 2) middles of the eyes, that on the picture's left first, and (2,) the middle of the mouth."""
    if points.shape not in ((68, 2), (5, 2)) or not np.isfinite(points).all():
        raise ImageError(f"landmarks must be 68 or 5 points (x, y); got an array of shape {points.shape}")
    if len(points) == 68:
        eyes = np.stack([points[RIGHT_EYE].mean(0), points[LEFT_EYE].mean(0)])
        return eyes, points[list(MOUTH_CORNERS)].mean(0)
    eyes, nose, mouth = points[:2], points[2], points[3:].mean(0)
    down = mouth - eyes.mean(0)
    if (nose - eyes.mean(0)) @ down <= 0 or (nose - mouth) @ down >= 0:
        raise ImageError("five landmarks must be both eyes, the nose, both corners of the mouth, in this order")
    across = eyes[1] - eyes[0]
    return (eyes if across[0] * down[1] > across[1] * down[0] else eyes[::-1]), mouth


def _is_square(corners: Pixels) -> bool:
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        return False
    down, diagonal, across = corners[1:] - corners[0]
    side = np.hypot(*down)
    return bool(side > 0 and np.allclose([[down[1], -down[0]], down + across], [across, diagonal], atol=1e-3 * side))


def bounds(corners: Pixels) -> Pixels:
    """Left, top, right, bottom of the box around points, in whole pixels."""
    return np.concatenate([np.floor(corners.min(0)), np.ceil(corners.max(0))]).astype(int)


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
