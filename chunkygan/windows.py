"""Where a chunk has to be drawn: the rectangle around the pixels that its mask uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
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


@dataclass(frozen=True)
class Cover:
    """Rectangles in which chunks are drawn; those of one chunk do not overlap.

    Args:
        windows: the rectangles.
        owners: the chunk of each.
    """

    windows: tuple[Window, ...]
    owners: tuple[int, ...]


CELLS = 24
"""Along a picture's longer side, how many places there are at which rectangles may begin and end."""


def cover_of(masks: Tensor, cost: Callable[[Window], float], threshold: float = 0.0) -> Cover:
    """Rectangles that hold all pixels that each mask uses and cost little to draw together.

    Each chunk is cut into strips, across or along, and each strip into the runs that are used, the cheapest way there
    is. A ring, such as what is around a head, becomes four bars.

    Args:
        masks: as for `windows_of`.
        cost: of drawing a rectangle, in any unit; what is paid for each one, however small, belongs to it.
        threshold: as for `windows_of`.
    """
    boxes = windows_of(masks, threshold)
    cell = -(-max(masks.shape[1:]) // CELLS)
    above = (masks.detach() > threshold).float()[None]
    used = F.max_pool2d(above, cell, ceil_mode=True)[0].bool().cpu().numpy()

    @cache
    def price(part: Cells) -> float:
        return cost(part.window(cell))

    def price_along(part: Cells) -> float:
        return price(part.turned())

    windows: list[Window] = []
    owners: list[int] = []
    for owner, box in enumerate(boxes):
        if box is None:
            continue
        across, along = _strips(used[owner], price), _strips(used[owner].T, price_along)
        parts = across.parts if across.price <= along.price else [part.turned() for part in along.parts]
        pieces = [_tightened(masks[owner], part.window(cell), threshold) for part in parts]
        pieces = pieces if sum(map(cost, pieces)) < cost(box) else [box]
        windows += pieces
        owners += [owner] * len(pieces)
    return Cover(tuple(windows), tuple(owners))


class Cells(NamedTuple):
    """A rectangle of cells."""

    top: int
    left: int
    bottom: int
    right: int

    def window(self, cell: int) -> Window:
        """The same in pixels."""
        return Window(*(edge * cell for edge in self))

    def turned(self) -> Cells:
        """Rows and columns exchanged."""
        return Cells(self.left, self.top, self.right, self.bottom)


class _Parts(NamedTuple):
    """Rectangles and what they cost together."""

    price: float
    parts: list[Cells]


def _strips(used: Any, price: Callable[[Cells], float]) -> _Parts:
    """The cheapest way to cut what is used, (rows, columns) boolean, into strips of rows and their runs."""
    best = [_Parts(0.0, [])]  # of the first rows, one more each time
    filled = used.any(1).tolist()  # no strip has to begin or end with rows that are not
    for end in range(1, len(used) + 1):
        if not filled[end - 1]:
            best.append(best[-1])
            continue
        options = []
        for begin in filter(filled.__getitem__, range(end)):
            runs = _runs(used, begin, end, price)
            options.append(_Parts(best[begin].price + sum(map(price, runs)), best[begin].parts + runs))
        best.append(min(options, key=lambda option: option.price))
    return best[-1]


def _runs(used: Any, begin: int, end: int, price: Callable[[Cells], float]) -> list[Cells]:
    """Runs of used columns in a strip of rows, neighbours joined where one rectangle costs no more than two."""
    columns = used[begin:end].any(0).tolist()
    edges = [x for x, (a, b) in enumerate(zip([False, *columns], [*columns, False])) if a != b]
    runs: list[Cells] = []
    for left, right in zip(edges[::2], edges[1::2]):
        part = _used_part(used, Cells(begin, left, end, right))
        if runs and price(joined := _joined(runs[-1], part)) <= price(runs[-1]) + price(part):
            runs[-1] = joined
        else:
            runs.append(part)
    return runs


def _joined(a: Cells, b: Cells) -> Cells:
    return Cells(min(a.top, b.top), min(a.left, b.left), max(a.bottom, b.bottom), max(a.right, b.right))


def _used_part(used: Any, box: Cells) -> Cells:
    """The bounding box of what is used in a box, in which something is."""
    part = used[box.top : box.bottom, box.left : box.right]
    rows, columns = part.any(1).nonzero()[0], part.any(0).nonzero()[0]
    top, left, bottom, right = (int(edge) for edge in (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
    return Cells(box.top + top, box.left + left, box.top + bottom, box.left + right)


def _tightened(mask: Tensor, window: Window, threshold: float) -> Window:
    """The smallest rectangle around what is used in a window, in which something is."""
    (found,) = windows_of(mask[window.slices][None], threshold)
    assert found is not None
    top, left = window.top, window.left
    return Window(top + found.top, left + found.left, top + found.bottom, left + found.right)
