"""Linear edits: a direction, how far, which chunks, which layers; and what that is in a chunk's space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.sampling import sample_ws
from chunkygan.types import Styles

PLAUSIBLE = 6.0
"""Standard deviations of a domain along a direction beyond which an edit is warned of; our choice."""

SAMPLES, SEED = 1024, 123


@dataclass(frozen=True)
class Move:
    """One linear edit: codes moved along a direction.

    Args:
        direction: of W, (w_dim,); of W+, (num_ws, w_dim); of S, (sum of style_dims,); or of the chunks' own space, its
            ``code_shape``. Or one of W+ for each of its chunks, (len(chunks), num_ws, w_dim).
        strength: how far; 0 is the identity, bit for bit.
        chunks: indices of the chunks it moves.
        rows: of a direction of W or W+, only rows ``rows[0]`` to ``rows[1] - 1`` of W+ are moved; None: all.
        name: what it is called.
        enabled: False: it stays in the list and does nothing.
        masks: masks that can move go along: the mask code takes the same edit.
    """

    direction: Tensor
    strength: float
    chunks: tuple[int, ...]
    rows: tuple[int, int] | None = None
    name: str = ""
    enabled: bool = True
    masks: bool = False

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return self.enabled and self.strength != 0

    def of_chunk(self, i: int) -> Move:
        """What it is for one of its chunks: itself, where all of them take the same direction.

        Raises:
            ProjectionError: not as many directions as chunks.
        """
        if self.direction.ndim != 3:
            return self
        if len(self.direction) != len(self.chunks):
            raise ProjectionError(f"an edit with {len(self.direction)} directions, one a chunk, moves that many chunks")
        return replace(self, direction=self.direction[self.chunks.index(i)], chunks=(i,))


def check_move(move: Move, space: LatentSpace) -> None:
    """Raises where a move fits no space of a chunk.

    Raises:
        ShapeError: a direction of another shape, such as another generator's.
        ProjectionError: rows that the generator has not, or rows of a direction that has none.
    """
    generator, shape = space.generator, tuple(move.direction.shape)
    if not torch.isfinite(move.direction).all():
        raise ShapeError("a direction must hold finite numbers")
    if not _is_of_w(shape, generator) and shape != _s_shape(generator) and shape != space.code_shape:
        raise ShapeError(
            f"direction must have shape ({generator.w_dim},), ({generator.num_ws}, {generator.w_dim}), "
            f"{_s_shape(generator)} or {space.code_shape}; got {shape}: one of another generator or space?"
        )
    if move.rows is None:
        return
    if not _is_of_w(shape, generator):
        raise ProjectionError(f"rows are of W+; a direction of shape {shape} has none")
    if not 0 <= move.rows[0] < move.rows[1] <= generator.num_ws:
        raise ProjectionError(f"rows must lie in 0 to {generator.num_ws}, the first below the second; got {move.rows}")


def moved_code(move: Move, code: Tensor, space: LatentSpace) -> Tensor:
    """The code moved, or as it is where the space has no such direction (then `style_offsets` has it)."""
    if not move.acts or not _is_in(move, space):
        return code
    return space.move(code, _direction_in(move, space), move.strength)


def style_offsets(move: Move, space: LatentSpace) -> Styles | None:
    """What a move adds to the styles, (1, c_k) a layer, where the space has no such direction; None where it has.

    That is so for S directions outside S, and for layer ranges in W. Styles are affine in W+, so both are exact.
    """
    generator = space.generator
    if not move.acts or _is_in(move, space):
        return None
    if tuple(move.direction.shape) == _s_shape(generator):
        offsets = move.direction.to(generator.w_avg)[None].split(list(generator.style_dims), dim=1)
    else:
        origin = generator.w_avg.expand(1, generator.num_ws, -1)
        moved = generator.styles(origin + _rows_of(move, generator))
        offsets = tuple(a - b for a, b in zip(moved, generator.styles(origin)))
    return [move.strength * offset for offset in offsets]


def channel_direction(generator: Generator, channels: Sequence[tuple[int, int, float]]) -> Tensor:
    """(sum of style_dims,), a direction of S from (layer, channel, amount); layers in forward order, toRGB included.

    Raises:
        ProjectionError: no such layer or channel.
    """
    direction = torch.zeros(sum(generator.style_dims))
    for layer, channel, amount in channels:
        if not 0 <= layer < len(generator.style_dims):
            raise ProjectionError(f"S has layers 0 to {len(generator.style_dims) - 1}; got {layer}")
        width = generator.style_dims[layer]
        if not 0 <= channel < width:
            raise ProjectionError(f"layer {layer} of S has channels 0 to {width - 1}; got {channel}")
        direction[sum(generator.style_dims[:layer]) + channel] = amount
    return direction


def w_plus_direction(move: Move, generator: Generator) -> Tensor:
    """(num_ws, w_dim): what a move of strength 1 adds to codes of W+, 0 in rows that are not moved; on the CPU.

    Raises:
        ProjectionError: a direction of S.
    """
    if not _is_of_w(tuple(move.direction.shape), generator):
        raise ProjectionError(f"a direction of shape {tuple(move.direction.shape)} is none of W or W+")
    return _rows_of(move, generator).cpu()


@torch.no_grad()
def standard_deviations(move: Move, generator: Generator) -> float:
    """How far a move goes, in standard deviations of the domain's codes along its direction; 0 where unknown."""
    shape = tuple(move.direction.shape)
    if _is_of_w(shape, generator):
        codes, direction = _samples(generator), _rows_of(move, generator)
    elif shape == _s_shape(generator):
        codes, direction = torch.cat(generator.styles(_samples(generator)), 1), move.direction.to(generator.w_avg)
    else:
        return 0.0
    length = direction.norm()
    spread = (codes.flatten(1) @ direction.flatten() / length.clamp_min(1e-12)).std()
    return abs(move.strength) * float(length / spread.clamp_min(1e-12))


