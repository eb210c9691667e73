"""What one of our steps spends its time on: by part of the method, and by operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from chunkygan import drawing
from chunkygan.bench.cases import Bench, Case, bench_of, our_step

GROUPS = ("generator", "perceptual", "compositing", "optimiser")
REST = "rest"
_OPTIMISER = "Optimizer.step#"
_BACKWARD = "autograd::engine::evaluate_function"


@dataclass(frozen=True)
class Shares:
    """Shares of a step's time, which sum to 1, largest first: of the method's parts, and of operators."""

    parts: dict[str, float]
    operators: dict[str, float]

    def as_text(self) -> str:
        """Two short tables."""
        rows = [("part", self.parts), ("operator", self.operators)]
        return "\n\n".join(
            "\n".join([f"{title:<44} share", *(f"{name:<44} {share:6.1%}" for name, share in shares.items())])
            for title, shares in rows
        )


def profile_step(case: Case, perceptual: dict[str, Any], *, operators: int = 12) -> Shares:
    """Shares of the third of three steps of a case; backward passes count to what they are of.

    Args:
        operators: how many are told of, the others are added up.
    """
    bench = bench_of(case, perceptual)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.device(case.device).type != "cpu" else [])
    with _named(bench):
        step = our_step(case, bench)
        step(), step()
        with profile(activities=activities) as profiler:
            step()
    on_gpu = len(activities) > 1
    return shares_of(list(profiler.events() or []), operators=operators, on_gpu=on_gpu)


def shares_of(events: Sequence[Any], *, operators: int = 12, on_gpu: bool = False) -> Shares:
    """Shares of a profiler's events, each by its own time without that of the events inside it."""
    origins = {
        event.sequence_nr: part
        for event in events
        if event.sequence_nr >= 0 and not event.name.startswith(_BACKWARD) and (part := _part_around(event))
    }
    parts = dict.fromkeys((*GROUPS, REST), 0.0)
    by_operator: dict[str, float] = {}
    for event in events:
        own = float(event.self_device_time_total if on_gpu else event.self_cpu_time_total)
        parts[_part_around(event) or _origin(event, origins) or REST] += own
        if event.name not in GROUPS:
            by_operator[event.name] = by_operator.get(event.name, 0.0) + own
    ranked = sorted(by_operator.items(), key=lambda item: -item[1])
    others = {"others": sum(own for _, own in ranked[operators:])} if len(ranked) > operators else {}
    return Shares(_as_shares(parts), _as_shares({**dict(ranked[:operators]), **others}))


def _as_shares(times: dict[str, float]) -> dict[str, float]:
    total = sum(times.values()) or 1.0
    return {name: time / total for name, time in sorted(times.items(), key=lambda item: -item[1])}


def _part_around(event: Any) -> str | None:
    """The part in whose range an event lies."""
    while event is not None:
        if event.name in GROUPS:
            return event.name
        if event.name.startswith(_OPTIMISER):
            return "optimiser"
        event = event.cpu_parent
    return None


def _origin(event: Any, origins: dict[int, str]) -> str | None:
    """The part whose backward pass an event belongs to."""
    while event is not None:
        if event.name.startswith(_BACKWARD):
            return origins.get(event.sequence_nr)
        event = event.cpu_parent
    return None


@contextmanager
def _named(bench: Bench) -> Iterator[None]:
    """Ranges around the parts of a step, as long as the context lasts."""
    wrapped = [
        (bench.generator, "synthesis_windows", "generator"),
        (bench.generator, "styles", "generator"),
        (bench.perceptual, "features", "perceptual"),
        (bench.perceptual, "distance", "perceptual"),
        (drawing, "blend_windows", "compositing"),
        (drawing, "keep_static", "compositing"),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in wrapped]
    for owner, name, part in wrapped:
        setattr(owner, name, _in_range(getattr(owner, name), part))
    try:
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def _in_range(function: Callable[..., Any], part: str) -> Callable[..., Any]:
    def inside(*args: Any, **kwargs: Any) -> Any:
        with record_function(part):
            return function(*args, **kwargs)

    return inside
