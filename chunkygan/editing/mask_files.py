"""Masks to be painted over in any program: a folder of soft grey pictures by chunk name, or one label picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from chunkygan.annotating.labels import read_labels
from chunkygan.domain import LabelClass
from chunkygan.editing.mask_painting import labels_of_chunks, layers_of, repainted_labels, repainted_softly
from chunkygan.errors import ImageError, ProjectionError
from chunkygan.images import list_images, write_image
from chunkygan.labels import colour_labels, distinct_colours, read_soft_mask
from chunkygan.projection import Projection
from chunkygan.types import Segments
from chunkygan.wording import did_you_mean, known

STATIC = "static"
"""Name of the layer that keeps the photo (S_X of Eq. 3)."""

_STATIC_COLOUR = (235, 235, 235)
_PICTURE = "picture"


def write_masks(projection: Projection, path: str | os.PathLike[str]) -> list[LabelClass]:
    """Writes the masks as they are now: a label picture for a path that ends in .png, else a folder of grey ones.

    Beside them lies the picture, to be painted over: the one that was fitted, or what edits have made of it. What comes
    back is what each layer is called and its colour in the label picture: the chunks, and last `STATIC`, where the
    photo is kept.

    Raises:
        ImageError: a path with another suffix, masks that are there already, or a file that cannot be written.
        ProjectionError: the chunks' names are no names of files.
    """
    path, classes = Path(path), layer_classes(projection)
    if path.suffix:
        if path.suffix.lower() != ".png":
            raise ImageError(f"{path}: labels are written as PNG, which keeps them; name the file {path.stem}.png")
        write_image(path, colour_labels(labels_of_chunks(projection.edited_segments), [c.colour for c in classes]))
        write_image(path.with_name(f"{path.stem}_{_PICTURE}.png"), _picture(projection))
        return classes
    if path.is_dir() and any(path.iterdir()):
        raise ImageError(f"{path}: has files already, and somebody may have painted them; choose another folder")
    for layer in classes:
        if layer.name != Path(layer.name).name or layer.name in (".", "..", _PICTURE):
            raise ProjectionError(f"chunk '{layer.name}' is no name of a file; write a label picture, {path}.png")
    for layer, mask in zip(classes, layers_of(projection.edited_segments)):
        levels = (255 * mask.clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
        write_image(path / f"{layer.name}.png", Image.fromarray(levels, "L"))
    write_image(path / f"{_PICTURE}.png", _picture(projection))
    return classes


def read_masks(projection: Projection, path: str | os.PathLike[str], *, feather: float = 0.0) -> Segments:
    """The chunks as somebody has painted them over what `write_masks` wrote.

    A folder may lack layers that were not painted; see `chunkygan.editing.mask_painting` for what the others become.
    In a label picture colours count; what is transparent, or grey 128, 128, 128, stays as it is.

    Args:
        feather: width in pixels of soft edges around what was painted in a label picture.

    Raises:
        ImageError: a file that cannot be used, one of another size or name, or nothing that was painted.
        ShapeError: masks that leave nothing, or a feather that is no width.
    """
    path, classes, segments = Path(path), layer_classes(projection), projection.edited_segments
    if path.is_dir():
        made = repainted_softly(segments, _soft_layers(path, segments, [c.name for c in classes]))
    else:
        labels, problems = read_labels(path, classes)
        if problems:
            raise ImageError(f"{path}: {problems[0].replace(' of classes.yaml', ' that --write-masks lists')}")
        _check_size(labels, segments, path)
        made = repainted_labels(segments, labels, pixels=feather)
    if torch.equal(made.masks, segments.masks) and _same(made.static, segments.static):
        raise ImageError(f"{path}: nothing is painted; these are the masks that there are")
    return made


def layer_classes(projection: Projection) -> list[LabelClass]:
    """Name and colour of each layer: the chunks, then `STATIC`."""
    names = projection.segments.names
    if STATIC in names:
        raise ProjectionError(f"a chunk is called '{STATIC}', as is where the photo is kept: masks cannot be painted")
    colours = [(r, g, b) for r, g, b in distinct_colours(len(names)).tolist()]
    return [LabelClass(name, colour) for name, colour in zip((*names, STATIC), [*colours, _STATIC_COLOUR])]


def _soft_layers(folder: Path, segments: Segments, names: Sequence[str]) -> Tensor:
    """(n_chunks + 1, h, w): the files of a folder, and the present layers where there is none."""
    layers = layers_of(segments).clone()
    for file in list_images(folder):
        if file.stem == _PICTURE and _PICTURE not in names:
            continue
        if file.stem not in names:
            raise ImageError(f"{file}: no chunk '{file.stem}'; {known(names)}{did_you_mean(file.stem, names)}")
        mask = read_soft_mask(file)
        _check_size(mask, segments, file)
        layers[list(names).index(file.stem)] = mask.to(layers)
    return layers


def _picture(projection: Projection) -> Tensor:
    return projection.render() if any(edit.acts for edit in projection.edits) else projection.target


def _check_size(mask: Tensor, segments: Segments, path: Path) -> None:
    (h, w), (height, width) = mask.shape, segments.masks.shape[1:]
    if (h, w) != (height, width):
        raise ImageError(f"{path}: has {w} x {h} pixels; the projection's picture has {width} x {height}")


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
