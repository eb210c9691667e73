"""What `chunkygan edit` does for coherence: refines torn chunks, and says how far chunks disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chunkygan.errors import ProjectionError

if TYPE_CHECKING:
    from chunkygan.editing.edit_words import EditWords
    from chunkygan.projection import Projection


def cohered(projection: Projection, words: EditWords) -> Projection:
    """The projection with an edit more, which lets chunks agree again; how far it came is told.

    Raises:
        ProjectionError: as `chunkygan.editing.cohering.cohere`, or the recipe names no perceptual network.
    """
    from dataclasses import replace

    from chunkygan.build import create
    from chunkygan.cli.progress import Progress
    from chunkygan.editing.cohering import COHERING, cohere

    spec = projection.recipe.get("perceptual")
    if not spec:
        raise ProjectionError("--cohere needs the perceptual network of the projection's recipe; it names none")
    with Progress("cohere") as shown:
        done = cohere(
            projection, perceptual=create("perceptual", spec), chunk=words.chunks or None,
            settings=replace(COHERING, steps=words.refine), listeners=[shown],
        )  # fmt: skip
    names = ", ".join(projection.segments.names[i] for i in done.edits[-1].chunks)
    before, after = projection.mean_disagreement(), done.mean_disagreement()
    told = "" if before is None or after is None else f"; disagreement {before:.5f} -> {after:.5f}"
    print(f"chunks refined: {names}{told}")
    return done


def measured(projection: Projection) -> dict[str, float]:
    """How far the chunks disagree where their masks overlap, for ``edit.json``; nothing where they do not overlap."""
    value = projection.mean_disagreement()
    return {} if value is None else {"disagreement": round(value, 6)}
