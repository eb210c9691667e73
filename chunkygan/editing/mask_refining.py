"""Masks refined after a fit: pixels move to the chunks that together draw them best, with the codes as they are."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.compositing import blend
from chunkygan.projection import Projection
from chunkygan.shapes import check_shape


def refined_masks(
    images: Tensor,
    target: Tensor,
    masks: Tensor,
    *,
    static: Tensor | None = None,
    steps: int = 30,
    rate: float = 30.0,
    smooth: int | None = None,
    keep: float = 0.5,
) -> Tensor:
    """Masks whose blend of the chunks' pictures is nearer to the target: ``argmin |sum_i S_i G_i - I|^2``.

    Gradient descent on the logarithms of the masks, from where they are, so a mask stays 0 where it is 0. What moves is
    blurred by a mean, so changes are smooth. A step that comes out worse is taken back and halved.

    Args:
        images: (n_chunks, 3, h, w) in [-1, 1], the whole picture of every chunk's code.
        target: (1, 3, h, w) in [-1, 1].
        masks: (n_chunks, h, w), summing to 1.
        static: (h, w), where the target itself is kept: the more, the less moves. None: nowhere.
        rate: step size.
        smooth: radius in pixels of the mean; None: a 64th of the longer side, at least 1.
        keep: share of its area that every chunk keeps at least.

    Returns:
        (n_chunks, h, w), summing to 1; masks themselves where nothing comes nearer.

    Raises:
        ShapeError: sizes do not agree.
    """
    sizes = check_shape(images, "n 3 h w", name="images")
    check_shape(masks, "n h w", name="masks", **sizes)
    check_shape(target, "1 3 h w", name="target", h=sizes["h"], w=sizes["w"])
    radius = max(1, round(max(sizes["h"], sizes["w"]) / 64)) if smooth is None else smooth
    shown = torch.ones_like(masks[0]) if static is None else 1 - static
    logs = masks.log()  # minus infinity where a mask is 0
    moved, found, best = torch.zeros_like(masks), masks, _error(images, target, masks, shown)
    for _ in range(steps):
        ahead = moved - rate * _mean(_slope(images, target, (logs + _mean(moved, radius)).softmax(0), shown), radius)
        tried = (logs + _mean(ahead, radius)).softmax(0)
        error = _error(images, target, tried, shown)
        if error < best:
            moved, found, best = ahead, tried, error
        else:
            rate /= 2
    return _kept(found, masks, keep)


@torch.no_grad()
def refine_masks(projection: Projection, *, steps: int = 30, keep: float = 0.5) -> Projection:
    """The projection with refined masks, as if they had been painted: the fit's own are kept beside them.

    They are refined for the picture that was fitted, by codes without edits.

    Args:
        steps, keep: as for `refined_masks`.
    """
    plain = replace(projection, edits=())
    segments = projection.segments
    masks = refined_masks(
        plain.drawn(), projection.target, segments.masks, static=segments.static, steps=steps, keep=keep
    )
    return projection.with_masks(masks)


def _error(images: Tensor, target: Tensor, masks: Tensor, shown: Tensor) -> float:
    return float((shown * (blend(images, masks) - target)).square().mean())


def _slope(images: Tensor, target: Tensor, masks: Tensor, shown: Tensor) -> Tensor:
    """(n_chunks, h, w): half the derivative of each pixel's squared error by the logarithms of its masks."""
    slope = (shown * ((blend(images, masks) - target) * images).mean(1)) * shown
    return masks * (slope - (masks * slope).sum(0))


def _mean(masks: Tensor, radius: int) -> Tensor:
    if not radius:
        return masks
    return F.avg_pool2d(masks[None], 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)[0]


def _kept(refined: Tensor, masks: Tensor, keep: float) -> Tensor:
    """Refined masks, mixed with what they were just so far that every chunk keeps a share of its area."""
    before, after = masks.mean((1, 2)), refined.mean((1, 2))
    lacking = after < keep * before
    if not bool(lacking.any()):
        return refined
    share = ((keep * before - after) / (before - after).clamp(min=1e-12))[lacking].max()
    return torch.lerp(refined, masks, share.clamp(0, 1))
