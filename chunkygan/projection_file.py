"""A projection on disk: one safetensors file, its metadata JSON. Reading checks everything and runs nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.editing.component_edits import AnyEdit, ComponentEdit
from chunkygan.editing.moves import Move, check_move
from chunkygan.errors import ImageError, ProjectionError, ShapeError
from chunkygan.interfaces import Generator
from chunkygan.loading import frozen
from chunkygan.masks import check_masks
from chunkygan.photos.alignment import Alignment, alignment_from
from chunkygan.projection import Projection
from chunkygan.shapes import check_shape
from chunkygan.types import Codes, Segments, WeightChanges
from chunkygan.weights import find, read_safetensors, sha256, write_safetensors

FORMAT = "chunkygan.projection"
VERSION = 4
"""2: edits have rows, names and a switch; weight changes. 3: edits by components. 4: painted masks, masks that follow
edits, edits with a direction for each chunk."""


def save_projection(projection: Projection, path: str | os.PathLike[str]) -> None:
    """Writes a projection, whole or not at all.

    Raises:
        WeightsError: it cannot be written.
    """
    p = projection
    tensors = {"target": _packed_picture(p.target), **_packed_masks(p.segments)}
    tensors |= {} if p.fitted is None else {f"fitted.{name}": part for name, part in _packed_masks(p.fitted).items()}
    tensors |= {f"code.{i}": code for i, code in enumerate(p.codes.values)}
    tensors |= {f"noise.{i}": value for i, value in enumerate(p.noise or ())}
    tensors |= {f"mask_state.{name}": value for name, value in p.mask_state.items()}
    tensors |= {f"edit.{i}": edit.direction for i, edit in enumerate(p.edits) if isinstance(edit, Move)}
    tensors |= {f"weight.{name}": part for name, part in (p.weight_changes.parts if p.weight_changes else {}).items()}
    description = {
        "generator": {"spec": p.generator_spec, "sha256": p.generator_sha256},
        "spaces": [dict(spec) for spec in p.codes.spaces],
        "chunks": list(p.segments.names),
        "edits": [_described(edit) for edit in p.edits],
        "weight_changes": None if p.weight_changes is None else {"error": p.weight_changes.error},
        "metrics": p.metrics,
        "recipe": p.recipe,
        "alignment": None if p.alignment is None else p.alignment.as_dict(),
    }
    metadata = {"format": FORMAT, "format_version": str(VERSION), "projection": json.dumps(description)}
    write_safetensors(path, tensors, metadata)


def load_projection(path: str | os.PathLike[str], *, generator: Generator | None = None) -> Projection:
    """The projection in a file.

    Args:
        generator: draws it; None: loaded as the file names it, and checked to be the same file.

    Raises:
        ProjectionError: missing, no projection, of a later version, damaged, or of another generator than is there.
        WeightsError: no safetensors file, or the generator's is missing or unreadable.
    """
    path = Path(path)
    if not path.is_file():
        raise ProjectionError(f"no projection '{path}': there is no such file")
    metadata, tensors = read_safetensors(path)
    description = _description(path, metadata)
    try:
        return _assembled(description, tensors, generator)
    except (KeyError, IndexError, TypeError, ValueError) as error:  # ShapeError is a ValueError
        raise ProjectionError(f"{path}: damaged or not written by this program: {_reason(error)}") from error


def _description(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise ProjectionError(f"{path}: a safetensors file, but no projection")
    version = metadata.get("format_version", "")
    if not version.isdigit() or int(version) > VERSION:
        raise ProjectionError(f"{path}: projection of version {version}; this program reads up to {VERSION}: update it")
    try:
        description = json.loads(metadata["projection"])
    except (KeyError, json.JSONDecodeError) as error:
        raise ProjectionError(f"{path}: its description is damaged") from error
    if not isinstance(description, dict):
        raise ProjectionError(f"{path}: its description is damaged")
    return description


def _assembled(description: dict[str, Any], tensors: dict[str, Tensor], generator: Generator | None) -> Projection:
    names, spaces = tuple(description["chunks"]), tuple(description["spaces"])
    source = description["generator"]
    target = _unpacked_picture(tensors["target"])
    size = {"h": target.shape[2], "w": target.shape[3]}
    segments = _unpacked_masks(tensors, names, size)
    fitted = {name.removeprefix("fitted."): part for name, part in tensors.items() if name.startswith("fitted.")}
    codes = Codes(tuple(tensors[f"code.{i}"] for i in range(len(names))), spaces)
    count = sum(name.startswith("noise.") for name in tensors)
    projection = Projection(
        target=target, codes=codes, segments=segments,
        generator=_generator(source["spec"], source["sha256"]) if generator is None else generator,
        generator_spec=source["spec"], generator_sha256=source["sha256"],
        noise=tuple(tensors[f"noise.{i}"] for i in range(count)) or None,
        mask_state={k.removeprefix("mask_state."): v for k, v in tensors.items() if k.startswith("mask_state.")},
        metrics=dict(description["metrics"]), recipe=dict(description["recipe"]),
        edits=tuple(_edit(edit, f"edit.{i}", tensors) for i, edit in enumerate(description["edits"])),
        weight_changes=_weight_changes(tensors, description.get("weight_changes")),
        alignment=_alignment(description.get("alignment")),
        fitted=_unpacked_masks(fitted, names, size) if fitted else None,
    )  # fmt: skip
    _check(projection)
    return projection


def _check(p: Projection) -> None:
    check_shape(p.target, "1 3 h w", name="target", h=p.generator.resolution[0], w=p.generator.resolution[1])
    if not len(p.codes.values) == len(p.codes.spaces) == len(p.segments.names):
        raise ShapeError("as many codes as spaces and chunk names are needed")
    for name, code, space in zip(p.segments.names, p.codes.values, p.spaces):
        if tuple(code.shape) != space.code_shape or not torch.isfinite(code).all():
            raise ShapeError(f"the code of chunk '{name}' must be {space.code_shape} finite numbers")
    for segments in (p.segments, *([] if p.fitted is None else [p.fitted])):
        check_masks(segments.masks, names=segments.names)
    maps = [tuple(value.shape) for value in p.generator.noise_maps()]
    if p.noise is not None and [tuple(value.shape) for value in p.noise] != maps:
        raise ShapeError("the noise maps are not this generator's")
    for edit in p.edits:
        if not all(isinstance(i, int) and 0 <= i < len(p.segments.names) for i in edit.chunks):
            raise ShapeError("an edit names a chunk that is not there")
        if isinstance(edit, Move):  # a component's weights are looked for when it acts
            for i in edit.chunks:
                check_move(edit.of_chunk(i), p.spaces[i])


def _alignment(value: dict[str, Any] | None) -> Alignment | None:
    try:
        return None if value is None else alignment_from(value)
    except ImageError as error:
        raise ValueError(str(error)) from error


def _described(edit: AnyEdit) -> dict[str, Any]:
    if isinstance(edit, ComponentEdit):
        return {
            "spec": dict(edit.spec), "strength": edit.strength, "chunks": list(edit.chunks), "name": edit.name,
            "enabled": edit.enabled, "masks": edit.masks,
        }  # fmt: skip
    rows = None if edit.rows is None else list(edit.rows)
    return {
        "strength": edit.strength, "chunks": list(edit.chunks), "rows": rows, "name": edit.name,
        "enabled": edit.enabled, "masks": edit.masks,
    }  # fmt: skip


def _edit(stored: dict[str, Any], key: str, tensors: dict[str, Tensor]) -> AnyEdit:
    """An edit; those of version 1 have neither rows nor name nor switch."""
    if "spec" in stored:
        spec = dict(stored["spec"])
        if not isinstance(spec["name"], str):
            raise ValueError("an edit's component has no name")
        return ComponentEdit(
            spec, float(stored["strength"]), tuple(stored["chunks"]), str(stored["name"]), bool(stored["enabled"]),
            bool(stored.get("masks", False)),
        )  # fmt: skip
    direction, rows = tensors[key], stored.get("rows")
    return Move(
        direction, float(stored["strength"]), tuple(stored["chunks"]), None if rows is None else (rows[0], rows[1]),
        str(stored.get("name", "")), bool(stored.get("enabled", True)), bool(stored.get("masks", False)),
    )  # fmt: skip


def _weight_changes(tensors: dict[str, Tensor], stored: dict[str, Any] | None) -> WeightChanges | None:
    if stored is None:
        return None
    parts = {name.removeprefix("weight."): part for name, part in tensors.items() if name.startswith("weight.")}
    if not all(torch.isfinite(part).all() for part in parts.values()):
        raise ShapeError("the weight changes hold numbers that are not finite")
    return WeightChanges(parts, float(stored["error"]))


def _generator(spec: dict[str, Any], digest: str | None) -> Generator:
    weights = spec.get("weights")
    if weights is None:
        raise ProjectionError("the projection's generator has no weight file; pass generator= to load it")
    if digest is not None and sha256(find(weights)) != digest:
        raise ProjectionError(
            f"the projection was made with another file than the one now called '{weights}' (sha256 {digest[:12]}...); "
            "bring that file back, or pass generator= to draw with another one"
        )
    return frozen(create("generator", spec))


def _packed_picture(image: Tensor) -> Tensor:
    """As bytes where they hold it to rounding, which is so for pictures that were read from 8-bit files unresized."""
    whole = ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return whole if torch.allclose(_unpacked_picture(whole), image, rtol=0, atol=1e-6) else image


def _unpacked_picture(stored: Tensor) -> Tensor:
    return stored.float() / 127.5 - 1 if stored.dtype == torch.uint8 else stored


def _packed_masks(segments: Segments) -> dict[str, Tensor]:
    """One byte a pixel where every mask is 0 or 1."""
    masks, packed = segments.masks, {}
    if len(masks) < 256 and bool(((masks == 0) | (masks == 1)).all()):
        packed["labels"] = masks.argmax(0).to(torch.uint8)
    else:
        packed["masks"] = masks
    return packed if segments.static is None else {**packed, "static": segments.static}


def _unpacked_masks(tensors: dict[str, Tensor], names: tuple[str, ...], size: dict[str, int]) -> Segments:
    if "labels" in tensors:
        labels = tensors["labels"].long()
        check_shape(labels, "h w", name="labels", **size)
        masks = torch.stack([(labels == i).float() for i in range(len(names))])
    else:
        masks = tensors["masks"]
    check_shape(masks, "n h w", name="masks", n=len(names), **size)
    static = tensors.get("static")
    if static is not None:
        check_shape(static, "h w", name="static", **size)
    return Segments(masks, names, static)


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
