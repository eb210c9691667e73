"""Folders in which somebody paints the classes of generated pictures: written, checked, and read for a training.

    DIR/classes.yaml          names and colours, in the order of the indices
    DIR/latents.safetensors   the W+ code of every picture
    DIR/pictures/0000.png     what the generator drew
    DIR/labels/0000.png       what is painted: indexed, or RGB in the colours of classes.yaml

DatasetGAN's and EditGAN's own folders (``image_mask<i>.npy`` beside ``latents_image_<i>.npy``, or beside
``latent_stylegan1.npy``) are read as well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from chunkygan.annotating.labels import UNPAINTED_COLOUR, check_classes, read_classes, read_labels
from chunkygan.annotating.peers import is_peers, read_peers
from chunkygan.domain import LabelClass
from chunkygan.errors import ChunkyGANError, ImageError
from chunkygan.files import atomic_write
from chunkygan.images import list_images, open_image, write_image
from chunkygan.labels import colour_labels, distinct_colours
from chunkygan.tensor_files import read_safetensors, write_safetensors
from chunkygan.wording import did_you_mean

FEW = 30
"""A class with fewer pixels in a picture is more likely a slip of the brush; DatasetGAN drops it."""


@dataclass(frozen=True)
class Annotations:
    """What was painted.

    Args:
        names: of the pictures.
        ws: (n, num_ws, w_dim), their codes; or (n, z_dim), DatasetGAN's latents, which a generator has to map first
            (`chunkygan.annotating.peers.mapped_latents`).
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
    check_classes(classes, str(folder))
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
    if len(labels[labels >= 0].unique()) == 1:
        found.append(Finding(str(folder), "only one class is painted anywhere; two or more are needed"))
    return found
