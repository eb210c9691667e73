"""Edits by components, which may change codes in any way, in a projection's list beside the linear ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union
from weakref import WeakKeyDictionary

from torch import Tensor

from chunkygan import registry
from chunkygan.build import create
from chunkygan.editing.moves import Move, check_move, moved_code, style_offsets, warning_of
from chunkygan.errors import ProjectionError
from chunkygan.interfaces import Edit, Generator, LatentSpace
from chunkygan.signatures import signature
from chunkygan.types import Spec, Styles
from chunkygan.weights import find, sha256


@dataclass(frozen=True)
class ComponentEdit:
    """One edit by a component of the kind `edit`, made again from its spec wherever it acts.

    Args:
        spec: the component, ``{"name": ..., argument: value}``, values as JSON has them.
        strength: how far; 0 is the identity, bit for bit.
        chunks: indices of the chunks that it changes.
        name: what it is called.
        enabled: False: it stays in the list and does nothing.
        masks: as of `chunkygan.editing.moves.Move`.
    """

    spec: Spec
    strength: float
    chunks: tuple[int, ...]
    name: str = ""
    enabled: bool = True
    masks: bool = False

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return self.enabled and self.strength != 0

    @property
    def rows(self) -> tuple[int, int] | None:
        """The rows of W+ that its spec names."""
        rows = self.spec.get("rows")
        return None if rows is None else (rows[0], rows[1])

    def of_chunk(self, i: int) -> ComponentEdit:
        """What it is for one of its chunks: itself."""
        return self


AnyEdit = Union[Move, ComponentEdit]


def component_edit(
    spec: Mapping[str, Any], strength: float, chunks: tuple[int, ...], rows: tuple[int, int] | None, name: str
) -> ComponentEdit:
    """An edit by a component; its spec gets the sha256 of its weights where the component asks for one.

    Raises:
        ProjectionError: a spec that no file could hold.
        ComponentError, WeightsError: no such component, or no such weights.
    """
    own = dict(spec)
    if not isinstance(own.get("name"), str):
        raise ProjectionError(f"an edit's spec must name a component, {{'name': ...}}; got {own!r}")
    if rows is not None:
        own["rows"] = list(rows)
    if "weights" in own and "sha256" in signature(registry.find("edit", own["name"]).load()).parameters:
        own["weights"] = str(own["weights"])
        own.setdefault("sha256", sha256(find(own["weights"])))
    try:
        own = json.loads(json.dumps(own, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ProjectionError(f"an edit's spec must hold plain values, as JSON has them: {error}") from error
    return ComponentEdit(own, strength, chunks, name)


def check_edit(edit: AnyEdit, space: LatentSpace) -> None:
    """Raises where an edit fits no space of a chunk.

    Raises:
        ChunkyGANError: as `check_move`; of a component, what it says itself.
    """
    if isinstance(edit, Move):
        check_move(edit, space)
    else:
        _made(edit, space.generator).apply(space.mean()[None], space, 0.0)


def edited_code(edit: AnyEdit, code: Tensor, space: LatentSpace) -> Tensor:
    """The code edited; as it is where a linear edit has to be added to its styles instead."""
    if isinstance(edit, Move):
        return moved_code(edit, code, space)
    if not edit.acts:
        return code
    return _made(edit, space.generator).apply(code[None], space, edit.strength)[0].to(code)


def added_styles(edit: AnyEdit, space: LatentSpace) -> Styles | None:
    """What an edit adds to the styles, (1, c_k) a layer, where the space cannot hold it; None for nothing."""
    return style_offsets(edit, space) if isinstance(edit, Move) else None


def edited_styles(edits: Sequence[AnyEdit], code: Tensor, space: LatentSpace) -> Styles:
    """Styles, batch of 1, of a code after edits in their order, those that its space cannot hold included."""
    for edit in edits:
        code = edited_code(edit, code, space)
    styles = space.to_styles(code[None])
    for edit in edits:
        if (offsets := added_styles(edit, space)) is not None:
            styles = [style + offset for style, offset in zip(styles, offsets)]
    return styles


def warning_about(edit: AnyEdit, generator: Generator) -> str | None:
    """What to tell about a strength beyond the plausible range; None for nothing."""
    if isinstance(edit, Move):
        return warning_of(edit, generator)
    told = _made(edit, generator).warning(edit.strength) if edit.acts else None
    return None if told is None else f"edit{' ' + repr(edit.name) if edit.name else ''}: {told}"


_components: WeakKeyDictionary[Generator, dict[str, Edit]] = WeakKeyDictionary()


def _made(edit: ComponentEdit, generator: Generator) -> Edit:
    """The component, made once for a generator."""
    made, key = _components.setdefault(generator, {}), json.dumps(dict(edit.spec), sort_keys=True)
    if key not in made:
        made[key] = create("edit", edit.spec, generator=generator, device=generator.w_avg.device)
    return made[key]
