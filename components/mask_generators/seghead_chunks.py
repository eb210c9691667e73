"""Which classes of a segmentation head make which chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from chunkygan.errors import ProjectionError, RecipeError
from chunkygan.wording import did_you_mean, known

Small = Literal["merge", "drop", "keep"]


@dataclass(frozen=True)
class Chunks:
    """Chunks as sums of classes.

    Args:
        members: chunk -> indices of its classes; classes that no chunk has are told nowhere (dropped).
    """

    members: dict[str, tuple[int, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    @property
    def classes(self) -> list[int]:
        """Indices of the classes that are in use."""
        return [index for own in self.members.values() for index in own]

    def masks(self, logits: Tensor, temperature: float) -> Tensor:
        """(n, n_chunks, h, w) masks that sum to 1, of logits (n, n_classes, h, w).

        The softmax is taken over the classes in use, so that a dropped one's pixels go to the next likeliest.
        """
        shares = (logits[:, self.classes] / temperature).softmax(1)
        sizes = [len(own) for own in self.members.values()]
        return torch.stack([own.sum(1) for own in shares.split(sizes, 1)], 1)


def chunks_of(classes: Sequence[str], groups: Mapping[str, Sequence[str]] | None, rest: str) -> Chunks:
    """The chunks that a recipe names; classes that it does not name make the chunk `rest`.

    Args:
        groups: chunk -> names of classes; None: every class is a chunk.

    Raises:
        RecipeError: a class that there is not, one in two chunks, an empty chunk, or a chunk called as the rest.
    """
    groups = {name: [name] for name in classes} if groups is None else groups
    named = [name for own in groups.values() for name in own]
    problems = [
        f"mask_generator.chunks: no class '{name}'; {known(classes)}{did_you_mean(name, classes)}"
        for name in named
        if name not in classes
    ]
    if problems:
        problems.append("mask_generator.chunks=null makes every class of the head a chunk")
    twice = sorted({name for name in named if named.count(name) > 1})
    problems += [f"mask_generator.chunks: class '{name}' is in two chunks" for name in twice]
    problems += [f"mask_generator.chunks.{chunk}: has no class" for chunk, own in groups.items() if not own]
    left = [name for name in classes if name not in named]
    if left and rest in groups:
        problems.append(f"mask_generator.rest: '{rest}' is a chunk's name; choose another for {', '.join(left)}")
    if problems:
        raise RecipeError(problems)
    order = list(classes)
    members = {chunk: tuple(order.index(name) for name in own) for chunk, own in groups.items()}
    return Chunks({**members, **({rest: tuple(order.index(name) for name in left)} if left else {})})


def without_small(chunks: Chunks, areas: Sequence[float], *, least: float, small: Small, rest: str) -> Chunks:
    """The chunks, those below an area merged into the rest (made where there is none), dropped, or kept.

    The largest chunk stays in any case.

    Args:
        areas: share of the picture of each chunk.
        least: the smallest share that stays.
    """
    largest = chunks.names[max(range(len(areas)), key=areas.__getitem__)]
    gone = [name for name, area in zip(chunks.names, areas) if area < least and name not in (largest, rest)]
    return chunks if small == "keep" or not gone else _without(chunks, gone, small, rest)


def of_names(chunks: Chunks, names: Sequence[str], *, small: Small, rest: str) -> Chunks:
    """The chunks that are left as `names`, the others merged into the rest or dropped as `without_small` does.

    Raises:
        ProjectionError: there are no such chunks.
    """
    left = _without(chunks, [name for name in chunks.names if name not in names], small, rest)
    if left.names != tuple(names):
        raise ProjectionError(f"the head's classes make the chunks {', '.join(left.names)}, not {', '.join(names)}")
    return left


def _without(chunks: Chunks, gone: Sequence[str], small: Small, rest: str) -> Chunks:
    members = {name: own for name, own in chunks.members.items() if name not in gone}
    if small == "merge" and gone:
        members[rest] = members.get(rest, ()) + tuple(i for name in gone for i in chunks.members[name])
    return Chunks(members)
