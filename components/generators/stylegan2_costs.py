"""What drawing costs, and which windows are cheaper drawn together. Numbers only, no tensors.

The unit is one multiplication of a convolution, there and back: 0.035 ns on one core of an Intel Xeon at 2.5 GHz. There
a block takes 1.7 ms, a number of its features 30 ns beside its multiplications, a weight 1.2 ns: least squares over 99
rectangles of 4 x 4 to 256 x 256 pixels of blocks with 8 to 512 channels, 97 of which it tells within 28 %. What a GPU
takes is told from its launches, not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from chunkygan.components.generators.stylegan2_regions import extents, extents_together
from chunkygan.types import Window

NUMBER = 850
"""What a number of a block's features costs beside its multiplications, which cost more from 60 channels on."""

WEIGHT = 34
"""What each weight of a block's convolutions costs once for a batch, however little it draws: 6 ms for 512 channels."""

SHARE = 0.85
"""What a pixel of a small block costs in a batch of whole ones, in those of a rectangle cut out of it."""

SPARE = 0.25
"""How much more than its windows alone a group may draw, in shares of the largest window: so much memory it takes."""

MOST = 16
"""How many windows a group holds at most: more would hardly save anything."""

ALWAYS_SHARED, SHARED_AT_MOST = 8, 32
"""Longer sides in pixels of the blocks that are drawn whole for all windows in any case, and at most: larger ones
would fall out of a CPU's caches."""


class Overheads(NamedTuple):
    """What is paid for each block, however little it draws.

    Args:
        block: once for a batch.
        window: for each window of a batch of unlike places.
        batch: what a number costs in a batch, in those of a window alone, which a CPU's caches hold more often.
    """

    block: float
    window: float
    batch: float


CPU, LAUNCHED = Overheads(4.8e7, 1.2e7, 1.12), Overheads(4.8e9, 1.2e9, 1.0)


@dataclass(frozen=True)
class Costs:
    """Costs of a network's blocks up to one of them, lowest resolution first.

    Args:
        heights, widths: of each in pixels.
        channels: of each.
        weights: numbers of weights of each one's convolutions, the upsampling and the plain one.
        overheads: those of the device.
    """

    heights: tuple[int, ...]
    widths: tuple[int, ...]
    channels: tuple[int, ...]
    weights: tuple[tuple[int, int], ...]
    overheads: Overheads = CPU

    def up_to(self, side: int) -> int:
        """How many blocks are no longer than this."""
        return sum(max(size) <= side for size in zip(self.heights, self.widths))

    def window(self, window: Window, begin: int = 0) -> float:
        """Of the blocks from `begin` on, of one sample in a window, without what is paid once for a batch."""
        rows = extents(self.heights, (window.top, window.bottom))
        columns = extents(self.widths, (window.left, window.right))
        return self._sum(begin, rows[begin:], columns[begin:])

    def together(self, height: int, width: int, begin: int) -> float:
        """The same of one sample of a batch, whose rectangles are at most so large and begin at even numbers."""
        rows = extents_together(self.heights, height, begin)
        return self._sum(begin, rows, extents_together(self.widths, width, begin))

    def whole(self, level: int) -> float:
        """Of one block and one sample."""
        (up, plain), channels = self.weights[level], self.channels[level]
        return (up / 4 + plain + NUMBER * channels) * self.heights[level] * self.widths[level]

    def among_others(self, window: Window) -> float:
        """What a window adds where there are others, with which it shares the lowest blocks."""
        begin = min(self.up_to(SHARED_AT_MOST), len(self.heights) - 1)
        return self.window(window, begin) + self.once(range(begin, len(self.heights)))

    def once(self, levels: range) -> float:
        """Of blocks, paid once for a batch, however little it draws: their many small steps and their weights."""
        return len(levels) * self.overheads.block + WEIGHT * sum(sum(self.weights[level]) for level in levels)

    def _sum(self, begin: int, rows: Sequence[tuple[int, int]], columns: Sequence[tuple[int, int]]) -> float:
        """The upsampling convolutions work at the lower resolution."""
        total = 0
        blocks = zip(self.weights[begin:], self.channels[begin:], rows, columns)
        for (up, plain), channels, (low_h, h), (low_w, w) in blocks:
            total += up * low_h * low_w + (plain + NUMBER * channels) * h * w
        return float(total)


