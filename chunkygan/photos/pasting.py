"""Edited chunks in the photo itself, and how well they join it."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.compositing import effective_masks
from chunkygan.interfaces import Blender
from chunkygan.projection import Projection
from chunkygan.seams import seam_mismatch


def edited_chunks(projection: Projection) -> tuple[int, ...]:
    """Indices of the chunks that enabled edits move, by whatever strength."""
    return tuple(sorted({i for edit in projection.edits if edit.enabled for i in edit.chunks}))


@torch.no_grad()
def pasted(projection: Projection, blender: Blender) -> Tensor:
    """(1, 3, h, w): the photo with the edited chunks in it, and nothing else of what was drawn.

    Where no edited chunk's mask is, it is the photo, bit for bit; so it is everywhere where nothing was edited.
    """
    chunks = list(edited_chunks(projection))
    if not chunks:
        return projection.target.clone()
    masks = effective_masks(projection.masks, projection.segments.static)[chunks]
    return blender.blend_chunks(projection.drawn()[chunks], projection.target, masks)


@torch.no_grad()
def paste_layers(projection: Projection, blender: Blender | None = None) -> tuple[Tensor, Tensor]:
    """The edited chunks as a layer over the photo: the picture (1, 3, h, w), and how much of it is taken, (h, w).

    Args:
        blender: None: the chunks as they were drawn, each in its soft mask; otherwise what the blender makes of them,
            taken wholly wherever a mask is above 0.
    """
    chunks = list(edited_chunks(projection))
    if not chunks:
        return projection.target, torch.zeros(projection.target.shape[2:])
    masks = effective_masks(projection.masks, projection.segments.static)[chunks]
    total = masks.sum(0)
    if blender is not None:
        return pasted(projection, blender), (total > 0).float()
    drawn = projection.drawn()[chunks]
    return (drawn * (masks / total.clamp_min(1e-12)).unsqueeze(1)).sum(0, keepdim=True), total


@torch.no_grad()
def seams(projection: Projection, picture: Tensor, chunks: tuple[int, ...] | None = None) -> float:
    """`chunkygan.seams.seam_mismatch` of a picture that was put together from a projection's chunks.

    Args:
        picture: (1, 3, h, w), what `Projection.render` or `pasted` gives.
        chunks: the chunks that are in it, the photo being elsewhere; None: all.
    """
    masks = effective_masks(projection.masks, projection.segments.static)
    picked = list(range(len(masks)) if chunks is None else chunks)
    shares = torch.cat([masks[picked], 1 - masks[picked].sum(0, keepdim=True)])
    return seam_mismatch(picture, torch.cat([projection.drawn()[picked], projection.target]), shares.argmax(0))
