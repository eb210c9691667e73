"""Edits by repainting the segmentation: the smallest change of code that draws the classes somebody has painted.

Source: Ling et al., EditGAN: High-Precision Semantic Image Editing (2021), sections 3.2 and 3.3.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.compositing import effective_masks
from chunkygan.editing.editing_vectors import EditingVector
from chunkygan.editing.moves import Move, w_plus_direction
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.head_labels import labels_of
from chunkygan.interfaces import Identity, Perceptual, SegHead
from chunkygan.lightning import fitting
from chunkygan.lightning.repainting import Repainting, RepaintProblem, RepaintSettings
from chunkygan.masks import dilated
from chunkygan.projection import Projection
from chunkygan.shapes import check_shape
from chunkygan.types import Listener

COVERS = 0.1
"""Share of the repainted pixels that a chunk must draw to be moved, unless chunks are named."""

MARGIN = 0.03
"""By how much of the picture's longer side the repainted pixels are widened to the region that may change."""

REFINING = RepaintSettings(steps=20, change=0.0)
"""Of a refinement: few steps from the vector as it is, whose length it does not hold back."""


@dataclass(frozen=True, eq=False)
class Repainted:
    """What a repainting made.

    Args:
        projection: with the vector as one more edit, of strength 1.
        vector: to be stored, and applied to other pictures.
        reached: share of the repainted pixels whose class is now the painted one.
        outside: mean squared difference to the picture before, outside of the region, [-1, 1] squared.
        history: losses, one dict a step.
    """

    projection: Projection
    vector: EditingVector
    reached: float
    outside: float
    history: tuple[dict[str, float], ...]


