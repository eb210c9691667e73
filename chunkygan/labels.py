"""Label maps, whose pixels are indices of chunks, with their colours and names; and soft masks as grey pictures."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor

from chunkygan.errors import ImageError, ShapeError
from chunkygan.images import MAX_PIXELS, from_pil, open_image
from chunkygan.shapes import check_shape

MAX_LABELS = 100
"""More values than this in one map, and it is no label map: a photo, or a soft mask."""

SIDECAR = "classes.yaml"
"""File beside a label map that names its indices: ``{0: background, 1: skin}`` or a list of names."""

# Twelve colours that stay apart side by side, for normal and for red-green blind eyes as far as twelve can; own choice.
_PALETTE = (
    (76, 120, 168), (245, 133, 24), (84, 162, 75), (228, 87, 86), (178, 121, 162), (238, 202, 59),
    (114, 183, 178), (255, 157, 166), (157, 117, 93), (107, 76, 154), (186, 198, 110), (90, 90, 96),
)  # fmt: skip


@dataclass(frozen=True)
class LabelMap:
    """A label map as it was read.

    Args:
        labels: (h, w), int64: the index of each pixel's chunk as the file has it.
        indices: the indices that occur, ascending.
        names: one name for each of them.
        colours: one (red, green, blue), 0 to 255, for each of them.
    """

    labels: Tensor
    indices: tuple[int, ...]
    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]


def distinct_colours(n: int) -> Tensor:
    """(n, 3) uint8: colours that can be told apart, always the same for the same n or less."""
    colours = list(_PALETTE[:n])
    for i in range(n - len(colours)):
        # the golden ratio spreads hues evenly however many there are
        rgb = colorsys.hsv_to_rgb((0.08 + i * 0.618034) % 1, (0.75, 0.45)[i % 2], (0.85, 0.7, 0.55)[i % 3])
        colours.append((round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2])))
    return torch.tensor(colours, dtype=torch.uint8).reshape(n, 3)


def colour_labels(labels: Tensor, colours: Tensor | Sequence[Sequence[int]]) -> Image.Image:
    """A label map as an indexed picture: what is saved as PNG is read back by `read_label_map` to the same labels.

    Args:
        labels: (h, w) integers from 0.
        colours: (n, 3) in 0 to 255, the colour of each label; n at most 256.

    Raises:
        ShapeError: labels has not two dimensions, or a label without a colour.
    """
    check_shape(labels, "h w", name="labels")
    table = torch.as_tensor(colours)
    check_shape(table, "n 3", name="colours")
    smallest, largest = int(labels.min()), int(labels.max())
    if smallest < 0 or largest >= min(len(table), 256):
        raise ShapeError(f"labels must be 0 to {min(len(table), 256) - 1}, one a colour; got {smallest} to {largest}")
    h, w = labels.shape
    image = Image.frombytes("P", (w, h), labels.to("cpu", torch.uint8).contiguous().numpy().tobytes())
    image.putpalette(table.to("cpu", torch.uint8).flatten().tolist())
    return image


def one_hot(labels: Tensor, indices: Sequence[int]) -> Tensor:
    """(n, h, w) float masks, 1 where labels, (h, w), has each of the indices."""
    check_shape(labels, "h w", name="labels")
    return torch.stack([labels == index for index in indices]).float()


def read_label_map(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> LabelMap:
    """An indexed or grey picture as a label map; the palette's index, or the grey value, is the label.

    Names come from `classes.yaml` beside the file; where it names none, a label is called ``chunk_<index>``. Colours
    come from the palette, or from `distinct_colours` for a grey picture.

    Raises:
        ImageError: as `chunkygan.images.read_image`; a colour picture, one that was stored with loss, or one with more
            than 100 values; a `classes.yaml` that is damaged.
    """
    path = Path(path)
    image = open_image(path, max_pixels=max_pixels)
    if image.mode not in ("P", "L", "1") and not image.mode.startswith("I"):
        raise ImageError(
            f"{path}: is a colour picture ({image.mode}); a label map is an indexed (palette) or grey PNG: "
            "convert it in the paint program to indexed mode, without dithering"
        )
    values = np.asarray(image).astype(np.int64)
    indices = tuple(int(i) for i in np.unique(values))
    if len(indices) > MAX_LABELS:
        raise ImageError(
            f"{path}: has {len(indices)} different values, more than the {MAX_LABELS} that a label map may have; it "
            "looks like a photo, a soft mask, or a label map that was stored with loss (JPEG) or smoothed. "
            "Soft masks go into a folder, one grey picture a chunk"
        )
    names = read_names(path.parent / SIDECAR)
    labels = torch.from_numpy(values)
    return LabelMap(labels, indices, tuple(names.get(i, f"chunk_{i}") for i in indices), _colours(image, indices))


def read_soft_mask(path: str | os.PathLike[str]) -> Tensor:
    """(h, w) in [0, 1] of a grey picture, white where the chunk is.

    Raises:
        ImageError: as `chunkygan.images.open_image`; a picture in colour, or one that is transparent in places.
    """
    image = open_image(path)
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise ImageError(f"{path}: is transparent in places; a soft mask is opaque, with its values as grey levels")
    red, green, blue = from_pil(image, name=str(path))[0]
    if not (torch.equal(red, green) and torch.equal(red, blue)):
        raise ImageError(f"{path}: is a colour picture; a soft mask is grey, white where the chunk is")
    return (red + 1) / 2


def read_names(path: Path) -> dict[int, str]:
    """index -> name from a `classes.yaml`: a mapping of indices, or a list from 0; empty where there is no file.

    Raises:
        ImageError: the file cannot be read, or has another form.
    """
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise ImageError(f"{path}: cannot be read: {problem}") from problem
    if isinstance(content, list):
        content = dict(enumerate(content))
    good = isinstance(content, dict) and all(isinstance(k, int) and isinstance(v, str) for k, v in content.items())
    if not good:
        raise ImageError(
            f"{path}: must name the indices of a label map, as {{0: background, 1: skin}} or as a list of names"
        )
    return dict(content)


def _colours(image: Image.Image, indices: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    """The palette's colours of some indices; generated ones where there is no palette entry."""
    palette = (image.getpalette("RGB") or []) if image.mode == "P" else []
    spare = distinct_colours(len(indices)).tolist()
    found = [palette[3 * i : 3 * i + 3] if 3 * i + 3 <= len(palette) else spare[k] for k, i in enumerate(indices)]
    return tuple((r, g, b) for r, g, b in found)
