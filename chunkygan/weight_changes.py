"""What tuning changes in a generator, kept small: low-rank factors in half precision, and the generator from them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor

from chunkygan.errors import ShapeError
from chunkygan.interfaces import Generator
from chunkygan.types import WeightChanges


@torch.no_grad()
def pack(before: Mapping[str, Tensor], after: Mapping[str, Tensor], *, rank: int | None) -> WeightChanges:
    """The difference of two states, compact.

    A weight (out, in, ...) becomes two factors (out, r) and (r, in * ...), the nearest ones of that rank; vectors, and
    weights that this would not shrink, are kept whole. Numbers are float16.

    Args:
        before, after: states with the same names and shapes; what did not change is left out.
        rank: r at most; None: everything whole.
    """
    return Packing(before, after).at(rank)


class Packing:
    """A difference of two states, decomposed once, packed at any rank."""

    @torch.no_grad()
    def __init__(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        moved = {name: after[name].cpu().double() - value.cpu().double() for name, value in before.items()}
        self.differences = {name: value for name, value in moved.items() if bool(value.any())}
        self._factors = {
            name: torch.linalg.svd(value.flatten(1), full_matrices=False)
            for name, value in self.differences.items()
            if value.ndim > 1
        }

    @torch.no_grad()
    def at(self, rank: int | None) -> WeightChanges:
        """The changes at a rank."""
        parts: dict[str, Tensor] = {}
        for name, value in self.differences.items():
            parts |= self._packed(name, value, rank)
        changes = WeightChanges(parts, 0.0)
        kept = unpack(changes, {name: tuple(value.shape) for name, value in self.differences.items()})
        missed = sum(float((value - kept[name]).square().sum()) for name, value in self.differences.items())
        whole = sum(float(value.square().sum()) for value in self.differences.values())
        return WeightChanges(parts, (missed / whole) ** 0.5 if whole else 0.0)

    @property
    def largest_rank(self) -> int:
        """The rank at which nothing is lost."""
        return max((len(s) for _, s, _ in self._factors.values()), default=1)

    def _packed(self, name: str, value: Tensor, rank: int | None) -> dict[str, Tensor]:
        if name in self._factors and rank is not None:
            u, s, v = self._factors[name]
            if rank * (u.shape[0] + v.shape[1]) < value.numel():
                root = s[:rank].sqrt()
                return {f"{name}.left": (u[:, :rank] * root).half(), f"{name}.right": (root[:, None] * v[:rank]).half()}
        return {f"{name}.whole": value.half()}


def unpack(changes: WeightChanges, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Name -> difference, (the shape given), in double precision.

    Raises:
        ShapeError: parts that do not fit the shapes, or of names that are not there.
    """
    found: dict[str, Tensor] = {}
    for key, part in changes.parts.items():
        name, _, kind = key.rpartition(".")
        if name not in shapes or kind not in ("whole", "left", "right"):
            raise ShapeError(f"the weight changes are of another generator: it has no '{name}'")
        if kind == "right":
            continue
        value = part.double()
        if kind == "left":
            right = changes.parts.get(f"{name}.right")
            if part.ndim != 2 or right is None or right.ndim != 2 or right.shape[0] != part.shape[1]:
                raise ShapeError(f"the weight changes of '{name}' are damaged")
            value = value @ right.double()
        if value.numel() != torch.Size(shapes[name]).numel():
            raise ShapeError(f"the weight changes are of another generator: '{name}' has shape {shapes[name]}")
        found[name] = value.reshape(shapes[name])
    return found


_made: WeakKeyDictionary[WeightChanges, tuple[ref[Generator], Generator]] = WeakKeyDictionary()


@torch.no_grad()
def tuned(generator: Generator, changes: WeightChanges | None) -> Generator:
    """A frozen copy of the generator with changes made to its weights; the generator itself where there are none.

    The copy is made once for each `WeightChanges`, and follows the generator's device.

    Raises:
        ShapeError: the changes are of another generator.
    """
    if changes is None or not changes.parts:
        return generator
    source, made = _made.get(changes, (None, None))
    if made is None or source is None or source() is not generator:
        state = generator.public_state_dict()
        moved = unpack(changes, {name: tuple(value.shape) for name, value in state.items()})
        made = copy.deepcopy(generator)
        made.load_state_dict({n: (v + moved[n].to(v.device)).to(v) if n in moved else v for n, v in state.items()})
        made.requires_grad_(False).eval()
        _made[changes] = (ref(generator), made)
    return made.to(generator.w_avg.device)


def size_in_bytes(changes: WeightChanges | None) -> int:
    """What the changes take in memory and in a file."""
    return sum(part.numel() * part.element_size() for part in changes.parts.values()) if changes else 0
