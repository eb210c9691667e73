"""Peak memory of steps: what they add to a process of their own, and what that process takes in all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from chunkygan.allocator import give_back, keep_freed_memory
from chunkygan.bench.cases import Case, bench_of, our_step, plain_step
from chunkygan.errors import ChunkyGANError

STEPS = 2


class Peak(NamedTuple):
    """Bytes: what some work added at its peak, and what the process, or the GPU, then held in all."""

    added: int | None
    process: int | None


def peak_of_steps(way: str, case: Case, perceptual: dict[str, Any]) -> Peak:
    """The peak of some steps in a process of their own; networks and target do not count as added.

    Args:
        way: ``"ours"`` or ``"plain"``.

    Raises:
        ChunkyGANError: the process failed, for want of memory perhaps.
    """
    code = f"from chunkygan.bench import memory as b; b._print_peak({way!r}, {asdict(case)!r}, {perceptual!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        raise ChunkyGANError(f"the process that measures the memory of {way}, {case}, failed: {reason[0]}")
    return Peak(*json.loads(done.stdout.splitlines()[-1]))


def row(case: Case, perceptual: dict[str, Any]) -> dict[str, Any]:
    """The peak of our steps of a case, flat, for JSON."""
    peak = peak_of_steps("ours", case, perceptual)
    return {**asdict(case), "added": peak.added, "process": peak.process}


def _print_peak(way: str, case: dict[str, Any], perceptual: dict[str, Any]) -> None:
    keep_freed_memory()
    made = Case(**case)
    step = (our_step if way == "ours" else plain_step)(made, bench_of(made, perceptual))
    print(json.dumps(peak_of(lambda: [step() for _ in range(STEPS)], made.device)))


def peak_of(work: Callable[[], object], device: str = "cpu") -> Peak:
    """The peak while some work is done: resident memory, or a GPU's allocated memory."""
    if torch.device(device).type != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return Peak(torch.cuda.max_memory_allocated(device) - before, torch.cuda.max_memory_allocated(device))
    give_back()  # what was freed would be used again unseen
    resets = _reset_peak()
    before = _status("VmRSS") if resets else _highest_ever()
    work()
    peak = _status("VmHWM") if resets else _highest_ever()
    return Peak(peak - before, peak)


def _reset_peak() -> bool:
    """Begins Linux's record of the highest resident memory anew; False where it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(key: str) -> int:
    """Bytes of a line of Linux's /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def _highest_ever() -> int:
    """Bytes of the highest resident memory since the process began; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
