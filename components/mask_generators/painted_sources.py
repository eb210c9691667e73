"""Where painted masks come from: a label map, a folder of soft grey pictures, or an array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chunkygan.errors import ImageError, RecipeError, ShapeError
from chunkygan.images import MAX_PIXELS, list_images
from chunkygan.labels import MAX_LABELS, LabelMap, distinct_colours, one_hot, read_label_map, read_soft_mask
from chunkygan.masks import check_range, resize_masks


@dataclass(frozen=True)
class Layers:
    """Masks that may overlap or leave something over.

    Args:
        masks: (n, h, w) in [0, 1].
        names: one name a mask.
        colours: one (red, green, blue), 0 to 255, a mask.
        source: what messages call them.
    """

    masks: Tensor
    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    source: str

    def pick(self, indices: Sequence[int]) -> Layers:
        """Some of the layers."""
        names, colours = tuple(self.names[i] for i in indices), tuple(self.colours[i] for i in indices)
        return replace(self, masks=self.masks[list(indices)], names=names, colours=colours)


def read_layers(path: str | os.PathLike[str] | None, array: Any, size: tuple[int, int]) -> Layers:
    """Layers of a generator's size, (height, width), from a file, a folder or an array; exactly one is given.

    Raises:
        ImageError: a file that cannot be used, another aspect ratio, a mask without any pixel.
        ShapeError: an array of another form or with values outside of [0, 1], NaN included.
        RecipeError: both or neither are given.
    """
    if (path is None) == (array is None):
        raise RecipeError("painted: give either path (a label map, a folder of soft masks, or a .npy file) or array")
    if path is None:
        layers = _from_array(array, size, "array")
    elif Path(path).is_dir():
        layers = _from_folder(Path(path), size)
    elif Path(path).suffix.lower() == ".npy":
        layers = _from_npy(Path(path), size)
    else:
        layers = _from_labels(read_label_map(path), size, str(path))
    empty = [name for name, mask in zip(layers.names, layers.masks) if not bool((mask > 0).any())]
    if empty:
        raise ImageError(
            f"{layers.source}: no pixel at {size[1]} x {size[0]} belongs to {', '.join(empty)}; "
            "paint it larger, or leave it out"
        )
    return layers


def _from_labels(label_map: LabelMap, size: tuple[int, int], source: str) -> Layers:
    labels = label_map.labels
    _check_aspect(labels, size, source)
    h, w = labels.shape
    rows = ((torch.arange(size[0]) + 0.5) * h / size[0]).long()  # the nearest pixel's centre
    columns = ((torch.arange(size[1]) + 0.5) * w / size[1]).long()
    masks = one_hot(labels[rows][:, columns], label_map.indices)
    return Layers(masks, label_map.names, label_map.colours, source)


def _from_folder(folder: Path, size: tuple[int, int]) -> Layers:
    files = list_images(folder)
    masks = torch.stack([_soft_mask(file, size) for file in files])
    return Layers(masks, tuple(file.stem for file in files), _spread(len(files)), str(folder))


def _soft_mask(path: Path, size: tuple[int, int]) -> Tensor:
    """(*size) in [0, 1] of a grey picture."""
    mask = read_soft_mask(path)
    _check_aspect(mask, size, str(path))
    return resize_masks(mask.unsqueeze(0), size)[0]


def _from_npy(path: Path, size: tuple[int, int]) -> Layers:
    try:
        values = np.load(path, allow_pickle=False, mmap_mode="r")  # mapped: the header may claim any size
    except Exception as problem:
        raise ImageError(f"{path}: is no numpy array of plain numbers, or is cut short ({problem})") from problem
    try:
        return _from_array(values, size, str(path))
    except ShapeError as problem:
        raise ImageError(f"{path}: {problem}" if str(path) not in str(problem) else str(problem)) from problem


def _from_array(array: Any, size: tuple[int, int], source: str) -> Layers:
    values = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if values.dtype.kind == "b":
        values = values.astype(np.int64 if values.ndim == 2 else np.float32)
    form = (values.ndim, "labels" if values.dtype.kind in "iu" else "soft" if values.dtype.kind == "f" else "other")
    too_large = values.ndim > 1 and values.shape[-1] * values.shape[-2] > MAX_PIXELS
    if form not in ((2, "labels"), (3, "soft")) or 0 in values.shape or too_large:
        raise ShapeError(
            f"{source}: masks must be (h, w) integer labels or (n, h, w) floating-point numbers in [0, 1]; "
            f"got {values.shape} of {values.dtype}"
        )
    if values.ndim == 2:
        return _from_labels(_label_map(values.astype(np.int64), source), size, source)
    if len(values) > MAX_LABELS:
        raise ShapeError(f"{source}: at most {MAX_LABELS} masks; got {len(values)}")
    masks = torch.from_numpy(values.astype(np.float32))
    check_range(masks)
    _check_aspect(masks[0], size, source)
    names = tuple(f"chunk_{i}" for i in range(len(masks)))
    return Layers(resize_masks(masks.clamp(0, 1), size), names, _spread(len(masks)), source)


def _label_map(labels: np.ndarray, source: str) -> LabelMap:
    """The label map of an array of labels."""
    indices = tuple(int(i) for i in np.unique(labels))
    if indices[0] < 0:
        y, x = (int(i) for i in np.unravel_index(int(labels.argmin()), labels.shape))
        raise ShapeError(f"{source}: labels must be 0 or more; got {indices[0]} at ({y}, {x})")
    if len(indices) > MAX_LABELS:
        raise ShapeError(f"{source}: at most {MAX_LABELS} different labels; got {len(indices)}")
    return LabelMap(torch.from_numpy(labels), indices, tuple(f"chunk_{i}" for i in indices), _spread(len(indices)))


def _spread(n: int) -> tuple[tuple[int, int, int], ...]:
    return tuple((r, g, b) for r, g, b in distinct_colours(n).tolist())


def _check_aspect(mask: Tensor, size: tuple[int, int], source: str) -> None:
    """Raises where a mask (h, w) is of another aspect ratio than size, (height, width)."""
    h, w = mask.shape
    height, width = size
    if abs(h * width - w * height) > 0.01 * h * width:
        raise ImageError(
            f"{source}: is {w} x {h} pixels (width x height), and the generator draws {width} x {height}; masks "
            "must have that size or at least its aspect ratio: crop them to the part of the picture that is inverted"
        )
