"""One attribute's direction in W: found, given the rows that serve it best, and a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chunkygan.direction_search.response import Responder
from chunkygan.editing.direction import Direction

REACH = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Strengths at which a slope is measured."""

ENOUGH = 0.8
"""Rows are left out only where the others keep at least this share of the whole direction's effect."""


@dataclass(frozen=True)
class Measured:
    """A direction whose strength 1 changes its attribute by one standard deviation, and what else that does.

    Args:
        index: its attribute's place in `slopes`.
        slopes: (k,): change of every attribute a unit of strength, in standard deviations of the domain.
        identity: 1 minus the cosine of the persons before and after strength 1; None where nothing tells them.
        length: what strength 1 is, in standard deviations of the codes along it.
    """

    direction: Direction
    index: int
    slopes: Tensor
    identity: float | None
    length: float

    @property
    def own(self) -> float:
        """The attribute's own share in all effects, 0 to 1: 1 changes nothing else that is measured."""
        return float(self.slopes[self.index].abs() / self.slopes.norm().clamp(min=1e-12))


def row_ranges(num_ws: int) -> list[tuple[int, int]]:
    """The ranges of rows that are tried: all, and halves, thirds and their unions, coarse to fine.

    >>> row_ranges(12)
    [(0, 12), (0, 4), (0, 6), (0, 8), (4, 8), (4, 12), (6, 12), (8, 12)]
    """
    third, half = max(1, num_ws // 3), max(1, num_ws // 2)
    tried = [
        (0, num_ws), (0, third), (0, half), (0, 2 * third), (third, 2 * third), (third, num_ws), (half, num_ws),
        (2 * third, num_ws),
    ]  # fmt: skip
    return list(dict.fromkeys(rows for rows in tried if rows[0] < rows[1]))


def best_rows(
    responder: Responder, ws: Tensor, vector: Tensor, wanted: int, ranges: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """The range of rows in which a direction changes its attribute with the least else.

    Args:
        ws: (n, num_ws, w_dim) codes it is tried on.
        vector: (w_dim,), of a length that shows.
    """
    found = {rows: responder.slopes(ws, on_rows(vector, rows, ws.shape[1]), (-1.0, 1.0)) for rows in ranges}
    whole = found[ranges[0]][wanted].abs()
    kept = [rows for rows in ranges if found[rows][wanted].abs() >= ENOUGH * whole]
    return max(kept, key=lambda rows: float(found[rows][wanted].abs() / found[rows].norm().clamp(min=1e-12)))


def on_rows(vector: Tensor, rows: tuple[int, int], num_ws: int) -> Tensor:
    """(num_ws, w_dim): a direction (w_dim,) on some rows, 0 on the others."""
    row = torch.arange(num_ws, device=vector.device)[:, None]
    return torch.where((row >= rows[0]) & (row < rows[1]), vector.expand(num_ws, -1), 0.0)


def measured(
    responder: Responder, ws: Tensor, name: str, vector: Tensor, rows: tuple[int, int], wanted: int, *, rounds: int = 3
) -> Measured:
    """A direction (w_dim,) with its unit: strength 1 is where the line through the responses has risen by 1.

    The response bends, so the unit is found anew from the last one a few times.
    """
    step = on_rows(vector, rows, ws.shape[1])
    for _ in range(rounds):
        slope = float(responder.slopes(ws, step, REACH)[wanted])
        step = step / (slope if abs(slope) > 0.05 else 0.05)
    unit = step[rows[0]]
    slopes = responder.slopes(ws, step, REACH)
    spread = float((ws[:, 0] @ (unit / unit.norm())).std())
    everything = rows == (0, ws.shape[1])
    direction = Direction(name, "w", (unit / unit.norm()).cpu(), None if everything else rows, float(unit.norm()))
    return Measured(direction, wanted, slopes, responder.identity_loss(ws, step), float(unit.norm()) / spread)
