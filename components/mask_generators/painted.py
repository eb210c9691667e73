"""Masks that someone painted: a label map, a folder of soft masks, or an array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from chunkygan.components.mask_generators.painted_sources import Layers, read_layers
from chunkygan.errors import ImageError, RecipeError
from chunkygan.interfaces import MaskGenerator
from chunkygan.masks import check_masks, feather, normalise, with_rest

Rest = Literal["chunk", "static", "error"]

_REST_COLOUR = (200, 200, 200)


class Painted(MaskGenerator):
    """Fixed masks from a file, a folder or an array.

    `path` is one of

    * an indexed (palette) or grey picture, best a PNG: every index that occurs is a chunk, named in `classes.yaml`
      beside it (``{0: background, 1: skin}``) or else ``chunk_<index>``;
    * a folder of soft grey pictures, one a chunk, called as the chunk is; white is 1;
    * a `.npy` file with what `array` may be: (h, w) integer labels, or (n, h, w) numbers in [0, 1].

    Masks of another size are resized (labels to the nearest, soft ones smoothly) where their aspect ratio is the
    generator's to 1 %, and refused where it is not. Where soft masks overlap (sum above 1) they are divided by their
    sum. What they leave over, beyond half a grey level a mask, goes where `rest` says.

    Args:
        size: (height, width) of the generator's picture.
        path: see above.
        array: in place of path: a numpy array, a tensor, or nested lists.
        feather: width of soft edges in pixels of the generator's picture: masks are blurred by a Gaussian with half
            of it as standard deviation, then divided by their sum.
        rest: what becomes of the share that the masks leave over: "chunk" makes a chunk ``rest`` of it; "static"
            keeps the photo there (S_X of Eq. 3); "error" refuses.
        keep: names of masks that are not drawn: the photo is kept there, as with rest="static".
        names: names for the masks in their order, in place of those of the source.

    Attributes:
        masks: (n_chunks, h, w) buffer, summing to 1. Where everything is static, the first chunk has the 1.
        names: one name a chunk.
        colours: (n_chunks, 3) uint8, for pictures.

    Raises:
        ImageError: a file that cannot be used, masks of another aspect ratio, a mask without any pixel.
        ShapeError: an array of another form or with values outside of [0, 1], NaN included.
        RecipeError: options that do not go together.
    """

    masks: Tensor
    _static: Tensor | None

    def __init__(
        self,
        size: tuple[int, int],
        *,
        path: str | os.PathLike[str] | None = None,
        array: Any = None,
        feather: float = 0.0,
        rest: Rest = "chunk",
        keep: Sequence[str] = (),
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if rest not in get_args(Rest):
            raise RecipeError(f"painted: rest must be one of {', '.join(get_args(Rest))}; got {rest!r}")
        layers = _renamed(read_layers(path, array, (size[0], size[1])), names)
        chunks, static = _partition(layers, float(feather), rest, (keep,) if isinstance(keep, str) else tuple(keep))
        check_masks(chunks.masks, names=chunks.names)
        self.names = chunks.names
        self.colours = torch.tensor(chunks.colours, dtype=torch.uint8)
        self.register_buffer("masks", chunks.masks)
        self.register_buffer("_static", static)

    def forward(self) -> Tensor:
        """(1, n_chunks, h, w) in [0, 1], summing to 1; no gradient."""
        return self.masks.unsqueeze(0)

    def static(self) -> Tensor | None:
        """(1, h, w) in [0, 1], where the photo is kept; None for nowhere."""
        return None if self._static is None else self._static.unsqueeze(0)


def _partition(layers: Layers, pixels: float, rest: Rest, keep: tuple[str, ...]) -> tuple[Layers, Tensor | None]:
    """Chunks that sum to 1, and the static mask, of layers that may overlap or leave something over."""
    unknown = [name for name in keep if name not in layers.names]
    if unknown:
        raise RecipeError(f"painted: keep names {', '.join(unknown)}; {layers.source} has {', '.join(layers.names)}")
    n = len(layers.names)
    # a mask in 8 bits is off by up to half a level, so n of them leave up to n halves over
    parts = feather(with_rest(layers.masks, tolerance=0.5 * n / 255 + 1e-6), pixels)
    left = parts[-1]
    if rest == "error" and bool(left.any()):
        y, x = divmod(int(left.argmax()), left.shape[1])
        raise ImageError(
            f"{layers.source}: the masks leave {float(left.max()):.2g} over at ({y}, {x}); "
            "paint it, or let rest be chunk or static"
        )
    parted = replace(layers, masks=parts, names=(*layers.names, "rest"), colours=(*layers.colours, _REST_COLOUR))
    drawn = [i for i in range(n) if layers.names[i] not in keep]
    if rest == "chunk" and bool(left.any()):
        if "rest" in layers.names:
            raise ImageError(f"{layers.source}: a mask is called rest, as is what the masks leave over; rename it")
        drawn.append(n)
    if not drawn:
        raise RecipeError(f"painted: keep names every mask of {layers.source}; at least one has to be drawn")
    chunks = parted.pick(drawn)
    kept = parts[[i for i in range(n + 1) if i not in drawn]].sum(0)
    # exactly 0 and 1 where nothing and everything is kept: windows stay small, and kept pixels are the photo's
    static = torch.where(kept == 0, 0.0, (1 - chunks.masks.sum(0)).clamp(0, 1))
    return replace(chunks, masks=normalise(chunks.masks)), static if bool(static.any()) else None


def _renamed(layers: Layers, names: Sequence[str] | None) -> Layers:
    """Layers with other names, all different."""
    if names is not None:
        if len(names) != len(layers.names):
            raise RecipeError(
                f"painted: names must be {len(layers.names)}, one a mask of {layers.source}; got {len(names)}"
            )
        layers = replace(layers, names=tuple(str(name) for name in names))
    double = sorted({name for name in layers.names if layers.names.count(name) > 1})
    if double:
        raise ImageError(f"{layers.source}: masks must have different names; {', '.join(double)} occurs more than once")
    return layers
