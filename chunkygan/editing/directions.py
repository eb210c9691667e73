"""Latent directions from everybody's files, in one form: space, rows, unit length, native strength.

Source of the layouts: futscdav/Chunkmogrify, genforce/interfacegan, omertov/encoder4editing, harskish/ganspace,
nv-tlabs/editGAN_release.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from chunkygan.checkpoint_files.content import read_content
from chunkygan.checkpoint_files.recognition import described
from chunkygan.checkpoint_files.stored import Array, Stored
from chunkygan.editing.direction import Direction, sounds_geometric, unit_direction
from chunkygan.editing.directions_file import is_own, read_own
from chunkygan.errors import WeightsError
from chunkygan.wording import did_you_mean

MOST_ROWS = 32
"""W+ of a generator of 2**17 pixels; a matrix with more rows is none of W+."""

CHUNKMOGRIFY_ROWS = {
    "age": (0, 8), "beard": (6, 9), "empirical_glasses": (2, 4), "eye_distance": (0, 8), "eye_eyebrow_distance": (0, 5),
    "eye_ratio": (0, 8), "eyes_open": (0, 12), "gender": (0, 5), "light": (5, 11), "lip_ratio": (0, 12),
    "mouth_open": (0, 8), "nose_ratio": (0, 8), "nose_tip": (0, 12), "pitch": (0, 5), "smile_styleganv2": (0, 5),
    "yaw": (0, 5),
}  # fmt: skip
"""Chunkmogrify's files -> the rows of W+ that it moves; the others of its files move all."""


def read_direction(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    w_dim: int = 512,
    s_dim: int | None = None,
    rows: tuple[int, int] | None = None,
) -> Direction:
    """The direction in a file, or the one of that name where it holds several.

    Args:
        w_dim, s_dim: widths of the generator's W, and of its S (None: no directions of S are read).
        rows: the rows of W+ that it is meant for; None: what is known of the file.

    Raises:
        WeightsError: missing, damaged, no direction, or several and none of that name.
    """
    found = read_directions(path, w_dim=w_dim, s_dim=s_dim, rows=rows)
    if name is None and len(found) == 1:
        return found[0]
    names = [direction.name for direction in found]
    if name not in names:
        what = "several directions; name one" if name is None else f"no direction '{name}'"
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise WeightsError(f"{path} holds {what}: {listed}{did_you_mean(name or '', names)}")
    return found[names.index(name)]


def read_directions(
    path: str | os.PathLike[str], *, w_dim: int = 512, s_dim: int | None = None, rows: tuple[int, int] | None = None
) -> list[Direction]:
    """All directions in a ``.npy``, ``.pt`` or ``.safetensors`` file; nothing in it is ever run.

    Takes (w_dim,), (1, w_dim), (rows, w_dim) and (1, rows, w_dim) of any floating type, rows that all agree counting as
    a direction of W; this project's own files of several; GANSpace's maps of ``mean``, ``comp`` and ``std``; matrices
    (w_dim, n) of directions as columns; and (s_dim,) or (1, s_dim) for S.

    Args:
        w_dim, s_dim: widths of the generator's W, and of its S (None: no directions of S are read).
        rows: the rows of W+ that they are meant for; None: what is known of the file.

    Raises:
        WeightsError: missing, damaged, or no direction.
    """
    content = read_content(path)
    if is_own(content.metadata):
        return read_own(path)
    value, stem = content.value, Path(path).stem
    if isinstance(value, dict) and {"mean", "comp", "std"} <= set(value):
        parts = [_loaded(value[key], path) for key in ("mean", "comp", "std")]
        return _principal(*parts, rows=rows, path=path)
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if not isinstance(value, (Stored, Array)):
        raise WeightsError(f"{path}: no direction: holds {described(value)}")
    vector = _loaded(value, path)
    if s_dim is not None and vector.shape in ((s_dim,), (1, s_dim)):
        return [replace(unit_direction(stem, vector.reshape(-1), None, path), space="s")]
    if vector.ndim == 2 and vector.shape[0] == w_dim and vector.shape[0] > MOST_ROWS:
        return [unit_direction(f"{stem}_{i}", column, rows, path) for i, column in enumerate(vector.T)]
    known_rows = rows or _known_rows(stem, vector, Path(path))
    found = unit_direction(stem, _rows_of(vector, w_dim, path), known_rows, path)
    return [replace(found, geometric=sounds_geometric(stem))]


def _rows_of(vector: Tensor, w_dim: int, path: object) -> Tensor:
    """(w_dim,) or (rows, w_dim)."""
    flat = vector[0] if vector.ndim == 3 and len(vector) == 1 else vector
    if flat.ndim not in (1, 2) or flat.shape[-1] != w_dim or (flat.ndim == 2 and len(flat) > MOST_ROWS):
        several = f"; {len(vector)} codes or directions" if vector.ndim == 3 else ""
        raise WeightsError(
            f"{path}: no direction of W or W+: has the shape {tuple(vector.shape)}{several}; expected ({w_dim},), "
            f"(1, {w_dim}), (rows, {w_dim}) or (1, rows, {w_dim})"
        )
    return flat


def _known_rows(stem: str, vector: Tensor, path: Path) -> tuple[int, int] | None:
    """Chunkmogrify's files are (18, 512) arrays, but for one."""
    theirs = path.suffix == ".npy" and (vector.shape == (18, 512) or (stem == "light" and vector.shape == (1, 512)))
    return CHUNKMOGRIFY_ROWS.get(stem) if theirs else None


def _principal(
    mean: Tensor, axes: Tensor, std: Tensor, *, rows: tuple[int, int] | None, path: object
) -> list[Direction]:
    """GANSpace's components: a strength is a place, in standard deviations from the mean."""
    axes = axes.reshape(len(axes), -1)
    if mean.numel() != axes.shape[1] or std.numel() != len(axes):
        raise WeightsError(f"{path}: components, mean and deviations of different sizes")
    found = []
    for i, (axis, deviation) in enumerate(zip(axes, std.reshape(-1).tolist())):
        direction = unit_direction(f"component_{i}", axis, rows, path)
        origin = float(mean.reshape(-1) @ direction.vector.to(mean))
        strength = deviation * direction.native_strength
        found.append(Direction(direction.name, "w", direction.vector, rows, strength, origin))
    return found


def _loaded(value: object, path: object) -> Tensor:
    stored = value.stored if isinstance(value, Array) else value
    if not isinstance(stored, Stored) or not stored.dtype.startswith("float") or not stored.numel:
        raise WeightsError(f"{path}: no direction: holds no floating numbers")
    return stored.load().double()
