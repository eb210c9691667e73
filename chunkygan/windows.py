"""Where a chunk has to be drawn: the rectangle around the pixels that its mask uses."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.shapes import check_shape
from chunkygan.types import Window


def windows_of(masks: Tensor, threshold: float = 0.0) -> list[Window | None]:
    """The smallest rectangle around the pixels where each mask is above a threshold.

    One transfer from the masks' device for all chunks.

    Args:
        masks: (n_chunks, h, w); with a static mask, the ones of `chunkygan.compositing.effective_masks`.
        threshold: 0 loses nothing; above it, a chunk loses what its mask has below.

    Returns:
        One window a chunk; None where no pixel is above the threshold.

    Raises:
        ShapeError: masks has not three dimensions.

    >>> masks = torch.zeros(2, 8, 8)
    >>> masks[0, 2:5, 1:3] = 0.5
    >>> windows_of(masks)
    [Window(top=2, left=1, bottom=5, right=3), None]
    """
    check_shape(masks, "n_chunks h w", name="masks")
    h = masks.shape[1]
    used = masks.detach() > threshold
    lines = torch.cat([used.any(2), used.any(1)], dim=1).cpu()  # (n_chunks, h + w)
    return [_window(line[:h], line[h:]) for line in lines]


def _window(rows: Tensor, columns: Tensor) -> Window | None:
    """The window of the rows and columns that are used, both boolean; None where none is."""
    r, c = rows.nonzero(), columns.nonzero()
    if not len(r):
        return None
    return Window(int(r[0]), int(c[0]), int(r[-1]) + 1, int(c[-1]) + 1)
