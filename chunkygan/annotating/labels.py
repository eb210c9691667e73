"""The labels that somebody has painted: classes by their colours, and pictures that a paint program has saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from chunkygan.domain import LabelClass
from chunkygan.errors import ImageError
from chunkygan.images import open_image
from chunkygan.labels import distinct_colours

UNLABELLED = -1
"""Label of a pixel that nobody has painted; a training leaves it out."""

UNPAINTED_COLOUR = (128, 128, 128)
"""Its colour in a file; a class may not have it."""


def read_classes(path: Path) -> tuple[LabelClass, ...]:
    """The classes of a file: a list of ``{name: ..., colour: [r, g, b]}``, or of names.

    Raises:
        ImageError: the file is missing or has another form, or two classes share a name or a colour.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise ImageError(f"{path}: cannot be read: {problem}") from problem
    if isinstance(content, dict) and isinstance(content.get("classes"), list):  # a domain's file
        content = content["classes"]
    if not isinstance(content, list) or not content:
        raise ImageError(f"{path}: must be a list of {{name: ..., colour: [r, g, b]}}, or of names")
    spare = distinct_colours(len(content)).tolist()
    classes = tuple(_as_class(entry, spare[i], f"{path}: entry {i}") for i, entry in enumerate(content))
    check_classes(classes, str(path))
    return classes


def _as_class(entry: Any, spare: Sequence[int], where: str) -> LabelClass:
    entry = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ImageError(f"{where}: must be a name, or {{name: ..., colour: [r, g, b]}}; got {entry!r}")
    colour = entry.get("colour", spare)
    if not (
        isinstance(colour, list) and len(colour) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in colour)
    ):
        raise ImageError(f"{where}: colour must be [r, g, b], 0 to 255 each; got {colour!r}")
    return LabelClass(entry["name"], (colour[0], colour[1], colour[2]))


def check_classes(classes: Sequence[LabelClass], where: str) -> None:
    """Raises where there are fewer than two classes, or two of one name or colour.

    Args:
        where: what the message begins with.

    Raises:
        ImageError: as said.
    """
    names, colours = [c.name for c in classes], [c.colour for c in classes]
    if len(classes) < 2:
        raise ImageError(f"{where}: two classes or more are needed; got {names}")
    compared: list[tuple[list[Any], str]] = [(names, "name"), ([*colours, UNPAINTED_COLOUR], "colour")]
    for values, what in compared:
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise ImageError(f"{where}: two classes have the {what} {twice[0]}, or it is that of unpainted pixels")


def read_labels(path: Path, classes: Sequence[LabelClass]) -> tuple[Tensor, list[str]]:
    """(h, w) labels of one picture, and what is wrong with its colours.

    Colours decide, so that a program may sort the palette anew or save as RGB; grey levels of a picture without colours
    are indices.

    Raises:
        ImageError: the file cannot be read.
    """
    image = open_image(path)
    if image.mode in ("L", "I", "I;16"):
        values = np.asarray(image).astype(np.int64)
        unknown = np.unique(values[values > len(classes)])
        labels = np.where(values >= len(classes), UNLABELLED, values)
        text = f"grey levels are indices, 0 to {len(classes) - 1}; got {unknown[:5].tolist()}"
        return torch.from_numpy(labels), [text] if len(unknown) else []
    rgba = np.asarray(image.convert("RGBA")).astype(np.int64)
    packed = (rgba[..., 0] << 16) + (rgba[..., 1] << 8) + rgba[..., 2]
    known = {(r << 16) + (g << 8) + b: i for i, (r, g, b) in enumerate(c.colour for c in classes)}
    r, g, b = UNPAINTED_COLOUR
    known[(r << 16) + (g << 8) + b] = UNLABELLED
    packed = np.where(rgba[..., 3] < 128, (r << 16) + (g << 8) + b, packed)
    colours, where, counts = np.unique(packed, return_inverse=True, return_counts=True)
    table = np.array([known.get(int(colour), UNLABELLED) for colour in colours])
    strange = [(int(n), int(c)) for c, n in zip(colours, counts) if int(c) not in known]
    problems = []
    if strange:
        strange.sort(reverse=True)
        shown = ", ".join(f"{(c >> 16, c >> 8 & 255, c & 255)} on {n} pixels" for n, c in strange[:3])
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        problems.append(f"colours of no class: {shown}{more}; paint without soft edges, in the colours of classes.yaml")
    return torch.from_numpy(table[where.reshape(packed.shape)]), problems
