"""The plan of a generator's training: which size, which items and which learning rate at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """Steps at one picture size, in pixels a side, with so many pictures a step."""

    size: int
    steps: int
    batch: int


def stages_of(sizes: list[int], steps: list[int], batches: list[int]) -> list[Stage]:
    """One stage for each size, in order.

    Raises:
        ValueError: the lists differ in length.
    """
    if not len(sizes) == len(steps) == len(batches):
        raise ValueError(f"sizes, steps and batches need as many numbers each; got {sizes}, {steps}, {batches}")
    return [Stage(*stage) for stage in zip(sizes, steps, batches)]


def stage_at(stages: list[Stage], step: int) -> Stage:
    """The stage a step belongs to; the last one goes on."""
    for stage in stages:
        if step < stage.steps:
            return stage
        step -= stage.steps
    return stages[-1]


def rate_at(step: int, total: int, *, warm_up: int, decay: float) -> float:
    """Factor of the learning rate: a linear rise over `warm_up` steps, 1, and a cosine fall to 0.01 over the last part.

    Args:
        decay: the share of all steps over which it falls, in (0, 1].
    """
    start = total * (1 - decay)
    fall = min(max((step - start) / max(total - start, 1), 0.0), 1.0)
    return min(1.0, (step + 1) / max(warm_up, 1)) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))


def items_at(step: int, batch: int, available: int, seed: int) -> Tensor:
    """Which items (batch,) a step sees: a function of seed and step alone, so that a resumed run sees the same."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    return torch.randint(available, (batch,), generator=generator)


def available_at(step: int, count: int, *, first: int, growth: int) -> int:
    """How many items the training draws from: `first`, and `growth` more after every step, until all are there."""
    return min(count, first + growth * step)
