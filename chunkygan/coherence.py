"""How far chunks disagree where their masks overlap: a measure of coherence, from what is drawn anyway."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from chunkygan.errors import ShapeError
from chunkygan.shapes import check_shape
from chunkygan.types import Window

LEAST_OVERLAP = 1e-3
"""Pixels; less in all counts as none."""


def disagreement(images: Tensor, masks: Tensor, static: Tensor | None = None) -> Tensor:
    """At every pixel the chunks' squared difference from their composite, ``D = sum_i S_i |G_i - O|^2``.

    The same is ``sum_{i<j} S_i S_j |G_i - G_j|^2``: 0 where chunks agree, and where one chunk is alone. It is also what
    the chunks' own errors exceed the composite's by: ``sum_i S_i |G_i - I|^2 = |O - I|^2 + D`` for any picture I.

    Args:
        images: (n_chunks, 3, h, w), one picture a chunk.
        masks: (n_chunks, h, w), 0 or more, summing to 1 at every pixel.
        static: (h, w) in [0, 1], where the photo is kept: what chunks draw there does not count.

    Returns:
        (h, w), 0 or more, the mean over the channels. Its gradient goes to the images only, not to the masks.

    Raises:
        ShapeError: sizes do not agree.

    Source: ChunkyGAN, discussion ("agreement in overlaps"); the formula is this project's.
    """
    sizes = check_shape(images, "n_chunks 3 h w", name="images")
    check_shape(masks, "n_chunks h w", name="masks", **sizes)
    whole = Window(0, 0, sizes["h"], sizes["w"])
    composite = (images * masks.unsqueeze(1)).sum(0, keepdim=True)
    return disagreement_windows(list(images), masks, [whole] * len(images), composite, static=static)


def disagreement_windows(
    crops: Sequence[Tensor],
    masks: Tensor,
    windows: Sequence[Window],
    composite: Tensor,
    owners: Sequence[int] | None = None,
    *,
    static: Tensor | None = None,
) -> Tensor:
    """`disagreement` of pictures that are drawn only inside a rectangle each; equal to that of the full pictures.

    Args:
        crops: one (1, 3, wh, ww) or (3, wh, ww) a window.
        masks: (n_chunks, h, w) of the full picture; outside of a chunk's windows its mask, or what is not static, is 0.
        composite: (1, 3, h, w), what `chunkygan.compositing.blend_windows` makes of them.
        owners: the chunk of each crop, whose windows must not overlap; None: one crop a chunk.

    Raises:
        ShapeError: another number of crops, windows and masks, or a crop of another size than its window.
    """
    sizes = check_shape(masks, "n_chunks h w", name="masks")
    check_shape(composite, "1 3 h w", name="composite", h=sizes["h"], w=sizes["w"])
    owners = range(len(masks)) if owners is None else owners
    if not len(crops) == len(windows) == len(owners):
        raise ShapeError(f"crops and windows must be as many; got {len(crops)}, {len(windows)} of {len(owners)} chunks")
    # O minimises the sum, so its gradient is 0 wherever masks sum to 1: it may stand as a constant, and so do masks
    centre, shares = composite.detach()[0], masks.detach()
    total = composite.new_zeros(sizes["h"], sizes["w"])
    for i, (crop, owner, window) in enumerate(zip(crops, owners, windows)):
        if crop.shape[-3:] != (3, *window.size):
            raise ShapeError(f"crops[{i}] must have shape (1, 3, {window.size[0]}, {window.size[1]}); got {crop.shape}")
        rows, columns = window.slices
        squares = (crop.reshape(3, *window.size) - centre[:, rows, columns]).square().mean(0)
        total[rows, columns] += shares[owner, rows, columns] * squares
    return total if static is None else (1 - static) * total


def overlap(masks: Tensor, static: Tensor | None = None) -> Tensor:
    """(h, w) in [0, 0.5): how much chunks share each pixel, ``sum_{i<j} S_i S_j``; 0.25 where two share it evenly.

    Args:
        masks: (n_chunks, h, w), summing to 1.
        static: (h, w) in [0, 1], where the photo is kept.
    """
    check_shape(masks, "n_chunks h w", name="masks")
    shared = ((masks.sum(0).square() - masks.square().sum(0)) / 2).clamp_min(0)
    return shared if static is None else (1 - static) * shared


def mean_disagreement(apart: Tensor, shared: Tensor) -> float | None:
    """Mean squared difference of two chunks where they overlap, in [-1, 1] squared as ``l2`` is.

    Pixels count as much as chunks share them, so neither the width of soft edges nor faint tails change its scale.

    Args:
        apart: (h, w), what `disagreement` gives.
        shared: (h, w), what `overlap` gives.

    Returns:
        0 to 4; None where masks overlap nowhere (less than `LEAST_OVERLAP`).

    >>> import torch
    >>> masks = torch.full((2, 4, 4), 0.5)
    >>> images = torch.stack([torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.2)])
    >>> round(mean_disagreement(disagreement(images, masks), overlap(masks)), 4)
    0.04
    """
    weight = float(shared.double().sum())
    return None if weight < LEAST_OVERLAP else float(apart.detach().double().sum()) / weight