def warning_of(move: Move, generator: Generator) -> str | None:
    """What to tell about a strength beyond the plausible range; None for nothing."""
    far = standard_deviations(move, generator) if move.acts else 0.0
    if far <= PLAUSIBLE:
        return None
    return (
        f"edit{' ' + repr(move.name) if move.name else ''}: strength {move.strength:g} goes {far:.1f} standard "
        f"deviations of the domain, beyond {PLAUSIBLE:g}; expect a picture that is none of its kind"
    )


_sampled: WeakKeyDictionary[Generator, Tensor] = WeakKeyDictionary()


def _samples(generator: Generator) -> Tensor:
    if generator not in _sampled:
        _sampled[generator] = sample_ws(generator, SAMPLES, seed=SEED)
    return _sampled[generator].to(generator.w_avg)


def _is_of_w(shape: tuple[int, ...], generator: Generator) -> bool:
    return shape in ((generator.w_dim,), (generator.num_ws, generator.w_dim))


def _s_shape(generator: Generator) -> tuple[int]:
    return (sum(generator.style_dims),)


def _is_in(move: Move, space: LatentSpace) -> bool:
    """Whether the chunk's code itself can take the move."""
    shape = tuple(move.direction.shape)
    if move.rows is not None:
        return space.code_shape != (space.generator.w_dim,)
    return shape == space.code_shape or _is_of_w(shape, space.generator)


def _direction_in(move: Move, space: LatentSpace) -> Tensor:
    generator = space.generator
    direction = move.direction.to(generator.w_avg)
    if move.rows is None and tuple(direction.shape) == space.code_shape:
        return direction.cpu()
    return space.direction(direction if move.rows is None else _rows_of(move, generator)).cpu()


def _rows_of(move: Move, generator: Generator) -> Tensor:
    """(num_ws, w_dim), 0 in rows that are not moved."""
    ws = move.direction.to(generator.w_avg).expand(generator.num_ws, -1)
    begin, end = move.rows or (0, generator.num_ws)
    rows = torch.arange(generator.num_ws, device=ws.device)
    return ws * ((rows >= begin) & (rows < end))[:, None]
