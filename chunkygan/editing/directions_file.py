"""Directions of one generator in one file, with unit and effects; `chunkygan.editing.directions` reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chunkygan.editing.direction import Direction, unit_direction
from chunkygan.errors import WeightsError
from chunkygan.tensor_files import read_safetensors, write_safetensors

FORMAT, VERSION = "chunkygan.directions", 1


def write_directions(
    path: str | os.PathLike[str], directions: Sequence[Direction], *, generator_sha256: str | None, **notes: Any
) -> None:
    """Writes directions, each tensor of the length that strength 1 is.

    Args:
        generator_sha256: of the weight file they belong to; None where it has none.
        notes: what else the file says, as JSON.

    Raises:
        WeightsError: the file cannot be written.
    """
    about = {d.name: {"space": d.space, "rows": d.rows, "geometric": d.geometric} for d in directions}
    metadata = {
        "format": FORMAT, "format_version": str(VERSION), "directions": json.dumps(about),
        "generator_sha256": generator_sha256 or "", **{name: json.dumps(value) for name, value in notes.items()},
    }  # fmt: skip
    write_safetensors(path, {d.name: d.vector * d.native_strength for d in directions}, metadata)


def is_own(metadata: Mapping[str, str]) -> bool:
    """Whether a safetensors file says of itself that `write_directions` wrote it."""
    return metadata.get("format") == FORMAT


def read_own(path: str | os.PathLike[str]) -> list[Direction]:
    """The directions of a file that `write_directions` wrote.

    Raises:
        WeightsError: it is damaged or newer than this program.
    """
    metadata, tensors = read_safetensors(path)
    if metadata.get("format_version") != str(VERSION):
        raise WeightsError(
            f"{path}: directions of format {metadata.get('format_version')}; this program reads {VERSION}. Newer?"
        )
    about = _about(metadata.get("directions", ""), path)
    if set(about) != set(tensors):
        raise WeightsError(f"{path} is damaged: it describes other directions than it holds")
    digest = metadata.get("generator_sha256") or None
    return [_direction(name, tensors[name], about[name], digest, path) for name in about]


def _about(text: str, path: object) -> dict[str, Mapping[str, Any]]:
    try:
        about = json.loads(text)
    except json.JSONDecodeError as error:
        raise WeightsError(f"{path} is damaged: its metadata 'directions' is no JSON") from error
    if not isinstance(about, dict) or not all(isinstance(value, dict) for value in about.values()):
        raise WeightsError(f"{path} is damaged: its metadata 'directions' is no map of maps")
    return about


def _direction(name: str, vector: Any, about: Mapping[str, Any], digest: str | None, path: object) -> Direction:
    space, rows = about.get("space"), about.get("rows")
    if space not in ("w", "w_plus", "s") or vector.ndim != (2 if space == "w_plus" else 1):
        raise WeightsError(f"{path} is damaged: '{name}' is no direction of the space '{space}'")
    if rows is not None and not (isinstance(rows, list) and len(rows) == 2 and all(isinstance(r, int) for r in rows)):
        raise WeightsError(f"{path} is damaged: '{name}' has the rows {rows!r}")
    whole = unit_direction(name, vector, None if rows is None else (rows[0], rows[1]), path)
    return replace(whole, space=space, generator_sha256=digest, geometric=about.get("geometric") is True)
