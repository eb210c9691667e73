"""Time and memory of a segmentation head whose stack of feature maps is never built, beside one that builds it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.build import create
from chunkygan.interfaces import SegHead

CLASSES = 19
CHANNELS = (512, 512, 512, 512, 512, 256, 128, 64, 32)
"""Of StyleGAN2's config F at 4, 8 ... 1024 pixels; the list that heads read has the constant and two maps a size."""


@dataclass(frozen=True)
class HeadResult:
    """What was measured. Seconds are medians of the process's own time on a CPU, so that other work does not count.

    Attributes:
        resolution: pixels a side.
        channels: of the stack.
        models: of the ensemble.
        ours, plain: seconds of one prediction without gradients.
        bands: into how many bands of rows the plain stack was cut, because it does not fit into memory whole.
        stack: bytes of the whole stack.
        ours_memory, plain_memory: peak bytes that a prediction adds; None where it was not measured.
    """

    resolution: int
    channels: int
    models: int
    ours: float
    plain: float
    bands: int
    stack: int
    ours_memory: int | None = None
    plain_memory: int | None = None

    @property
    def to_plain(self) -> float:
        """Our seconds as a share of the plain ones."""
        return self.ours / self.plain

    def row(self) -> dict[str, Any]:
        """Flat, for JSON."""
        return {**asdict(self), "to_plain": self.to_plain}


def measure_head(
    resolution: int, *, models: int = 1, rounds: int = 3, memory: bool = True, device: str = "cpu"
) -> HeadResult:
    """Times both ways in turn on random maps of config F's sizes; the first round does not count.

    Args:
        resolution: 8 to 1024, a power of two.
        memory: measure peaks too, each in a process of its own.
    """
    maps, head = _case(resolution, models, device)
    size, channels = (resolution, resolution), sum(m.shape[1] for m in maps)
    stack = 4 * channels * resolution**2
    bands = _bands(stack, device)
    ways: list[Callable[[], Tensor]] = [lambda: head(maps, size=size), lambda: plain(head, maps, size, bands)]
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for taken, way in zip(times, ways):
            taken.append(_seconds(way, device))
    ours, naive = (statistics.median(taken[1:]) for taken in times)
    peaks = [_peak(way, resolution, models, device, bands) for way in ("ours", "plain")] if memory else [None, None]
    return HeadResult(resolution, channels, models, ours, naive, bands, stack, *peaks)


def plain(head: SegHead, maps: Sequence[Tensor], size: tuple[int, int], bands: int = 1) -> Tensor:
    """The yardstick, (models, 1, classes, h, w): all maps at full size, stacked, and every pixel classified.

    Args:
        bands: the stack is built for so many bands of rows, one after the other.
    """
    done = []
    for rows in torch.arange(size[0], device=maps[0].device).chunk(bands):
        stack = torch.cat([_rows(part, rows, size) for part in maps], 1)
        pixels = stack.flatten(2)[0].T
        logits = torch.stack([one(pixels) for one in head.classifiers])  # (models, p, classes)
        done.append(logits.transpose(1, 2).unflatten(2, (len(rows), size[1])))
    return torch.cat(done, 2)[:, None]


def as_table(results: Sequence[HeadResult]) -> str:
    """Markdown."""
    lines = [
        "| px | channels | models | s | plain s | of plain | peak MiB | plain peak MiB | whole stack MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in results:
        peaks = [f"{value / 2**20:.0f}" if value is not None else "" for value in (r.ours_memory, r.plain_memory)]
        cut = f" in {r.bands} bands" if r.bands > 1 else ""
        lines.append(
            f"| {r.resolution} | {r.channels} | {r.models} | {r.ours:.3f} | {r.plain:.3f} | {r.to_plain:.3f} "
            f"| {peaks[0]} | {peaks[1]}{cut} | {r.stack / 2**20:.0f} |"
        )
    return "\n".join(lines) + "\n"


class _Widths:
    """Stands for a generator, of which an untrained head only asks this."""

    def __init__(self, widths: list[int]) -> None:
        self.widths = widths

    def feature_widths(self) -> list[int]:
        return self.widths


def _case(resolution: int, models: int, device: str) -> tuple[list[Tensor], SegHead]:
    """Random maps (1, c, h, w) as config F's generator of a size gives them, and an untrained head for them."""
    rng = torch.Generator().manual_seed(0)
    sizes = [4 << i for i in range((resolution // 4).bit_length())]
    shapes = [(CHANNELS[i], s) for i, s in enumerate(sizes) for _ in range(2)]
    maps = [torch.randn(1, c, s, s, generator=rng).to(device) for c, s in shapes]
    names = [f"class_{i}" for i in range(CLASSES)]
    spec = {"name": "datasetgan_mlp", "models": models}
    head: SegHead = create("seg_head", spec, generator=_Widths([c for c, _ in shapes]), classes=names)
    return maps, head.to(device).requires_grad_(False).eval()


def _rows(part: Tensor, rows: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, c, len(rows), w): some rows of a map that is upsampled bilinearly to a size."""
    height = part.shape[2]
    place = ((rows + 0.5) * (height / size[0]) - 0.5).clamp(min=0)
    low = place.floor().long()
    mixed = torch.lerp(part[:, :, low], part[:, :, (low + 1).clamp(max=height - 1)], (place - low)[:, None])
    return F.interpolate(mixed, size=(len(rows), size[1]), mode="bilinear", align_corners=False)


def _bands(stack: int, device: str) -> int:
    """So many that a band's stack, twice, takes at most half of the memory that is free."""
    if device != "cpu":
        free = torch.cuda.mem_get_info()[0]
    else:
        free = 8 * 2**30
        try:
            with open("/proc/meminfo", encoding="ascii") as file:
                free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
        except (OSError, StopIteration):
            pass
    return max(1, -(-2 * stack // (free // 2)))


@torch.no_grad()
def _seconds(way: Callable[[], Tensor], device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    way().sum().item()  # so a GPU has finished
    return clock() - began


def _peak(way: str, resolution: int, models: int, device: str, bands: int) -> int:
    """Peak bytes that one prediction adds to a process of its own."""
    code = f"from chunkygan.bench import head as b; b._print_peak({way!r}, {resolution}, {models}, {device!r}, {bands})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stdout.split()[-1])


@torch.no_grad()
def _print_peak(way: str, resolution: int, models: int, device: str, bands: int) -> None:
    maps, head = _case(resolution, models, device)
    size = (resolution, resolution)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if device != "cpu" else _largest_so_far()
    head(maps, size=size) if way == "ours" else plain(head, maps, size, bands)
    print((torch.cuda.max_memory_allocated() if device != "cpu" else _largest_so_far()) - before)


def _largest_so_far() -> int:
    """Peak bytes of this process. The kernel's own number for it: that of `getrusage` counts the parent's peak in."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
