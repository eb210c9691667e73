"""Editing vectors on disk: directions of W+ that a repainting found, each with its region and classes beside it."""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from chunkygan.editing.direction import unit_direction
from chunkygan.editing.directions_file import is_own, read_own, write_directions
from chunkygan.errors import WeightsError
from chunkygan.tensor_files import read_safetensors

NOTES = "repainted"
"""Key of the file's metadata that holds regions and classes."""


@dataclass(frozen=True, eq=False)
class EditingVector:
    """A change of code that a repainting found.

    Args:
        name: of the edit.
        direction: (num_ws, w_dim); strength 1 is what was painted.
        region: (h, w) bool, where the picture that it was found on could change.
        classes: names of the classes that were repainted or painted.
    """

    name: str
    direction: Tensor
    region: Tensor
    classes: tuple[str, ...]


def write_vectors(
    path: str | os.PathLike[str], vectors: Sequence[EditingVector], *, generator_sha256: str | None
) -> None:
    """Writes vectors as directions that `chunkygan edit` takes, with their regions and classes.

    Raises:
        WeightsError: the file cannot be written, or a vector is 0.
    """
    directions = [unit_direction(v.name, v.direction.cpu(), None, path) for v in vectors]
    about = {v.name: {"classes": list(v.classes), "region": _packed(v.region)} for v in vectors}
    write_directions(path, directions, generator_sha256=generator_sha256, **{NOTES: about})


def read_vectors(path: str | os.PathLike[str]) -> list[EditingVector]:
    """The editing vectors of a file; directions in it that no repainting found are left out.

    Raises:
        WeightsError: it is missing, damaged, or another kind of file.
    """
    metadata, _ = read_safetensors(path)
    if not is_own(metadata):
        raise WeightsError(f"{path}: no file of directions that this program wrote")
    about, found = _about(metadata, path), []
    for direction in read_own(path):
        if direction.name in about:
            region, classes = about[direction.name]
            found.append(EditingVector(direction.name, direction.vector * direction.native_strength, region, classes))
    return found


def _about(metadata: Mapping[str, str], path: object) -> dict[str, tuple[Tensor, tuple[str, ...]]]:
    try:
        stored: dict[str, Any] = json.loads(metadata.get(NOTES, "{}"))
        return {name: (_unpacked(value["region"]), tuple(map(str, value["classes"]))) for name, value in stored.items()}
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise WeightsError(f"{path} is damaged: what it says of repainted regions cannot be read") from error


def _packed(region: Tensor) -> str:
    """A region as the text of a PNG of one bit a pixel: some hundred bytes."""
    file = io.BytesIO()
    Image.fromarray(region.cpu().numpy()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def _unpacked(text: str) -> Tensor:
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as image:
            return torch.from_numpy(np.array(image.convert("1")))
    except (binascii.Error, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error
