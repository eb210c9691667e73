"""Soft masks as tensors: checked, resized, feathered, and made to sum to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.errors import ShapeError
from chunkygan.shapes import check_shape

_WIDEST_FEATHER = 1024  # a soft edge over a whole large picture; more would only cost time


def check_masks(masks: Tensor, *, names: Sequence[str] | None = None, tolerance: float = 1e-3) -> None:
    """Raises where masks are no partition of the picture; costs a transfer, so not for an inner loop.

    Args:
        masks: (..., n_chunks, h, w).
        names: the chunks' names for the message.
        tolerance: largest deviation from 1 that passes as rounding (fp16 has 5e-4 next to 1).

    Raises:
        ShapeError: a value is not finite, below 0 or above 1, or the masks do not sum to 1; with the place.
    """
    check_range(masks, names=names, slack=tolerance)
    deviation = (masks.detach().sum(-3) - 1).abs()
    largest = float(deviation.max())
    if largest > tolerance:
        *_, y, x = _place(deviation, deviation == deviation.max())
        raise ShapeError(f"masks must sum to 1 at every pixel; largest deviation {largest:.2g} at ({y}, {x})")


def check_range(masks: Tensor, *, names: Sequence[str] | None = None, slack: float = 1e-6) -> None:
    """Raises where a mask value is not finite, below 0 or above 1.

    Args:
        masks: (..., n_chunks, h, w).
        names: the chunks' names for the message.
        slack: how far beyond 0 and 1 passes as rounding.

    Raises:
        ShapeError: with the chunk and the place, (row, column), of the first such value.
    """
    if masks.ndim < 3 or masks.numel() == 0:
        raise ShapeError(f"masks must have shape (n_chunks, h, w) with no 0; got {tuple(masks.shape)}")
    masks = masks.detach()
    bad = ~((masks >= -slack) & (masks <= 1 + slack))  # NaN fails both
    if bool(bad.any()):
        *_, i, y, x = place = _place(masks, bad)
        chunk = repr(names[i]) if names is not None else str(i)
        raise ShapeError(f"masks must lie in [0, 1]; chunk {chunk} has {float(masks[place]):g} at ({y}, {x})")


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks at another size: bilinear, antialiased where they shrink; sums over the chunks are kept.

    Args:
        masks: (n_chunks, h, w) in [0, 1].
        size: (height, width).

    Returns:
        (n_chunks, *size) in [0, 1]; masks itself where it has the size.
    """
    check_shape(masks, "n_chunks h w", name="masks")
    if tuple(masks.shape[1:]) == tuple(size):
        return masks
    return F.interpolate(masks.unsqueeze(0), size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def feather(masks: Tensor, pixels: float) -> Tensor:
    """Masks with soft edges: blurred by a Gaussian, borders repeated, divided by their sum.

    The Gaussian ends at three standard deviations, so a mask stays exactly 0 at some distance and its window small.

    Args:
        masks: (n_chunks, h, w) in [0, 1], summing to 1.
        pixels: width of the soft edge, two standard deviations of the Gaussian: a straight edge rises from 16 % to
            84 % over this many pixels. Below 0.2 masks stay as they are.

    Returns:
        (n_chunks, h, w), summing to 1.

    Raises:
        ShapeError: pixels is negative, above 1024 or not a number, or masks has not three dimensions.
    """
    check_shape(masks, "n_chunks h w", name="masks")
    if not 0 <= pixels <= _WIDEST_FEATHER:  # NaN fails too
        raise ShapeError(f"feather must be a number of pixels from 0 to {_WIDEST_FEATHER}; got {pixels}")
    sigma = pixels / 2
    if sigma < 0.1:  # a neighbour's weight would be below exp(-50), no more than rounding
        return masks
    radius = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=masks.dtype, device=masks.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    blurred = masks.unsqueeze(1)  # (n_chunks, 1, h, w)
    blurred = F.conv2d(F.pad(blurred, (0, 0, radius, radius), mode="replicate"), kernel.reshape(1, 1, -1, 1))
    blurred = F.conv2d(F.pad(blurred, (radius, radius, 0, 0), mode="replicate"), kernel.reshape(1, 1, 1, -1))
    return normalise(blurred[:, 0])


def normalise(masks: Tensor) -> Tensor:
    """Masks divided by their sum over the chunks; where that is 0, the first chunk gets 1.

    Args:
        masks: (n_chunks, h, w), 0 or more.

    Returns:
        (n_chunks, h, w), summing to 1.
    """
    check_shape(masks, "n_chunks h w", name="masks")
    total = masks.sum(0)
    nowhere = total <= 0
    result = masks / torch.where(nowhere, torch.ones_like(total), total)
    first = torch.where(nowhere, torch.ones_like(total), result[0])
    return torch.cat([first.unsqueeze(0), result[1:]])


def pruned(masks: Tensor, threshold: float) -> Tensor:
    """Masks without their faint tails: what is at or below a threshold becomes 0, the others are divided by their sum.

    A chunk then has to be drawn only where it shows. Of n chunks, a composite of pictures in [-1, 1] changes by at most
    ``2 (n - 1) threshold`` anywhere. The largest mask of a pixel always stays; 0 changes nothing.

    Args:
        masks: (n_chunks, h, w), summing to 1.
        threshold: 0 or more, below 1.

    Returns:
        (n_chunks, h, w), summing to 1.
    """
    if threshold <= 0:
        return masks
    stays = (masks > threshold) | (masks == masks.max(0, keepdim=True).values)
    kept = torch.where(stays, masks, torch.zeros_like(masks))
    return kept / kept.sum(0)


def with_rest(masks: Tensor, *, tolerance: float = 0.0) -> Tensor:
    """Masks with the share that they leave over as one more, last mask; all together sum to 1.

    Where masks overlap (sum above 1) they are divided by their sum and nothing is left over.

    Args:
        masks: (n_chunks, h, w) in [0, 1].
        tolerance: a share up to this counts as rounding and is given to the masks in proportion.

    Returns:
        (n_chunks + 1, h, w), summing to 1.
    """
    left = (1 - masks.sum(0)).clamp(min=0)
    left = torch.where(left <= tolerance, torch.zeros_like(left), left)
    together = torch.cat([masks, left.unsqueeze(0)])
    return together / together.sum(0).clamp(min=1e-12)


def dilated(region: Tensor, pixels: int) -> Tensor:
    """(h, w) bool: a region, (h, w) bool, and all that is at most so many pixels away, up, down and across."""
    if not pixels:
        return region
    grown = F.max_pool2d(region[None, None].float(), 2 * pixels + 1, stride=1, padding=pixels)
    return grown[0, 0] > 0


def _place(values: Tensor, where: Tensor) -> tuple[int, ...]:
    """Index of the first place where a condition holds."""
    flat = int(where.flatten().to(torch.uint8).argmax())
    return tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), values.shape))
