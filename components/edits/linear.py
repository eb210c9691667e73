"""Codes moved along a direction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chunkygan.editing.moves import Move, channel_direction, check_move, moved_code
from chunkygan.interfaces import Edit, LatentSpace


class Linear(Edit):
    """A step along a direction of W, W+, S or the space's own, or along single channels of S.

    Args:
        direction: numbers of W, (w_dim,); of W+, (num_ws, w_dim); of S, (sum of style_dims,).
        rows: [first, last + 1] of the rows of W+ that are moved.
        channels: [layer, channel, amount] of S, in place of a direction; in S space only.

    Raises:
        ShapeError: a direction of another generator or space.
        ProjectionError: rows or channels that the generator has not.
    """

    def __init__(
        self,
        direction: Sequence[float] | Sequence[Sequence[float]] | Tensor | None = None,
        rows: tuple[int, int] | None = None,
        channels: Sequence[tuple[int, int, float]] = (),
    ) -> None:
        self.direction = None if direction is None else torch.as_tensor(direction, dtype=torch.float32)
        self.rows, self.channels = None if rows is None else (rows[0], rows[1]), tuple(channels)

    def move(self, space: LatentSpace, strength: float) -> Move:
        """The edit as a projection keeps it, of no chunks yet."""
        direction = self.direction
        if direction is None:
            direction = channel_direction(space.generator, self.channels)
        move = Move(direction, strength, (), self.rows)
        check_move(move, space)
        return move

    def apply(self, codes: Tensor, space: LatentSpace, strength: float) -> Tensor:
        return torch.stack([moved_code(self.move(space, strength), code, space) for code in codes])
