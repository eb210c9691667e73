"""Which part of each layer's input a rectangle of the picture depends on. Integers only, one axis at a time.

StyleGAN2 demodulates weights, not activations, so no layer looks at the whole picture: a rectangle can be drawn from
rectangles, exactly. The upsampling convolution is a stride-2 transposed convolution followed by the 4-tap filter
[1, 3, 3, 1], padded by one on each side; the picture is upsampled by the same filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

Interval = tuple[int, int]
"""First index and one past the last."""


def clip(interval: Interval, length: int) -> Interval:
    """The part of an interval that lies in [0, length)."""
    return max(interval[0], 0), min(interval[1], length)


def conv_input(out: Interval) -> Interval:
    """What a 3-tap convolution reads, its padding included."""
    return out[0] - 1, out[1] + 1


def even(interval: Interval) -> Interval:
    """The interval between the even numbers around one."""
    return interval[0] - interval[0] % 2, interval[1] + interval[1] % 2


def upsampling_input(out: Interval) -> Interval:
    """What the upsampling convolution reads to make out, which lies between even numbers; its padding included."""
    return out[0] // 2 - 1, out[1] // 2 + 1


def upsample_input(out: Interval) -> Interval:
    """What upsampling a picture by 2 reads, its padding included."""
    return (out[0] - 1) // 2, out[1] // 2 + 1


@dataclass(frozen=True)
class BlockRegions:
    """One axis of one resolution's block: the intervals each of its steps has to produce.

    Attributes:
        length: length of the axis at this resolution.
        inputs: features of the block below (of the constant, for the first block).
        middle: result of the upsampling convolution, between even numbers, so that no pixel of it is cut off.
        features: result of the second convolution, and the picture's partial sum.
    """

    length: int
    inputs: Interval
    middle: Interval
    features: Interval


@lru_cache(maxsize=8192)
def plan(lengths: tuple[int, ...], out: Interval) -> tuple[BlockRegions, ...]:
    """The intervals of every block, lowest resolution first, that a stretch of the last one needs.

    Args:
        lengths: the axis at each resolution; each twice the one before.
        out: the stretch of the picture at the last of them.
    """
    regions: list[BlockRegions] = []
    for level in range(len(lengths) - 1, 0, -1):
        middle = clip(even(conv_input(out)), lengths[level])
        inputs = clip(upsampling_input(middle), lengths[level - 1])
        regions.append(BlockRegions(lengths[level], inputs, middle, out))
        out = inputs
    lowest = clip(conv_input(out), lengths[0])
    return BlockRegions(lengths[0], lowest, lowest, out), *regions[::-1]


@lru_cache(maxsize=65536)
def extents(lengths: tuple[int, ...], out: Interval) -> tuple[tuple[int, int], ...]:
    """For each block of a plan, how long its input below is and how long its features are."""
    return tuple((r.inputs[1] - r.inputs[0], r.features[1] - r.features[0]) for r in plan(lengths, out))


@dataclass(frozen=True)
class Stretches:
    """One axis of one resolution's block, of several stretches of it that are drawn as a batch.

    Attributes:
        regions: what the steps produce, counted from where the features begin; nothing is cut at the axis's ends.
        starts: where the features of each stretch begin, even numbers; before 0 and beyond `regions.length` all is 0.
    """

    regions: BlockRegions
    starts: tuple[int, ...]

    @property
    def features(self) -> list[Interval]:
        """Of each stretch."""
        return [shifted(self.regions.features, start) for start in self.starts]

    @property
    def middle(self) -> list[Interval]:
        """Of each stretch."""
        return [shifted(self.regions.middle, start) for start in self.starts]

    @property
    def inputs(self) -> list[Interval]:
        """Of each stretch, at the resolution below."""
        return [shifted(self.regions.inputs, start // 2) for start in self.starts]


def shifted(interval: Interval, by: int) -> Interval:
    """An interval moved along its axis."""
    return interval[0] + by, interval[1] + by


@lru_cache(maxsize=8192)
def plan_together(lengths: tuple[int, ...], outs: tuple[Interval, ...], begin: int) -> tuple[Stretches, ...]:
    """What every block from `begin` on, which is no first one, produces of stretches of unlike place in a batch.

    Each block's rectangles are as long as the longest that is needed, and begin at even numbers, so that all of them
    lie alike on the resolution below.

    Args:
        lengths: as for `plan`.
        outs: the stretches of the picture at the last resolution.
    """
    blocks: list[Stretches] = []
    wanted = list(outs)
    for length in reversed(lengths[begin:]):
        wanted = [clip(stretch, length) for stretch in wanted]
        starts = tuple(first - first % 2 for first, _ in wanted)
        regions = _uncut(length, max(end - start for (_, end), start in zip(wanted, starts)))
        blocks.append(Stretches(regions, starts))
        wanted = blocks[-1].inputs
    return tuple(blocks[::-1])


def _uncut(length: int, n: int) -> BlockRegions:
    """The intervals that n features from 0 on need."""
    middle = even(conv_input((0, n)))
    return BlockRegions(length, upsampling_input(middle), middle, (0, n))


@lru_cache(maxsize=8192)
def extents_together(lengths: tuple[int, ...], n: int, begin: int) -> tuple[tuple[int, int], ...]:
    """As `extents`, of every block from `begin` on, at most, where the longest stretch from an even start is n."""
    found: list[tuple[int, int]] = []
    for length in reversed(lengths[begin:]):
        n = min(n, length)
        inputs = _uncut(length, n).inputs
        found.append((inputs[1] - inputs[0], n))
        n = found[-1][0] + 1  # to begin at an even number
    return tuple(found[::-1])
