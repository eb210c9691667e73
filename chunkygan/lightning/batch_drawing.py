"""Several pictures' chunks drawn in one go: side by side they are one batch of styles, windows and owners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from chunkygan.drawing import Drawn, composed
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.spaces import batched_styles
from chunkygan.types import Noise, Segments
from chunkygan.windows import Cover


@dataclass(frozen=True)
class Sketch:
    """What is to be drawn of one picture.

    Args:
        codes: one a chunk, ``code_shape`` of its space.
        spaces: one a chunk.
        segments: the chunks, of the size that is drawn.
        cover: where each is drawn.
        noise: the picture's own maps, or ``"const"``.
    """

    codes: Sequence[Tensor]
    spaces: Sequence[LatentSpace]
    segments: Segments
    cover: Cover
    noise: Noise


def drawn_together(
    generator: Generator,
    sketches: Sequence[Sketch],
    targets: Tensor,
    *,
    frugal: bool = False,
    size: int | None = None,
) -> list[Drawn]:
    """What each picture's chunks draw; equal to drawing one picture after the other, to rounding.

    Args:
        targets: (n, 3, h, w), one a picture, kept where its static mask is.
        frugal, size: as for `chunkygan.drawing.composite_of`.
    """
    styles = batched_styles([s for one in sketches for s in one.spaces], [c for one in sketches for c in one.codes])
    cover = side_by_side([one.cover for one in sketches], [len(one.codes) for one in sketches])
    noise = _noise_of_all(generator, sketches)
    crops = generator.synthesis_windows(styles, cover.windows, cover.owners, noise=noise, frugal=frugal, size=size)
    rest = iter(crops)
    return [_composed(rest, one, target) for one, target in zip(sketches, targets.split(1))]


def side_by_side(covers: Sequence[Cover], chunks: Sequence[int]) -> Cover:
    """The covers of several pictures as one, of their chunks one after another.

    Args:
        chunks: how many each picture has.

    >>> from chunkygan.types import Window
    >>> cover = Cover((Window(0, 0, 8, 8),), (1,))
    >>> side_by_side([cover, cover], [2, 2]).owners
    (1, 3)
    """
    firsts = accumulate(chunks, initial=0)
    owners = [first + owner for first, cover in zip(firsts, covers) for owner in cover.owners]
    return Cover(tuple(window for cover in covers for window in cover.windows), tuple(owners))


def _composed(crops: Iterator[Tensor], sketch: Sketch, target: Tensor) -> Drawn:
    """One picture of its own crops, which come next."""
    return composed([next(crops) for _ in sketch.cover.windows], sketch.segments, target, sketch.cover)


def _noise_of_all(generator: Generator, sketches: Sequence[Sketch]) -> Noise:
    """Maps for every chunk, (n_chunks, 1, h, w), where pictures have their own; what all of them have otherwise."""
    if len(sketches) == 1 or all(isinstance(one.noise, str) for one in sketches):
        return sketches[0].noise
    stored = generator.noise_maps()
    rows = []
    for one in sketches:
        maps = stored if isinstance(one.noise, str) else one.noise
        rows.append([noise.expand(len(one.codes), 1, *noise.shape[-2:]) for noise in maps])
    return [torch.cat(layer) for layer in zip(*rows)]
