"""Masks that somebody paints over after a fit: what was painted counts, the other chunks share what is left."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.compositing import effective_masks
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.labels import one_hot
from chunkygan.masks import check_range, dilated, feather
from chunkygan.shapes import check_shape
from chunkygan.types import Segments

TOUCHED = 1.5 / 255
"""A level of 255 may come from rounding; what differs by more was painted."""


def painted_segments(segments: Segments, masks: Tensor | Segments) -> Segments:
    """The chunks with other masks, divided by their sum; plain masks leave the static one as it is.

    Raises:
        ShapeError: another number of chunks or size, a value outside of [0, 1], or a pixel that no mask has.
        ProjectionError: chunks of other names.
    """
    other = masks if isinstance(masks, Segments) else replace(segments, masks=masks)
    if other.names != segments.names:
        raise ProjectionError(f"masks must be of the chunks {', '.join(segments.names)}; got {', '.join(other.names)}")
    sizes = dict(zip(("n_chunks", "h", "w"), segments.masks.shape))
    check_shape(other.masks, "n_chunks h w", name="masks", **sizes)
    check_range(other.masks, names=segments.names)
    total = other.masks.sum(0)
    if bool((total <= 0).any()):
        y, x = divmod(int((total <= 0).int().argmax()), sizes["w"])
        raise ShapeError(f"masks must leave every pixel to some chunk; at ({y}, {x}) all are 0")
    if other.static is not None:
        check_shape(other.static, "h w", name="static", h=sizes["h"], w=sizes["w"])
        check_range(other.static[None], names=["static"])
    even = (total - 1).abs() <= 1e-6  # these keep every bit
    scaled = torch.where(even, other.masks, other.masks / total).detach().to(segments.masks)
    static = None if other.static is None else other.static.detach().to(segments.masks)
    return replace(other, masks=scaled, static=static)


def layers_of(segments: Segments) -> Tensor:
    """(n_chunks + 1, h, w), summing to 1: what each chunk shows, and last where the photo is kept."""
    masks, static = segments.masks, segments.static
    kept = torch.zeros_like(masks[0]) if static is None else static
    return torch.cat([effective_masks(masks, static), kept[None]])


def repainted_softly(segments: Segments, layers: Tensor) -> Segments:
    """The chunks after somebody has painted over some of their layers.

    At every pixel, layers that differ from `layers_of(segments)` by more than `TOUCHED` are taken as they are, divided
    by their sum where that is above 1; the others share what is left in the proportion that they had. So one layer
    alone can be painted, white or black, and its neighbours give way or come in. Where nothing is left to share it
    out, the nearest chunk comes in. Pixels at which nothing was painted keep every bit.

    Args:
        layers: (n_chunks + 1, h, w) in [0, 1]; they need not sum to 1.

    Raises:
        ShapeError: another form, or a value that is no number in [0, 1].
    """
    before = layers_of(segments)
    check_shape(layers, "n h w", name="layers", **dict(zip("nhw", before.shape)))
    check_range(layers)
    touched = (layers.to(before) - before).abs() > TOUCHED
    painted = torch.where(touched, layers.to(before), 0.0)
    total = painted.sum(0)
    painted = painted / total.clamp(min=1)
    # where the photo is painted away, the chunks beneath it come in as they are there
    beneath = torch.cat([segments.masks.to(before), before[-1:]])
    others = torch.where(touched, 0.0, torch.where(touched[-1], beneath, before))
    shared = others.sum(0)
    left = (1 - total).clamp(min=0)
    mixed = painted + others * torch.where(shared > 0, left / shared.clamp(min=1e-20), 0.0)
    mixed = _filled(mixed)
    return _changed(segments, torch.where(touched.any(0), mixed / mixed.sum(0), before))


def repainted_labels(segments: Segments, labels: Tensor, *, pixels: float = 0.0) -> Segments:
    """The chunks after somebody has painted over their label map.

    Pixels with another label than `labels_of_chunks` gives are wholly what was painted; the others keep every bit.

    Args:
        labels: (h, w) integers, index of a layer of `layers_of`; below 0: as it is.
        pixels: width of soft edges around what was painted, as `chunkygan.masks.feather` takes it.

    Raises:
        ShapeError: another form, or a label that no layer has.
    """
    before, now = layers_of(segments), labels_of_chunks(segments)
    check_shape(labels, "h w", name="labels", h=now.shape[0], w=now.shape[1])
    if int(labels.max()) >= len(before):
        raise ShapeError(f"labels must be 0 to {len(before) - 1}, one a chunk and the photo; got {int(labels.max())}")
    wanted = torch.where(labels < 0, now, labels.to(now))
    changed = wanted != now
    if not bool(changed.any()):
        return segments
    hard = one_hot(wanted, range(len(before)))
    near = dilated(changed, math.ceil(pixels)).float()
    share = torch.maximum(feather(torch.stack([near, 1 - near]), pixels)[0], changed.float())
    return _changed(segments, torch.where(share > 0, torch.lerp(before, feather(hard, pixels), share), before))


def labels_of_chunks(segments: Segments) -> Tensor:
    """(h, w) int64: the layer of `layers_of` that shows most at each pixel."""
    return layers_of(segments).argmax(0)


def _changed(segments: Segments, layers: Tensor) -> Segments:
    """Chunks and static mask of layers that sum to 1; as they were, bit for bit, where the layers are."""
    same = (layers == layers_of(segments)).all(0)
    static, shown = layers[-1].clamp(0, 1), layers[:-1].sum(0)
    masks = torch.where(shown > 0, layers[:-1] / shown.clamp(min=1e-20), segments.masks)  # beneath the photo: as before
    masks = torch.where(same, segments.masks, masks)
    kept = torch.where(same, static if segments.static is None else segments.static, static)
    return replace(segments, masks=masks, static=kept if bool(kept.any()) else None)


def _filled(layers: Tensor) -> Tensor:
    """Layers whose empty pixels have taken those of their nearest neighbours, ring by ring."""
    empty = layers.sum(0) <= 0
    while bool(empty.any()) and not bool(empty.all()):
        near = F.avg_pool2d(layers[None], 3, stride=1, padding=1)[0]
        total = near.sum(0)
        reached = empty & (total > 0)
        layers = torch.where(reached, near / total.clamp(min=1e-20), layers)
        empty = empty & ~reached
    if bool(empty.all()):
        raise ShapeError("the masks leave nothing: every one of them is black everywhere; paint one of them white")
    return layers
