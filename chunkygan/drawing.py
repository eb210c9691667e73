"""Drawing the chunks of a picture, each only where its mask is used."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chunkygan.compositing import blend_windows, effective_masks, keep_static
from chunkygan.interfaces import Generator
from chunkygan.types import Noise, Segments, Styles, Window
from chunkygan.windows import windows_of


def draw_windows(
    generator: Generator,
    styles: Sequence[Styles],
    windows: Sequence[Window | None],
    *,
    noise: Noise = "const",
    frugal: bool = False,
) -> list[Tensor | None]:
    """Each chunk's picture inside its window, (1, 3, wh, ww); None where the window is.

    Args:
        styles: one S-space code a chunk, batch of 1.
        frugal: keep no activations for the backward pass but draw each chunk once more in it. Exact; memory of one
            chunk for one more forward pass.
    """

    drawn = [i for i, window in enumerate(windows) if window is not None]
    crops: list[Tensor | None] = [None] * len(windows)
    if drawn:
        batch = [torch.cat(layer) for layer in zip(*(styles[i] for i in drawn))]
        used = [window for window in windows if window is not None]
        for i, crop in zip(drawn, generator.synthesis_windows(batch, used, noise=noise, frugal=frugal)):
            crops[i] = crop
    return crops


def composite(
    generator: Generator,
    styles: Sequence[Styles],
    segments: Segments,
    target: Tensor,
    *,
    noise: Noise = "const",
    windows: Sequence[Window | None] | None = None,
    frugal: bool = False,
) -> Tensor:
    """Eq. 1, and Eq. 3 where there is a static mask: the picture that the chunks' codes make, (1, 3, h, w).

    Args:
        target: (1, 3, h, w), kept where the static mask is.
        windows: what to draw of each chunk; None: wherever its mask is not 0, which is exact.
    """
    masks = effective_masks(segments.masks, segments.static)
    windows = windows_of(masks) if windows is None else windows
    crops = draw_windows(generator, styles, windows, noise=noise, frugal=frugal)
    if segments.static is None:
        return blend_windows(crops, masks, windows)
    return keep_static(blend_windows(crops, segments.masks, windows), target, segments.static)
