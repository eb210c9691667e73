"""Faces' landmarks from detectors and from files, and which of several faces is meant."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chunkygan.errors import ImageError
from chunkygan.types import Face, Point

COUNTS = {68: "the iBUG scheme's, as dlib numbers them", 5: "both eyes, nose, both corners of the mouth"}
"""Numbers of landmarks that can be used, and which ones they are."""

_DOUBTFUL = 0.25
"""A detector's faces below this share of the best score count only when they are asked for: shadows and patterns."""


def read_landmarks(path: str | os.PathLike[str]) -> list[Face]:
    """The faces in a landmark file.

    Text holds one face: 68 or 5 lines ``x y`` (or ``x, y``); empty lines and what follows ``#`` are left out. JSON
    holds one or more: a list of 68 or 5 pairs, a list of such lists, or either under the key ``landmarks``. Pixels of
    the photo as it is seen, turned upright; whole numbers are the centres of pixels.

    Raises:
        ImageError: the file cannot be read, or is none of these.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ImageError(f"{path}: is no text file with landmarks") from error
    try:
        return _from_json(json.loads(text), str(path))
    except json.JSONDecodeError as error:
        if text.lstrip()[:1] in ("[", "{"):
            raise ImageError(f"{path}: damaged JSON: {error}") from error
    return [as_face(_lines(text, str(path)), str(path))]


def as_face(points: Sequence[Sequence[float]], name: str = "landmarks") -> Face:
    """A face of 68 or 5 points (x, y).

    Raises:
        ImageError: another number of points, or values that are no numbers.
    """
    try:
        found = tuple((float(x), float(y)) for x, y in points)
    except (TypeError, ValueError) as error:
        raise ImageError(f"{name}: landmarks must be pairs x y of numbers") from error
    if len(found) not in COUNTS:
        wanted = " or ".join(f"{count} ({what})" for count, what in COUNTS.items())
        raise ImageError(f"{name}: landmarks must be {wanted}; got {len(found)}")
    if not all(abs(value) < 1e6 for point in found for value in point):  # not a number is not smaller either
        raise ImageError(f"{name}: landmarks must be positions in pixels")
    return Face(found)


def chosen_face(faces: Sequence[Face], number: int | None, name: str) -> Face:
    """One of the faces of a photo: the largest that the detector is sure of, or the N-th from the left.

    Args:
        number: from 1 on, counted from the left; None: the largest.
        name: of the photo, for messages.

    Raises:
        ImageError: there is none, or none of that number (says where they are).
    """
    if not faces:
        raise ImageError(f"{name}: no face was found; give five points (--points) or a landmark file (--landmarks)")
    ordered = sorted(faces, key=lambda face: face.centre)
    if number is None:
        best = max(face.score for face in faces)
        return max((face for face in faces if face.score >= _DOUBTFUL * best), key=lambda face: face.area)
    if not 1 <= number <= len(faces):
        places = ", ".join(f"{i} around ({f.centre[0]:.0f}, {f.centre[1]:.0f})" for i, f in enumerate(ordered, 1))
        raise ImageError(f"{name}: no face {number}; from the left there are {places}")
    return ordered[number - 1]


def _from_json(content: Any, name: str) -> list[Face]:
    content = content.get("landmarks") if isinstance(content, dict) else content
    if not isinstance(content, list) or not content:
        raise ImageError(f"{name}: must hold a list of points, of lists of points, or one under the key landmarks")
    several = all(isinstance(item, dict) or _is_points(item) for item in content)
    return [face for item in content for face in _from_json(item, name)] if several else [as_face(content, name)]


def _is_points(item: Any) -> bool:
    return isinstance(item, list) and bool(item) and isinstance(item[0], list)


def _lines(text: str, name: str) -> list[Point]:
    points = []
    for number, line in enumerate(text.splitlines(), 1):
        words = re.split(r"[\s,;]+", line.partition("#")[0].strip())
        if words == [""]:
            continue
        try:
            x, y = map(float, words)
        except ValueError as error:
            raise ImageError(f"{name}, line {number}: must be x y; got {line.strip()[:40]!r}") from error
        points.append((x, y))
    return points
