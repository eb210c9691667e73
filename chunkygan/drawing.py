"""Drawing the chunks of a picture, each only where its mask is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chunkygan.coherence import disagreement_windows
from chunkygan.compositing import blend_windows, effective_masks, keep_static
from chunkygan.interfaces import Generator
from chunkygan.types import Noise, Segments, Styles, Window
from chunkygan.windows import Cover, cover_of


def composite(
    generator: Generator,
    styles: Sequence[Styles],
    segments: Segments,
    target: Tensor,
    *,
    noise: Noise = "const",
    cover: Cover | None = None,
    frugal: bool = False,
) -> Tensor:
    """Eq. 1, and Eq. 3 where there is a static mask: the picture that the chunks' codes make, (1, 3, h, w).

    Args:
        styles: one S-space code a chunk, batch of 1.
        target: (1, 3, h, w), kept where the static mask is.
        cover: what to draw of each chunk; None: wherever its mask is not 0, which is exact.
        frugal: keep no activations for the backward pass but draw each chunk once more in it. Exact; memory of one
            window for one more forward pass.
    """
    batch = [torch.cat(layer) for layer in zip(*styles)]
    return composite_of(generator, batch, segments, target, noise=noise, cover=cover, frugal=frugal)


def composite_of(
    generator: Generator,
    styles: Styles,
    segments: Segments,
    target: Tensor,
    *,
    noise: Noise = "const",
    cover: Cover | None = None,
    frugal: bool = False,
    size: int | None = None,
) -> Tensor:
    """As `composite`, of one batch of styles, a sample a chunk.

    Args:
        size: draw the partial sum whose longer side is this many pixels; masks, target and cover are of that size.
            None: the full picture.
    """
    return drawn_of(generator, styles, segments, target, noise=noise, cover=cover, frugal=frugal, size=size).image


@dataclass(frozen=True)
class Drawn:
    """What chunks have drawn, each in its windows, and the picture that it makes.

    Args:
        image: (1, 3, h, w), Eq. 1, and Eq. 3 where there is a static mask.
        blended: (1, 3, h, w), Eq. 1 alone.
        crops: one a window of `cover`.
        cover: where the chunks were drawn.
        segments: the chunks.
    """

    image: Tensor
    blended: Tensor
    crops: Sequence[Tensor]
    cover: Cover
    segments: Segments

    def disagreement(self) -> Tensor:
        """(h, w), see `chunkygan.coherence.disagreement`."""
        masks, static = self.segments.masks, self.segments.static
        windows, owners = self.cover.windows, self.cover.owners
        return disagreement_windows(self.crops, masks, windows, self.blended, owners, static=static)


def drawn_of(
    generator: Generator,
    styles: Styles,
    segments: Segments,
    target: Tensor,
    *,
    noise: Noise = "const",
    cover: Cover | None = None,
    frugal: bool = False,
    size: int | None = None,
) -> Drawn:
    """As `composite_of`, with what each chunk has drawn."""
    cover = cover_of_segments(generator, segments, size) if cover is None else cover
    crops = generator.synthesis_windows(styles, cover.windows, cover.owners, noise=noise, frugal=frugal, size=size)
    return composed(crops, segments, target, cover)


def composed(crops: Sequence[Tensor], segments: Segments, target: Tensor, cover: Cover) -> Drawn:
    """The picture that chunks make which are drawn already, one crop a window of the cover."""
    blended = blend_windows(crops, segments.masks, cover.windows, cover.owners)
    return Drawn(keep_static(blended, target, segments.static), blended, crops, cover, segments)


def cover_of_segments(generator: Generator, segments: Segments, size: int | None = None) -> Cover:
    """Where each chunk has to be drawn: wherever it contributes anything, at little cost for this generator.

    Args:
        size: of the partial sum that is drawn, where masks are of its size; None: the full picture.
    """

    def cost(window: Window) -> float:
        return generator.window_cost(window, size)

    return cover_of(effective_masks(segments.masks, segments.static), cost)
