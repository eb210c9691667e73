"""The edits of an evaluation: each of the whole picture, and of the chunks that it is about."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from chunkygan.editing.edit_words import find_direction
from chunkygan.errors import ChunkyGANError, RecipeError
from chunkygan.interfaces import Classifier, Generator
from chunkygan.projection import Projection
from chunkygan.recipe import Recipe
from chunkygan.wording import did_you_mean, known


@dataclass(frozen=True)
class TriedEdit:
    """An edit that is tried on every fit.

    Args:
        edit: its name in the recipe.
        direction, rows: see `Projection.edit`; strength 1 is the direction's length.
        index: of the attribute that it is to change, among the classifier's.
        chunks: that it is about; empty: none in particular.
        local: only these chunks are moved; False: all, alike.
    """

    edit: str
    direction: Tensor | dict[str, Any]
    rows: tuple[int, int] | None
    index: int
    chunks: tuple[str, ...] = ()
    local: bool = False

    @property
    def name(self) -> str:
        """``smile``, or ``smile in mouth``."""
        return f"{self.edit} in {self.where}" if self.local else self.edit

    @property
    def where(self) -> str:
        return "+".join(self.chunks) if self.local else "everywhere"

    def of(self, projection: Projection, strength: float) -> Projection | None:
        """The projection with this edit; None where it has none of the chunks."""
        moved = [name for name in self.chunks if name in projection.segments.names] if self.local else None
        if moved == []:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a strength that leads far is a result here
            return projection.edit(self.direction, strength, moved, rows=self.rows, name=self.edit)


def edits_of(recipe: Recipe, generator: Generator, classifier: Classifier, digest: str | None) -> list[TriedEdit]:
    """What a recipe's `edits` ask for: each of the whole picture, and after it of its chunks, where it names any.

    Args:
        recipe: checked, for the job `evaluate_editability`.
        digest: sha256 of the generator's weight file.

    Raises:
        RecipeError: no edits, unknown directions or attributes: all problems at once.
    """
    found: list[TriedEdit] = []
    problems = [] if recipe.data["edits"] else ["edits: must name one or more"]
    for name, spec in recipe.data["edits"].items():
        attribute = spec.get("attribute") or name
        if attribute not in classifier.names:
            near = did_you_mean(attribute, classifier.names)
            problems.append(f"edits.{name}.attribute: no '{attribute}'; {known(classifier.names)}{near}")
            continue
        try:
            words = spec.get("direction") or name
            direction, rows = find_direction(words, generator, recipe.data["directions"], digest=digest)[:2]
        except ChunkyGANError as error:
            problems.append(f"edits.{name}.direction: {error}")
            continue
        index, chunks = list(classifier.names).index(attribute), tuple(spec.get("chunks") or ())
        kinds = (False, True) if chunks else (False,)
        found += [TriedEdit(name, direction, rows, index, chunks, local) for local in kinds]
    if problems:
        raise RecipeError(problems, recipe.source)
    return found


def of_row(edits: Sequence[TriedEdit], chunks: bool) -> list[TriedEdit]:
    """The edits that a row can be asked for: local ones only where it has chunks."""
    return [edit for edit in edits if chunks or not edit.local]