class Group(NamedTuple):
    """Windows that are drawn as one batch.

    Args:
        begin: the block from which on they are; those below are drawn whole, as a batch of the samples.
        windows: their numbers.
    """

    begin: int
    windows: tuple[int, ...]


@lru_cache(maxsize=64)
def arranged(
    costs: Costs, windows: tuple[Window, ...], owners: tuple[int, ...], *, thrifty: bool = False
) -> tuple[Group, ...]:
    """The cheapest way to draw windows of samples, in groups of neighbouring size.

    Args:
        owners: the sample of each window.
        thrifty: a group may draw no more than the largest window alone, so that memory for one window is enough.
    """
    if len(windows) < 2:
        return (Group(0, (0,)),) * len(windows)
    least = max(costs.up_to(ALWAYS_SHARED), 1)
    prices = [
        _Prices(costs, windows, owners, begin, thrifty)
        for begin in range(least, max(costs.up_to(SHARED_AT_MOST), least) + 1)
    ]

    def cheapest(members: tuple[int, ...]) -> _Division:
        return min(_Division(known.group(members), (Group(known.begin, members),)) for known in prices)

    h, w = prices[0].heights, prices[0].widths
    orders = [lambda i: (h[i] * w[i], i), lambda i: (h[i], w[i]), lambda i: (w[i], h[i])]
    found = [_divided(sorted(range(len(windows)), key=order), cheapest) for order in orders]
    return min(found).groups


class _Division(NamedTuple):
    price: float
    groups: tuple[Group, ...]


class _Prices:
    """What groups cost whose own blocks begin at one of them; the trunk's is divided among windows."""

    def __init__(
        self, costs: Costs, windows: Sequence[Window], owners: Sequence[int], begin: int, thrifty: bool
    ) -> None:
        self.costs, self.begin, self.thrifty = costs, begin, thrifty
        self.heights = [window.bottom - window.top + window.top % 2 for window in windows]
        self.widths = [window.right - window.left + window.left % 2 for window in windows]
        self.alone = [costs.window(window, begin) for window in windows]
        trunk = SHARE * sum(costs.whole(level) for level in range(begin))
        once = costs.once(range(begin)) / len(windows)
        self.trunk = [trunk / owners.count(owner) + once for owner in owners]
        self.once = costs.once(range(begin, len(costs.heights)))

    def group(self, members: Sequence[int]) -> float:
        """Infinite where it would take too much memory."""
        own, n, overheads = sum(self.alone[i] for i in members), len(members), self.costs.overheads
        drawn, each = own, 0.0
        if n > 1:
            size = max(self.heights[i] for i in members), max(self.widths[i] for i in members)
            drawn, each = n * self.costs.together(*size, self.begin), overheads.window
            if drawn > (max(self.alone) if self.thrifty else own + SPARE * max(self.alone)):
                return float("inf")
            drawn *= overheads.batch
        blocks = len(self.costs.heights) - self.begin
        return drawn + self.once + blocks * n * each + sum(self.trunk[i] for i in members)


def _divided(order: Sequence[int], price: Callable[[tuple[int, ...]], _Division]) -> _Division:
    """The cheapest way to cut a row of windows into groups of neighbours."""
    best = [_Division(0.0, ())]  # of the first windows, one more each time
    for end in range(1, len(order) + 1):
        options = []
        for begin in range(max(end - MOST, 0), end):
            group = price(tuple(order[begin:end]))
            options.append(_Division(best[begin].price + group.price, best[begin].groups + group.groups))
        best.append(min(options))
    return best[-1]
