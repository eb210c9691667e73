"""Seconds a step and peak memory, as ratios to a plain reading of the paper, both in one run and in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from chunkygan import memory
from chunkygan.bench.cases import Bench, Case, bench_of, chunk_fit, masks_of, our_step, plain_step
from chunkygan.bench.memory import Peak, peak_of_steps
from chunkygan.types import Window
from chunkygan.windows import Cover, cover_of


@dataclass(frozen=True)
class Result:
    """What was measured of a case. Seconds are medians; memory is None where it was not asked for.

    Attributes:
        ours, plain: seconds a step.
        ours_global: seconds of a step with one code for the whole picture, by this project's fit.
        plain_chunks: how many chunks the plain steps really drew; with fewer than there are, `plain` is what one and
            two chunks tell of all, since the whole graph does not fit in memory.
        ours_memory, plain_memory: peak bytes that a step adds.
        process_memory: peak bytes of a whole process that takes our steps.
    """

    case: Case
    ours: float
    plain: float
    ours_global: float
    plain_chunks: int
    ours_memory: int | None = None
    plain_memory: int | None = None
    process_memory: int | None = None

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


def measure(case: Case, perceptual: dict[str, Any], *, rounds: int, peak: bool) -> Result:
    """Times the ways in turn, so that a machine that slows down slows all of them; the first round does not count."""
    bench = bench_of(case, perceptual)
    plain = plain_counts(case, bench)
    ways = [our_step(case, bench), our_step(case.whole, bench), *(plain_step(case, bench, n) for n in plain)]
    ours, whole, *drawn = _medians(ways, rounds)
    peaks = [Peak(None, None), Peak(None, None)]
    if peak:
        peaks[0] = peak_of_steps("ours", case, perceptual)
        peaks[1] = peak_of_steps("plain", case, perceptual) if plain == [case.chunks] else peaks[1]
    return Result(
        case, ours, extended(plain, drawn, case.chunks), whole, plain[-1],
        peaks[0].added, peaks[1].added, peaks[0].process,
    )  # fmt: skip


def plain_counts(case: Case, bench: Bench) -> list[int]:
    """With how many chunks the plain way is timed: all of them, or one and two where all do not fit in memory."""
    if case.chunks <= 2:
        return [case.chunks]
    whole, generator = Window(0, 0, *bench.generator.resolution), bench.generator
    cover = Cover((whole,) * case.chunks, tuple(range(case.chunks)))
    windows = cover_of(masks_of(case)()[0], generator.window_cost)
    # Our own step comes in between, and what it frees is kept for its next one.
    need = sum(memory.step_bytes(generator, drawn, perceptual=bench.perceptual).joint for drawn in (cover, windows))
    free = memory.free_bytes(case.device)
    return [case.chunks] if free is None or need < memory.USABLE * free else [1, 2]


def extended(counts: Sequence[int], seconds: Sequence[float], chunks: int) -> float:
    """Seconds with so many chunks on the line through those of one or two numbers of them.

    >>> extended([1, 2], [5.0, 8.0], 8)
    26.0
    """
    if len(counts) == 1:
        return seconds[0]
    return seconds[0] + (chunks - counts[0]) * (seconds[1] - seconds[0]) / (counts[1] - counts[0])


@dataclass(frozen=True)
class Overhead:
    """What Lightning adds to a step of a case, in seconds, and the seconds of the step without it."""

    case: Case
    added: float
    step: float

    def row(self) -> dict[str, Any]:
        """Flat, for JSON."""
        values = {"seconds_added": self.added, "seconds_step": self.step, "share": self.added / self.step}
        return {**asdict(self.case), **values}


def lightning_overhead(case: Case, perceptual: dict[str, Any], *, steps: int) -> Overhead:
    """Whole steps in Lightning's loop, less the time inside `training_step`, backward pass and update of each."""
    from chunkygan.lightning.batch_fit import BatchFit
    from chunkygan.lightning.batch_members import Attend, Member
    from chunkygan.lightning.trainer import quiet_trainer, ticks

    inside: list[float] = []
    ends: list[float] = []

    class Timed(BatchFit):
        def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            began = time.perf_counter()
            super().optimizer_step(*args, **kwargs)  # runs the closure: training_step and backward
            inside.append(time.perf_counter() - began)

    fit = chunk_fit(case, bench_of(case, perceptual), steps)
    attend = Attend([Member(fit, [lambda _: ends.append(time.perf_counter())])])
    options = {"accelerator": "cpu" if case.device == "cpu" else "gpu", "devices": 1, "precision": case.precision}
    quiet_trainer(steps=steps, callbacks=[attend], **options).fit(Timed([fit]), ticks())
    added = [end - begin - own for (begin, end), own in zip(pairwise(ends), inside[1:])]
    return Overhead(case, statistics.median(added), statistics.median(inside[1:]))


def _medians(ways: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for taken, step in zip(times, ways):
            began = time.perf_counter()
            step()  # reads the loss, so a GPU has finished
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken[1:]) for taken in times]
