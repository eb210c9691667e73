"""A latent direction: space, rows, unit length, and what strength 1 is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from chunkygan.errors import ShapeError, WeightsError


@dataclass(frozen=True)
class Direction:
    """A direction of a latent space.

    Args:
        name: of the file, or of the component in it.
        space: ``"w"``: the same for every row; ``"w_plus"``: rows of their own; ``"s"``: channels of S.
        vector: (w_dim,), (num_ws, w_dim) or (channels,), of unit length: for W+ the root mean square over the rows that
            are not 0.
        rows: first and last + 1 of the rows of W+ that it is meant for; None: all.
        native_strength: what the file's own vector is, in units of this one: its strength 1 elsewhere is this here.
        origin: where 0 lies along it, for directions whose strength is a place and not a way (GANSpace); else None.
        generator_sha256: of the weight file that it belongs to; None where its file does not say.
        geometric: whether it moves what is seen, as a turn of the head does, so that masks should go along.
    """

    name: str
    space: Literal["w", "w_plus", "s"]
    vector: Tensor
    rows: tuple[int, int] | None = None
    native_strength: float = 1.0
    origin: float | None = None
    generator_sha256: str | None = None
    geometric: bool = False

    def for_rows(self, num_ws: int) -> Tensor:
        """(num_ws, w_dim): the unit direction on the rows it is meant for, 0 on the others.

        Raises:
            ShapeError: a direction of S, or of another number of rows.
        """
        if self.space == "s":
            raise ShapeError(f"direction '{self.name}' is one of S and has no rows of W+")
        if self.space == "w_plus" and self.vector.shape[0] != num_ws:
            raise ShapeError(f"direction '{self.name}' has {self.vector.shape[0]} rows; the generator has {num_ws}")
        whole = self.vector.expand(num_ws, -1) if self.space == "w" else self.vector
        first, end = self.rows or (0, num_ws)
        row = torch.arange(num_ws, device=whole.device)[:, None]
        return torch.where((row >= first) & (row < end), whole, 0.0)

    def strength_to(self, ws: Tensor, place: float) -> Tensor:
        """(n,): how far codes (n, num_ws, w_dim) are from a place along it, in native units; told by their first row.

        Raises:
            ShapeError: a direction without an origin.
        """
        if self.origin is None:
            raise ShapeError(f"direction '{self.name}' has no origin: its strength is a way, not a place")
        return place * self.native_strength - (ws[:, 0] @ self.vector.to(ws) - self.origin)


GEOMETRIC = frozenset({"yaw", "pitch", "roll", "pose", "rotation", "rotate", "turn", "tilt"})
"""Words in the names of directions and attributes that move the whole of what is seen, where a file does not say."""


def sounds_geometric(name: str) -> bool:
    """Whether a name has one of the words in `GEOMETRIC`.

    >>> sounds_geometric("stylegan_ffhq_pose_w_boundary"), sounds_geometric("nose_tip")
    (True, False)
    """
    return not GEOMETRIC.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def unit_direction(name: str, vector: Tensor, rows: tuple[int, int] | None, path: object) -> Direction:
    """The direction of a vector (w_dim,) or (rows, w_dim), such as a file holds.

    Args:
        path: of the file, for messages.

    Raises:
        WeightsError: it is 0 or not finite.
    """
    if vector.ndim == 2 and (len(vector) == 1 or bool((vector == vector[:1]).all())):
        vector = vector[0]
    lengths = vector.reshape(-1, vector.shape[-1]).norm(dim=1)
    moving = lengths[lengths > 0]
    if not len(moving) or not bool(vector.isfinite().all()):
        raise WeightsError(f"{path}: '{name}' is no direction: it is 0, or holds numbers that are not finite")
    strength = float(moving.square().mean().sqrt())
    unit = (vector / strength).float()
    return Direction(name, "w" if vector.ndim == 1 else "w_plus", unit, rows, strength)
