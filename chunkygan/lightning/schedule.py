"""Schedules of a fit as functions of the step; they fit the steps asked for and end where these end."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, *, rampup: float, rampdown: float) -> float:
    """Factor of the learning rate at a step: up linearly, then 1, then down along a cosine.

    Taken in the middle of the step, so it is above 0 at the first and at the last; after the last it stays there.

    Args:
        step: from 0.
        rampup, rampdown: shares of the steps.

    >>> [round(learning_rate(i, 4, rampup=0.5, rampdown=0.5), 2) for i in range(6)]
    [0.25, 0.75, 0.85, 0.15, 0.15, 0.15]

    Source: the shape is that of the projector in NVlabs/stylegan2-ada-pytorch.
    """
    t = (min(step, steps - 1) + 0.5) / steps
    up = min(1.0, t / rampup) if rampup else 1.0
    down = min(1.0, (1 - t) / rampdown) if rampdown else 1.0
    return up * (0.5 - 0.5 * math.cos(math.pi * down))


def fading(step: int, steps: int, *, until: float) -> float:
    """Factor that falls from 1 to 0 at the share `until` of the steps, quadratically."""
    return max(0.0, 1.0 - step / (steps * until)) ** 2 if until else 0.0
