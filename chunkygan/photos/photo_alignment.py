"""From a photo to the picture that is fitted: aligned where it has to be, and the way back kept."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from chunkygan.build import create
from chunkygan.errors import ComponentError, ImageError, WeightsError
from chunkygan.images import MAX_PIXELS, open_image
from chunkygan.interfaces import LandmarkDetector
from chunkygan.photos.alignment import Alignment, align, alignment_from, alignment_of, centred
from chunkygan.photos.landmarks import as_face, chosen_face, read_landmarks
from chunkygan.types import Face

SCALE, SHIFT, TURN = 1.1, 0.03, 3.0
"""How far a picture's square may be from the one its landmarks ask for before it counts as not aligned: in size, of its
side, and in degrees. Twelve portraits of FFHQ's kind stayed within 1.03, 0.003 and 0.4; pictures of another crop began
at 1.19 and 0.06."""

OVERSAMPLING = 4  # FFHQ's own


@dataclass(frozen=True)
class PhotoOptions:
    """What is done with a photo before it is fitted.

    Args:
        align: ``auto``: in a domain that names an alignment, a photo whose face is not where it belongs is aligned,
            and said to be; ``always``: aligned or refused; ``never``: cut around its centre.
        detector: the landmark detector's component.
        face: number of the face, from 1 on, counted from the left; None: the largest.
        landmarks: landmark file instead of a detector; ``{stem}`` stands for the photo's name without suffix.
        points: five (x, y) instead: both eyes, nose, both corners of the mouth, in pixels of the upright photo.
    """

    align: Literal["auto", "always", "never"] = "auto"
    detector: str = "dlib"
    face: int | None = None
    landmarks: str = ""
    points: Sequence[Sequence[float]] = ()

    @property
    def is_asked_for(self) -> bool:
        """Whether the user wants it aligned, wherever the face may be."""
        told = bool(self.landmarks or self.points) or self.face is not None
        return self.align == "always" or (told and self.align != "never")


@dataclass(frozen=True)
class PlacedPhoto:
    """A photo, ready to be fitted.

    Args:
        picture: aligned, or as it is; still to be cut and resized to the generator's size.
        alignment: where it lies in the photo; None where the generator draws no squares.
        notes: what the user should know, a line each.
    """

    picture: Image.Image
    alignment: Alignment | None
    notes: tuple[str, ...] = ()


def place_photo(
    path: str | os.PathLike[str],
    resolution: tuple[int, int],
    options: PhotoOptions,
    *,
    template: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> PlacedPhoto:
    """A photo file as the picture to fit.

    Beside a picture that `chunkygan align` wrote lies its alignment, ``NAME.alignment.json``, which is then kept.

    Args:
        resolution: (height, width) that the generator draws.
        template: the domain's alignment; None: it has none, and pictures are taken as they are unless asked otherwise.

    Raises:
        ImageError: no picture, no face where one is needed, or no face of that number.
        ComponentError, WeightsError: a detector is needed, and is not there.
    """
    photo = open_image(path, max_pixels=max_pixels)
    if resolution[0] != resolution[1]:
        if options.is_asked_for:
            raise ImageError(f"{path}: only square pictures are aligned; the generator draws {resolution}")
        return PlacedPhoto(photo, None)
    if not options.is_asked_for and (known := _alignment_beside(Path(path), photo.size)) is not None:
        return PlacedPhoto(photo, replace(known, size=resolution[0]))
    whole = PlacedPhoto(photo, centred(photo.size, resolution[0]))
    if options.align == "never" or not (options.is_asked_for or template):
        return whole
    try:
        faces = faces_of(photo, options, Path(path))
    except (ComponentError, WeightsError) as error:
        if options.is_asked_for:
            raise
        return replace(whole, notes=_shape_note(path, photo.size, str(error)))
    if not faces and not options.is_asked_for:
        return replace(whole, notes=(f"{path}: no face was found; it is taken as it is, cut around its centre",))
    face = chosen_face(faces, options.face, str(path))
    found = alignment_of(face.landmarks, resolution[0], photo.size)
    odd = oddities(found)
    if not options.is_asked_for and not odd:
        return whole
    note = f"{path}: is not aligned ({', '.join(odd)}), and is aligned now; --no-align takes it as it is"
    return PlacedPhoto(align(photo, found, oversampling=OVERSAMPLING), found, () if options.is_asked_for else (note,))


def faces_of(photo: Image.Image, options: PhotoOptions, path: Path) -> list[Face]:
    """The faces that the points, the landmark file, or else the detector give for a photo.

    Raises:
        ImageError: points or a file that are no landmarks.
        ComponentError, WeightsError: the detector is not there.
    """
    if options.points:
        return [as_face(options.points, "points")]
    if options.landmarks:
        return read_landmarks(options.landmarks.replace("{stem}", path.stem))
    return _detector(options.detector).detect(photo.convert("RGB"))


def oddities(alignment: Alignment) -> list[str]:
    """In what the photo itself differs from the square that its landmarks ask for, in words; empty where it is that
    square within `SCALE`, `SHIFT` and `TURN`."""
    assert alignment.photo is not None
    whole = centred(alignment.photo, alignment.size)
    found, corners = [], np.array(alignment.corners)
    scale = alignment.side / whole.side
    shift = np.abs(corners.mean(0) - np.array(whole.corners).mean(0)).max() / whole.side
    right = corners[3] - corners[0]
    turn = math.degrees(math.atan2(right[1], right[0]))
    if max(alignment.photo) > SCALE * min(alignment.photo):
        found.append(f"{alignment.photo[0]} x {alignment.photo[1]} pixels are no square")
    if not 1 / SCALE <= scale <= SCALE:
        found.append(f"the face is {1 / scale:.2f} times as large as it should be")
    if shift > SHIFT:
        found.append(f"it lies {shift:.0%} of the side off")
    if abs(turn) > TURN:
        found.append(f"turned by {turn:.0f} degrees")
    return found


def sidecar(path: Path) -> Path:
    """Where the alignment of an aligned picture is written."""
    return path.with_name(f"{path.stem}.alignment.json")


def _alignment_beside(path: Path, size: tuple[int, int]) -> Alignment | None:
    """The alignment that lies beside a picture, if it is this picture's by its size."""
    file = sidecar(path)
    if not file.is_file():
        return None
    try:
        found = alignment_from(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ImageError) as error:
        raise ImageError(f"{file}: {error}; move it away, or align the photo again") from error
    return found if size == (found.size, found.size) else None


def _shape_note(path: str | os.PathLike[str], size: tuple[int, int], why: str) -> tuple[str, ...]:
    """What the picture's shape alone tells, where there are no landmarks."""
    if max(size) <= SCALE * min(size):
        return ()
    shape = f"{size[0]} x {size[1]} pixels are no square, so this is no aligned portrait and will invert badly"
    return (f"{path}: {shape}; it is cut around its centre, since it cannot be aligned here: {why}",)


@cache
def _detector(name: str) -> LandmarkDetector:
    found: LandmarkDetector = create("landmarks", name)
    return found
