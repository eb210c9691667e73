"""Layers as an OpenRaster file (.ora), which GIMP, Krita and others open.

Source: the OpenRaster specification 0.0.6: a zip with an uncompressed ``mimetype`` first, ``stack.xml``, the layers as
PNG, a merged picture and a thumbnail.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from torch import Tensor

from chunkygan.editing.layers import State
from chunkygan.files import atomic_write
from chunkygan.images import to_pil

MOST_THUMBNAIL = 256
"""Pixels that a thumbnail's longer side may have."""

_DATE = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same layers give the same file


@dataclass(frozen=True)
class RasterLayer:
    """A picture with transparency, and what it is called; as large as the whole."""

    name: str
    picture: Image.Image


def raster_layers(state: State) -> list[RasterLayer]:
    """The photo and the layers over it, from below to above, that painted over each other give the picture."""
    found = [RasterLayer("photo", to_pil(state.photo).convert("RGBA"))]
    for layer in state.layers:
        if layer.drawn is not None:
            found.append(RasterLayer(layer.name, _with_alpha(layer.drawn, layer.share)))
    return found


def write_openraster(path: str | os.PathLike[str], layers: Sequence[RasterLayer], merged: Image.Image) -> Path:
    """Writes layers, from below to above, and what they look like together.

    Raises:
        ChunkyGANError: the file cannot be written.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        _put(archive, "mimetype", b"image/openraster", zipfile.ZIP_STORED)
        _put(archive, "stack.xml", _stack(layers, merged.size), zipfile.ZIP_DEFLATED)
        for i, layer in enumerate(layers):
            _put(archive, f"data/layer{i}.png", _png(layer.picture), zipfile.ZIP_STORED)
        thumbnail = merged.copy()
        thumbnail.thumbnail((MOST_THUMBNAIL, MOST_THUMBNAIL))
        _put(archive, "mergedimage.png", _png(merged), zipfile.ZIP_STORED)
        _put(archive, "Thumbnails/thumbnail.png", _png(thumbnail), zipfile.ZIP_STORED)
    return atomic_write(path, lambda file: file.write(content.getvalue()))


def _stack(layers: Sequence[RasterLayer], size: tuple[int, int]) -> bytes:
    """The order of the layers; the format lists the uppermost first."""
    image = ElementTree.Element("image", version="0.0.6", w=str(size[0]), h=str(size[1]))
    stack = ElementTree.SubElement(image, "stack")
    for i, layer in reversed(list(enumerate(layers))):
        ElementTree.SubElement(
            stack, "layer", {"name": layer.name, "src": f"data/layer{i}.png", "x": "0", "y": "0", "opacity": "1.0",
                             "visibility": "visible", "composite-op": "svg:src-over"},
        )  # fmt: skip
    return ElementTree.tostring(image, encoding="utf-8", xml_declaration=True)


def _with_alpha(picture: Tensor, share: Tensor) -> Image.Image:
    """(1, 3, h, w) with (h, w) in [0, 1] as its alpha."""
    alpha = share.clamp(0, 1).mul(255).round().byte().numpy().astype(np.uint8)
    image = to_pil(picture).convert("RGB")
    image.putalpha(Image.fromarray(alpha))
    return image


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _put(archive: zipfile.ZipFile, name: str, content: bytes, method: int) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = method
    archive.writestr(entry, content)
