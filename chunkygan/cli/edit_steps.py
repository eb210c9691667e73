"""What `chunkygan edit` does to a projection, step by step."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from chunkygan.errors import ProjectionError

if TYPE_CHECKING:
    from torch import Tensor

    from chunkygan.cli.edit_options import Asked
    from chunkygan.editing.edit_words import EditWords
    from chunkygan.interfaces import Blender
    from chunkygan.projection import Projection


def edited(projection: Projection, asked: Asked, args: argparse.Namespace, folder: Path) -> Projection:
    """The projection with all edits, refinements and repaintings, in order; sweeps and grids are left out.

    Args:
        folder: where a repainting leaves its vector.
    """
    from chunkygan.cli.edit_cohere import cohered
    from chunkygan.cli.edit_repaint import refined, repainted
    from chunkygan.editing.edit_words import direction_file

    for option, (words, *_) in asked:
        if option == "edit":
            projection = with_edit(projection, words, words.strengths[0], args)
            if words.refine:
                source = direction_file(words.name.partition("#")[0], args.directions)
                projection = refined(projection, words, args, source)
        elif option == "cohere":
            projection = cohered(projection, words)
        elif option == "repaint":
            projection = repainted(projection, words, args, folder)
    return projection


def with_edit(
    projection: Projection, words: EditWords, strength: float, args: argparse.Namespace, before: int | None = None
) -> Projection:
    """The projection with one more edit; warnings go to stderr.

    Args:
        before: how many of its edits count for what attributes the picture has now, where `--present` tells those that
            it had; None: all.
    """
    from chunkygan.editing.edit_words import find_direction
    from chunkygan.editing.flow_words import after_edits

    direction, rows, geometric = find_direction(
        words.name, projection.generator, args.directions, digest=projection.generator_sha256,
        present=Path(args.present) if args.present else None,
    )  # fmt: skip
    if isinstance(direction, dict):
        chunks = projection.chunk_indices(words.chunks or None)
        direction = after_edits(direction, projection.edits[:before], chunks)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        name = ", ".join(direction["changes"]) if isinstance(direction, dict) else Path(words.name).stem
        moves = geometric and not words.chunks and projection.masks_can_move if words.masks is None else words.masks
        edited = projection.edit(
            direction, strength, words.chunks or None, rows=words.rows or rows, name=name, masks=moves
        )  # fmt: skip
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    return edited


def swept(
    projection: Projection, asked: list[EditWords], args: argparse.Namespace, blender: Blender | None
) -> tuple[Tensor, int]:
    """(n, 3, h, w) pictures, row by row, and how many make a row."""
    import torch

    before = len(projection.edits)  # of a grid, neither edit is told of the other: its strength changes
    for words in asked:
        far = max(words.strengths, key=abs)
        projection = with_edit(projection, words, far, args, before)  # warned of once, then only changed
    frames = []
    count = len(projection.edits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = asked[1].strengths if len(asked) > 1 else (None,)
        for second in rows:
            lower = projection if second is None else projection.change_edit(count - 1, strength=second)
            for first in asked[0].strengths:
                moved = lower.change_edit(count - len(asked), strength=first)
                frames.append(picture_of(moved, blender))
    return torch.cat(frames), len(asked[0].strengths)


def filled(projection: Projection, mask: Path) -> Projection:
    """The projection with a hole filled; see `chunkygan.editing.hole_filling`."""
    from chunkygan.build import create
    from chunkygan.cli.progress import Progress
    from chunkygan.editing.hole_filling import fill_hole
    from chunkygan.images import read_image

    spec = projection.recipe.get("perceptual")
    if not spec:
        raise ProjectionError("--fill needs the perceptual network that the projection was made with; it names none")
    grey = read_image(mask, size=projection.generator.resolution)[0].mean(0) / 2 + 0.5
    inner = (grey > 0.75).float()
    outer = ((grey > 0.25) & (grey <= 0.75)).float()
    with Progress("fill") as shown:
        return fill_hole(projection, outer, inner, perceptual=create("perceptual", spec), listeners=[shown])


def picture_of(projection: Projection, blender: Blender | None) -> Tensor:
    """What it draws, put into the photo where there is a blender."""
    from chunkygan.photos.pasting import pasted

    return projection.render() if blender is None else pasted(projection, blender)
