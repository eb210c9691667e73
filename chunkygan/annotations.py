"""Folders in which somebody paints the classes of generated pictures: written, checked, and read for a training.

    DIR/classes.yaml          names and colours, in the order of the indices
    DIR/latents.safetensors   the W+ code of every picture
    DIR/pictures/0000.png     what the generator drew
    DIR/labels/0000.png       what is painted: indexed, or RGB in the colours of classes.yaml

DatasetGAN's and EditGAN's own folders (``image_mask<i>.npy`` beside ``latents_image_<i>.npy``) are read as well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from chunkygan.annotations_peers import is_peers, read_peers
from chunkygan.domain import LabelClass
from chunkygan.errors import ChunkyGANError, ImageError
from chunkygan.files import atomic_write
from chunkygan.images import list_images, open_image, write_image
from chunkygan.labels import colour_labels, distinct_colours
from chunkygan.tensor_files import read_safetensors, write_safetensors
from chunkygan.wording import did_you_mean

UNLABELLED = -1
"""Label of a pixel that nobody has painted; a training leaves it out."""

UNPAINTED_COLOUR = (128, 128, 128)
"""Its colour in a file; a class may not have it."""

FEW = 30
"""A class with fewer pixels in a picture is more likely a slip of the brush; DatasetGAN drops it."""


@dataclass(frozen=True)
class Annotations:
    """What was painted.

    Args:
        names: of the pictures.
        ws: (n, num_ws, w_dim), their codes.
        labels: (n, h, w), index of each pixel's class; `UNLABELLED` where it has none.
        classes: names and colours.
    """

    names: tuple[str, ...]
    ws: Tensor
    labels: Tensor
    classes: tuple[LabelClass, ...]


@dataclass(frozen=True)
class Finding:
    """What is odd about a file of the folder; `fatal` where it cannot be trained on like this."""

    file: str
    text: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.text}" if self.fatal else f"{self.file}: note: {self.text}"


def write_annotations(
    folder: Path, pictures: Tensor, ws: Tensor, classes: Sequence[LabelClass], *, overwrite: bool = False
) -> Path:
    """The folder, ready to be painted: pictures, their codes, empty labels, and the classes.

    Args:
        pictures: (n, 3, h, w) in [-1, 1].
        ws: (n, num_ws, w_dim).
        overwrite: whether labels that are there may go.

    Raises:
        ImageError: there are labels already, fewer than two classes, or two of one name or colour.
    """
    if (folder / "labels").is_dir() and not overwrite:
        raise ImageError(f"{folder}: has labels already, and somebody may have painted them; choose another folder")
    _check_classes(classes, str(folder))
    names = [f"{i:04d}" for i in range(len(pictures))]
    listed = [{"name": c.name, "colour": list(c.colour)} for c in classes]
    text = "# The index of a class is its place. Grey 128, 128, 128 is what nobody has painted yet.\n"
    text += "".join(f"- {json.dumps(entry)}\n" for entry in listed)
    atomic_write(folder / "classes.yaml", lambda file: file.write(text.encode()), error=ImageError)
    write_safetensors(folder / "latents.safetensors", {"ws": ws}, {"names": json.dumps(names)})
    empty = torch.full(pictures.shape[2:], len(classes))
    colours = [*(c.colour for c in classes), UNPAINTED_COLOUR]
    for name, picture in zip(names, pictures):
        write_image(folder / "pictures" / f"{name}.png", picture)
        write_image(folder / "labels" / f"{name}.png", colour_labels(empty, colours))
    return folder


def read_annotations(
    folder: str | Path, *, size: tuple[int, int] | None = None, only: str | int | None = None
) -> Annotations:
    """What was painted in a folder.

    Args:
        size: (height, width) of the generator's pictures, to which labels of DatasetGAN's folders are resized, and
            which others must have; None: as they are.
        only: read this one picture, by its name or its place, whatever the others are like.

    Raises:
        ImageError: everything that `check_annotations` finds fatal, or no such picture.
    """
    folder = Path(folder)
    found, annotations = _read(folder, size, only)
    fatal = [str(finding) for finding in found if finding.fatal]
    if fatal or annotations is None:
        raise ImageError("\n".join(fatal) or f"{folder}: holds no annotations")
    return annotations


def check_annotations(folder: str | Path) -> list[Finding]:
    """Everything that is wrong or odd about a folder, of all its files at once; empty where all is well."""
    return _read(Path(folder), None, None)[0]


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
    _check_classes(classes, str(path))
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


def _check_classes(classes: Sequence[LabelClass], where: str) -> None:
    names, colours = [c.name for c in classes], [c.colour for c in classes]
    if len(classes) < 2:
        raise ImageError(f"{where}: two classes or more are needed; got {names}")
    compared: list[tuple[list[Any], str]] = [(names, "name"), ([*colours, UNPAINTED_COLOUR], "colour")]
    for values, what in compared:
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise ImageError(f"{where}: two classes have the {what} {twice[0]}, or it is that of unpainted pixels")


def _read(
    folder: Path, size: tuple[int, int] | None, only: str | int | None
) -> tuple[list[Finding], Annotations | None]:
    """What is odd, and what was painted where nothing stands in the way."""
    try:
        if is_peers(folder):
            classes = read_classes(folder / "classes.yaml") if (folder / "classes.yaml").is_file() else None
            names, ws, labels = read_peers(folder, size)
            which = _chosen(names, only)
            names, ws, labels = names[which], ws[which], labels[which]
            classes = classes or _numbered(int(labels.max()) + 1)
        else:
            classes = read_classes(folder / "classes.yaml")
            names, ws = _latents(folder / "latents.safetensors")
            which = _chosen(names, only)
            names, ws = names[which], ws[which]
            found, maps = _labels(folder, names, classes)
            if any(finding.fatal for finding in found):
                return found, None
            labels = torch.stack(maps)
    except ChunkyGANError as problem:
        return [Finding(str(folder), str(problem))], None
    found = [] if is_peers(folder) else found
    found += _odd_labels(labels, names, classes, size, folder)
    return found, Annotations(tuple(names), ws, labels, tuple(classes))


def _numbered(count: int) -> tuple[LabelClass, ...]:
    return tuple(LabelClass(f"class_{i}", (r, g, b)) for i, (r, g, b) in enumerate(distinct_colours(count).tolist()))


def _chosen(names: Sequence[str], only: str | int | None) -> slice:
    """Which pictures are read."""
    if only is None:
        return slice(None)
    place = names.index(only) if only in names else only
    if not isinstance(place, int) or not 0 <= place < len(names):
        raise ImageError(f"there is no picture {only!r}{did_you_mean(str(only), names)}; there are {', '.join(names)}")
    return slice(place, place + 1)


def _latents(path: Path) -> tuple[list[str], Tensor]:
    metadata, tensors = read_safetensors(path)
    try:
        ws, names = tensors.get("ws"), json.loads(metadata.get("names", "[]"))
    except json.JSONDecodeError as problem:
        raise ImageError(f"{path}: metadata key 'names' is no JSON: {problem}") from problem
    if ws is None or ws.ndim != 3 or not isinstance(names, list) or len(names) != len(ws) or not names:
        raise ImageError(f"{path}: must hold ws, (n, num_ws, w_dim), and the names of n pictures")
    if not bool(ws.isfinite().all()):
        raise ImageError(f"{path}: holds codes that are no finite numbers; it is damaged")
    return [str(name) for name in names], ws


def _labels(folder: Path, names: Sequence[str], classes: Sequence[LabelClass]) -> tuple[list[Finding], list[Tensor]]:
    """The label maps in the order of names, and what is wrong with each file."""
    found: list[Finding] = []
    maps: list[Tensor] = []
    try:
        files = {path.stem: path for path in list_images(folder / "labels")}
        pictures = {path.stem: path for path in list_images(folder / "pictures")}
    except ImageError as problem:
        return [Finding(str(folder), str(problem))], []
    found += [Finding(f"labels/{files[n].name}", "no latent belongs to it", False) for n in files if n not in names]
    for name in names:
        if name not in files:
            found.append(Finding(f"labels/{name}.png", "is missing"))
            continue
        where = f"labels/{files[name].name}"
        try:
            labels, odd = read_labels(files[name], classes)
        except ImageError as problem:
            found.append(Finding(where, str(problem)))
            continue
        found += [Finding(where, text) for text in odd]
        if name in pictures:
            width, height = open_image(pictures[name]).size
            if tuple(labels.shape) != (height, width):
                size = f"{labels.shape[1]} x {labels.shape[0]}"
                found.append(Finding(where, f"is {size} pixels, but its picture is {width} x {height}"))
        if maps and labels.shape != maps[0].shape:
            found.append(Finding(where, "is of another size than the first one"))
        maps.append(labels)
    return found, maps


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


def _odd_labels(
    labels: Tensor, names: Sequence[str], classes: Sequence[LabelClass], size: tuple[int, int] | None, folder: Path
) -> list[Finding]:
    """What is odd about label maps (n, h, w) that could all be read."""
    found: list[Finding] = []
    if size is not None and tuple(labels.shape[1:]) != tuple(size):
        got = f"{labels.shape[2]} x {labels.shape[1]}"
        found.append(Finding(str(folder), f"labels are {got} pixels, but the generator draws {size[1]} x {size[0]}"))
    largest = int(labels.max())
    if largest >= len(classes):
        found.append(Finding(str(folder), f"label {largest} is none of the {len(classes)} classes"))
        return found
    for name, map_ in zip(names, labels):
        counts = torch.bincount(map_[map_ >= 0], minlength=len(classes))
        bare = 1 - int(counts.sum()) / map_.numel()
        if bare == 1:
            found.append(Finding(name, "nothing is painted"))
        elif bare > 0:
            found.append(Finding(name, f"{100 * bare:.1f} % is not painted, and is left out", False))
        few = [f"{classes[i].name} ({n})" for i, n in enumerate(counts.tolist()) if 0 < n < FEW]
        if few:
            found.append(Finding(name, f"fewer than {FEW} pixels of {', '.join(few)}: a slip of the brush?", False))
    if len(labels[labels >= 0].unique()) < 2:
        found.append(Finding(str(folder), "only one class is painted anywhere; two or more are needed"))
    return found