def repaint(
    projection: Projection,
    labels: Tensor,
    *,
    head: SegHead,
    perceptual: Perceptual,
    identity: Identity | None = None,
    chunk: str | Sequence[str] | None = None,
    name: str = "repainted",
    margin: int | None = None,
    settings: RepaintSettings | None = None,
    listeners: Sequence[Listener] = (),
    trainer: Mapping[str, Any] | None = None,
) -> Repainted:
    """The projection, edited so that a head sees the classes that were painted, while the rest of the picture stays.

    What is painted is compared with `chunkygan.head_labels.labels_of`; where they differ, widened by `margin`, is the
    region in which the picture may change. One direction of W+ moves all chunks concerned.

    Args:
        labels: (h, w) int64, the wanted class of every pixel; -1: as it is.
        head: segmentation head of the projection's generator.
        perceptual, identity: what the rest is compared by; without an identity network, identity is not.
        chunk: name of the chunk to move, or several; None: those that draw a tenth of the repainted pixels or more.
        name: of the vector.
        margin: pixels; None: 3 % of the picture's longer side.
        settings: None: those of `RepaintSettings`.
        trainer: options of Lightning's Trainer.

    Raises:
        ComponentError: the head is for another generator.
        ProjectionError: nothing is repainted, no such chunk, or the photo itself is kept where it is.
        ShapeError: labels of another size, or without a class.
    """
    before = labels_of(projection, head)
    wanted = _checked(labels, before, head)
    changed = wanted != before
    if not bool(changed.any()):
        raise ProjectionError("nothing is repainted: the labels are those that the head sees already")
    chunks = _chunks(projection, changed, chunk)
    region = dilated(changed, _margin(before, margin))
    start = torch.zeros(projection.generator.num_ws, projection.generator.w_dim)
    problem = RepaintProblem(projection, chunks, wanted, region, start, head, perceptual, identity)
    direction, history = _solved(problem, settings or RepaintSettings(), listeners, trainer)
    if not bool(direction.any()):
        raise ProjectionError(
            "what is painted would change the rest of the picture more than it is worth; paint less, or hold the rest "
            "less (--keep 0.3; RepaintSettings.holding)"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how far it goes: the loss has looked at the picture
        edited = projection.edit(direction, 1.0, [projection.segments.names[i] for i in chunks], name=name)
    seen, concerned = labels_of(edited, head), torch.cat([wanted[changed], before[changed]]).unique().tolist()
    vector = EditingVector(name, direction, region, tuple(head.classes[i] for i in concerned))
    reached = float((seen[changed] == wanted[changed]).float().mean())
    return Repainted(edited, vector, reached, difference_outside(edited, projection, region), history)


def refine(
    projection: Projection,
    index: int = -1,
    *,
    head: SegHead,
    perceptual: Perceptual,
    identity: Identity | None = None,
    classes: Sequence[str] | None = None,
    margin: int | None = None,
    settings: RepaintSettings = REFINING,
    listeners: Sequence[Listener] = (),
    trainer: Mapping[str, Any] | None = None,
) -> Projection:
    """The projection with one edit's direction fitted to this picture: its labels stay moved, the rest moves back.

    Nothing has to be painted: the labels that the edit has moved are what is wanted, and the rest is held to the
    picture without the edit. For a vector that was found on another picture, or any direction of W or W+.

    Args:
        index: of the edit in `Projection.edits`.
        classes: names; only labels that went from one of them to another are wanted, the others move back. None: all.
        head, perceptual, identity, margin, settings, listeners, trainer: as for `repaint`.

    Raises:
        ComponentError: the head is for another generator.
        ProjectionError: no such edit, one that does nothing or moves no label, or a direction of S.
        ShapeError: the head has no such class.
    """
    plain = projection.change_edit(index, enabled=False)
    move = projection.edits[index]
    if not isinstance(move, Move):
        raise ProjectionError(f"edit '{move.name}' has no direction that could be refined")
    if not move.acts:
        raise ProjectionError(f"{_called(move)} does nothing; there is nothing to refine")
    start = move.strength * w_plus_direction(move, projection.generator)
    before, after = labels_of(plain, head), labels_of(projection, head)
    moved = (before != after) & _of_classes(before, after, head, classes)
    if not bool(moved.any()):
        raise ProjectionError(f"{_called(move)} moves no label of {', '.join(classes or ['any class'])}; nothing to do")
    region = dilated(moved, _margin(before, margin))
    problem = RepaintProblem(
        plain, move.chunks, torch.where(moved, after, before), region, start, head, perceptual, identity
    )
    direction, _ = _solved(problem, settings, listeners, trainer)
    return projection.change_edit(index, direction=direction / move.strength, rows=None)


def difference_outside(edited: Projection, before: Projection, region: Tensor) -> float:
    """Mean squared difference of two projections' pictures outside of a region, (h, w) bool; 0 for no outside."""
    difference = (edited.render() - before.render()).square().mean((0, 1))[~region]
    return float(difference.mean()) if difference.numel() else 0.0


def _solved(
    problem: RepaintProblem, settings: RepaintSettings, listeners: Sequence[Listener], trainer: Mapping[str, Any] | None
) -> tuple[Tensor, tuple[dict[str, float], ...]]:
    problem.head.requires_grad_(False).eval()
    scale = create("latent_space", "w_plus", generator=problem.projection.generator).scale()
    fit = Repainting(problem, settings, scale.to(problem.start))
    fitting.run(fit, listeners=listeners, trainer=trainer)
    history = tuple({term: float(value) for term, value in row.items()} for row in fit.history)
    return fit.result(), history


def _checked(labels: Tensor, before: Tensor, head: SegHead) -> Tensor:
    """(h, w): the wanted labels, -1 filled in."""
    check_shape(labels, "h w", name="labels", h=before.shape[0], w=before.shape[1])
    labels = labels.detach().cpu().long()
    if int(labels.min()) < -1 or int(labels.max()) >= len(head.classes):
        raise ShapeError(
            f"labels must be 0 to {len(head.classes) - 1}, the head's classes, or -1 for what stays; "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
    return torch.where(labels < 0, before, labels)


def _chunks(projection: Projection, changed: Tensor, chunk: str | Sequence[str] | None) -> tuple[int, ...]:
    """Indices of the chunks to move, and a word where they draw little of what was repainted."""
    shares = effective_masks(projection.masks, projection.segments.static)[:, changed].mean(1)
    named = projection.chunk_indices(chunk) if chunk is not None else None
    chunks = named or tuple(i for i, share in enumerate(shares.tolist()) if share >= COVERS)
    drawn = float(shares[list(chunks)].sum())
    if drawn < COVERS:
        where = "the chunks named" if named else "any chunk"
        raise ProjectionError(f"next to nothing of what is repainted is drawn by {where}: {drawn:.0%} of its pixels")
    if drawn < 0.5:
        warnings.warn(f"only {drawn:.0%} of what is repainted is drawn by the chunks that move", stacklevel=3)
    return chunks


def _of_classes(before: Tensor, after: Tensor, head: SegHead, classes: Sequence[str] | None) -> Tensor:
    if classes is None:
        return torch.ones_like(before, dtype=torch.bool)
    unknown = [name for name in classes if name not in head.classes]
    if unknown:
        raise ShapeError(f"the head has no class '{unknown[0]}'; it has {', '.join(head.classes)}")
    wanted = torch.tensor([head.classes.index(name) for name in classes])
    return torch.isin(before, wanted) & torch.isin(after, wanted)


def _margin(labels: Tensor, margin: int | None) -> int:
    if margin is not None and margin < 0:
        raise ShapeError(f"margin must be 0 or more pixels; got {margin}")
    return max(1, round(MARGIN * max(labels.shape))) if margin is None else margin


def _called(move: Move) -> str:
    return f"edit '{move.name}'" if move.name else "the edit"
