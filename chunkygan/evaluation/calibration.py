"""Strengths at which edits have the same measured effect, so that what else they do can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from chunkygan.direction_search.response import line_slopes
from chunkygan.errors import RecipeError


@dataclass(frozen=True)
class Calibration:
    """How far edits go.

    Args:
        effect: change of the own attribute, in standard deviations of the domain, that every edit shall have in every
            row, on average over the pictures; null: all edits have `strength`.
        strength: see `effect`.
        strengths: at which responses are read; the line through them tells the strength for an effect.
        most: no edit is stronger, whatever its effect.
        samples: of the domain, whose pictures tell the attributes' standard deviations.

    Raises:
        RecipeError: numbers that tell no line.

    Source: ChunkyGAN, Table 2.
    """

    effect: float | None = 1.0
    strength: float = 1.0
    strengths: Sequence[float] = (-2.0, -1.0, 0.0, 1.0, 2.0)
    most: float = 4.0
    samples: int = 512

    def __post_init__(self) -> None:
        problems = []
        if len(set(self.strengths)) < 2:
            problems.append(f"calibration.strengths: must be two different ones or more; got {list(self.strengths)}")
        if self.effect == 0 or not self.most > 0:
            problems.append("calibration: effect must not be 0, and most must be above 0")
        if self.samples < 2:
            problems.append(f"calibration.samples: must be 2 or more; got {self.samples}")
        if problems:
            raise RecipeError(problems)


@dataclass(frozen=True)
class Strength:
    """How far an edit goes in a row.

    Args:
        value: the strength; NaN where none has the effect.
        slope: change of the own attribute a unit of strength, in standard deviations; NaN where it was not read.
        limited: whether more would be needed for the effect.
    """

    value: float
    slope: float
    limited: bool = False


def strength_for(readings: Sequence[Mapping[float, float]], calibration: Calibration) -> Strength:
    """The strength at which an edit has the wanted effect on average, by a line through the mean responses.

    Args:
        readings: one a picture: strength -> the own attribute, in standard deviations.
    """
    known = [one for one in readings if all(math.isfinite(value) for value in one.values())]
    if not known:
        return Strength(math.nan, math.nan)
    reach = list(calibration.strengths)
    responses = torch.tensor([[one[strength] for strength in reach] for one in known]).double()
    slope = float(line_slopes(reach, responses.mean(0)[:, None]))
    if calibration.effect is None:
        return Strength(calibration.strength, slope)
    if not slope > 0:
        return Strength(math.nan, slope)
    wanted = calibration.effect / slope
    if abs(wanted) > calibration.most:
        return Strength(math.copysign(calibration.most, wanted), slope, limited=True)
    return Strength(wanted, slope)
