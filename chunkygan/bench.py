"""Seconds a step and peak memory, as ratios to a plain reading of the paper, both in one run and in turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch

from chunkygan.bench_cases import Case, bench_of, chunk_fit, our_step, plain_step

Way = tuple[str, Case]
"""``"ours"`` or ``"plain"``, and the case."""


@dataclass(frozen=True)
class Result:
    """What was measured of a case. Seconds are medians; memory is None where it was not asked for.

    Attributes:
        ours, plain: seconds a step.
        ours_global: seconds of a step with one code for the whole picture, by this project's fit.
        ours_memory, plain_memory: peak bytes that a step adds.
    """

    case: Case
    ours: float
    plain: float
    ours_global: float
    ours_memory: int | None = None
    plain_memory: int | None = None

    @property
    def to_plain(self) -> float:
        """Our step as a share of the plain one."""
        return self.ours / self.plain

    @property
    def to_global(self) -> float:
        """A step of all chunks in steps of one code."""
        return self.ours / self.ours_global

    def row(self) -> dict[str, Any]:
        """Flat, for JSON."""
        values = {key: value for key, value in asdict(self).items() if key != "case"}
        return {**asdict(self.case), **values, "to_plain": self.to_plain, "to_global": self.to_global}


def measure(case: Case, perceptual: dict[str, Any], *, rounds: int, memory: bool) -> Result:
    """Times the ways in turn, so that a machine that slows down slows all of them; the first round does not count."""
    bench = bench_of(case, perceptual)
    ways: list[Callable[[], float]] = [our_step(case, bench), plain_step(case, bench), our_step(case.whole, bench)]
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for taken, step in zip(times, ways):
            taken.append(_seconds(step, case.device))
    ours, plain, whole = (statistics.median(taken[1:]) for taken in times)
    peaks = [peak_memory(way, case, perceptual) for way in ("ours", "plain")] if memory else [None, None]
    return Result(case, ours, plain, whole, *peaks)


def lightning_overhead(case: Case, perceptual: dict[str, Any], *, steps: int) -> float:
    """Seconds that Lightning adds to a step: whole steps in its loop, less the time inside `training_step`,
    backward pass and update, which are timed in the same steps."""
    from chunkygan.lightning import fitting

    fit = chunk_fit(case, bench_of(case, perceptual), steps)
    inside: list[float] = []
    step = fit.optimizer_step

    def timed(*args: Any, **kwargs: Any) -> None:
        began = time.perf_counter()
        step(*args, **kwargs)  # runs the closure: training_step and backward
        inside.append(time.perf_counter() - began)

    fit.optimizer_step = timed  # type: ignore[method-assign]
    ends: list[float] = []
    fitting.run(fit, listeners=[lambda _: ends.append(time.perf_counter())], trainer={"accelerator": case.device})
    whole = [b - a for a, b in pairwise(ends)]
    return statistics.median(whole) - statistics.median(inside[1:])


def peak_memory(way: str, case: Case, perceptual: dict[str, Any]) -> int:
    """Peak bytes that two steps add to a process of their own."""
    code = f"from chunkygan import bench; bench._print_peak({way!r}, {asdict(case)!r}, {perceptual!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stdout.split()[-1])


def as_table(results: Sequence[Result]) -> str:
    """Markdown."""
    lines = [
        "| px | chunks | masks | space | memory mode | s/step | of plain | in global steps | peak MiB | of plain |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in results:
        case, peak, share = r.case, "", ""
        if r.ours_memory and r.plain_memory:
            peak, share = f"{r.ours_memory / 2**20:.0f}", f"{r.ours_memory / r.plain_memory:.2f}"
        lines.append(
            f"| {case.resolution} | {case.chunks} | {case.masks} | {case.space} | {case.memory} | {r.ours:.3f} "
            f"| {r.to_plain:.2f} | {r.to_global:.2f} | {peak} | {share} |"
        )
    return "\n".join(lines) + "\n"


def _seconds(step: Callable[[], float], device: str) -> float:
    began = time.perf_counter()
    step()  # reads the loss, so a GPU has finished
    return time.perf_counter() - began


def _print_peak(way: str, case: dict[str, Any], perceptual: dict[str, Any]) -> None:
    import resource

    made = Case(**case)
    bench = bench_of(made, perceptual)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = (our_step if way == "ours" else plain_step)(made, bench)
    if made.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before_cuda = torch.cuda.memory_allocated()
    step()
    step()
    if made.device != "cpu":
        print(torch.cuda.max_memory_allocated() - before_cuda)
    else:
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
