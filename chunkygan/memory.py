"""What a fit needs to remember for its backward pass, what memory is free, and which way of fitting follows."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from chunkygan.allocator import give_back
from chunkygan.drawing import cover_of_segments
from chunkygan.interfaces import Generator, Perceptual
from chunkygan.types import Segments, Window
from chunkygan.windows import Cover

Mode = Literal["joint", "frugal"]

USABLE = 0.8
"""Share of the free memory that a fit may take; the rest is for what cannot be foreseen."""

IN_PASSING = 3
"""Tensors of the largest kept one's size that come and go beside what is kept: a gradient and a convolution's own."""

_PICTURES = 2 * 3 * 4
"""Bytes a pixel of the windows' pictures: each, and each times its mask."""

WHERE_UNKNOWN = 4 * 2**30
"""Bytes that count as free where the system does not tell."""


@dataclass(frozen=True)
class Need:
    """Bytes that a step of a fit takes beyond the networks, by way of fitting.

    Attributes:
        joint: all chunks' activations are kept.
        frugal: those of one window at a time.
    """

    joint: int
    frugal: int


def fitting_mode(
    generator: Generator,
    drawn: Cover | Segments,
    device: torch.device | str,
    *,
    perceptual: Perceptual | None = None,
    pictures: int = 1,
) -> Mode:
    """``"joint"`` where all chunks' activations fit in what is free on a device, ``"frugal"`` otherwise.

    Warns where it is frugal, which takes about a third longer, and where that does not fit either.

    Args:
        drawn: what is drawn of each chunk, or the chunks.
        perceptual: the distance, whose activations come on top.
        pictures: how many composites are compared; what is drawn is of all of them.
    """
    cover = cover_of_segments(generator, drawn) if isinstance(drawn, Segments) else drawn
    device = torch.device(device)
    need, free = step_bytes(generator, cover, perceptual=perceptual, pictures=pictures), free_bytes(device)
    usable = WHERE_UNKNOWN if free is None else USABLE * free
    if need.joint <= usable:
        return "joint"
    have = "it is not known how much is free" if free is None else f"{_gib(free)} are free"
    if need.frugal <= usable:
        text = f"{_gib(need.joint)} would hold all chunks at once, {have}: they are drawn one by one, in {{}}"
    else:
        text = f"even one by one the chunks take {{}}, and {have}: this may fail"
    warnings.warn(text.format(_gib(need.frugal)), stacklevel=2)
    return "frugal"


def step_bytes(
    generator: Generator, cover: Cover, *, perceptual: Perceptual | None = None, pictures: int = 1
) -> Need:
    """What a step takes, told from drawing four small windows and comparing one picture.

    What is kept of a window grows with its height, its width and its area, so that four windows tell it of all.
    Precisions that the trainer or a device lowers take less.
    """
    if not cover.windows:
        return Need(0, 0)
    kept = _kept_of_windows(generator)
    windows = [kept(*window.size) for window in cover.windows]
    crops = _PICTURES * sum(window.size[0] * window.size[1] for window in cover.windows)
    compared = _kept_of_comparison(generator, perceptual)
    passing = IN_PASSING * max(pictures * compared.largest, *(one.largest for one in windows))
    beside = pictures * compared.total + crops + passing
    return Need(round(sum(one.total for one in windows) + beside), round(max(one.total for one in windows) + beside))


class Kept(NamedTuple):
    """Bytes that a graph holds: all together, and the largest of its tensors."""

    total: float
    largest: float


def saved_bytes(compute: Callable[[], object]) -> Kept:
    """What automatic differentiation holds of a computation, parameters aside; what is held twice counts once."""
    held: dict[int, Tensor] = {}  # the tensors too, so that no storage's address is used again

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            held[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.enable_grad():
        result = compute()
    sizes = [tensor.untyped_storage().nbytes() for tensor in held.values()]
    del result
    return Kept(sum(sizes), max(sizes, default=0))


def _kept_of_windows(generator: Generator) -> Callable[[int, int], Kept]:
    """What is kept of a window of a height and a width."""
    like = generator.w_avg
    styles = [torch.ones(1, c, device=like.device, requires_grad=True) for c in generator.style_dims]
    h1, w1 = (min(max(side // 16, 32), side) for side in generator.resolution)
    h0, w0 = h1 // 2, w1 // 2

    def drawn(height: int, width: int) -> Kept:
        top, left = (generator.resolution[0] - height) // 2, (generator.resolution[1] - width) // 2
        window = Window(top, left, top + height, left + width)
        return saved_bytes(lambda: generator.synthesis(styles, window=window))

    corners = [[drawn(h, w) for w in (w0, w1)] for h in (h0, h1)]
    share = corners[1][1].largest / max(corners[1][1].total, 1)

    def kept(height: int, width: int) -> Kept:
        y, x = (height - h0) / (h1 - h0), (width - w0) / (w1 - w0)
        low, high = ((1 - x) * row[0].total + x * row[1].total for row in corners)
        total = max((1 - y) * low + y * high, 0.0)
        return Kept(total, share * total)

    return kept


def _kept_of_comparison(generator: Generator, perceptual: Perceptual | None) -> Kept:
    """What is kept of a composite and of its distance to the target."""
    picture = torch.zeros(1, 3, *generator.resolution, device=generator.w_avg.device, requires_grad=True)
    if perceptual is None:
        return Kept(picture.nbytes, picture.nbytes)
    device = next((tensor.device for tensor in perceptual.buffers()), picture.device)
    return saved_bytes(lambda: perceptual.features(picture.to(device)))


def free_bytes(device: torch.device | str = "cpu") -> int | None:
    """Bytes that can still be taken on a device; None where the system does not tell.

    On a CPU, what this process had freed and kept is returned to the system first.
    """
    device = torch.device(device)
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    give_back()
    known = [free for free in (_free_in_system(), _free_in_group()) if free is not None]
    return min(known, default=None)


def _free_in_system(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """What Linux calls available: free, or taken back at once from its caches."""
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


GROUP_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
"""Limit and use of a control group, of its second version and its first."""


def _free_in_group(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> int | None:
    """What the control group of this process, a container's as a rule, and those above it leave."""
    found: list[int] = []
    for folder in _group_folders(root, groups):
        for limit_file, use_file in GROUP_FILES:
            limit, use = _number(folder / limit_file), _number(folder / use_file)
            if limit is not None and use is not None:
                found.append(max(limit - use + _reclaimable(folder), 0))
    return min(found, default=None)


def _group_folders(root: Path, groups: Path) -> list[Path]:
    """Folders of the groups that this process is in, and of those above them."""
    try:
        paths = [line.split(":", 2) for line in groups.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return [root]
    folders = {root, root / "memory"}
    for _, controllers, path in (parts for parts in paths if len(parts) == 3):
        top = root / "memory" if "memory" in controllers.split(",") else root
        inside = top / os.path.normpath(path).lstrip("/")
        folders |= {inside, *(above for above in inside.parents if above.is_relative_to(top))}
    return sorted(folders)


def _number(file: Path) -> int | None:
    """The number in a file; None where there is none, such as ``max``."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _reclaimable(folder: Path) -> int:
    """Bytes of a group that hold files which can be read again."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
