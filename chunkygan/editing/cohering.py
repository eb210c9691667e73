"""Chunks that an edit has torn apart: their codes are refined until they agree again where they meet."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from chunkygan.build import create
from chunkygan.compositing import effective_masks
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.interfaces import Perceptual
from chunkygan.lightning import fitting
from chunkygan.lightning.cohering import CohereProblem, CohereSettings, Cohering
from chunkygan.masks import feather
from chunkygan.projection import Projection
from chunkygan.types import Listener

NAME = "coherence"
"""Of the edit that a refinement makes."""

MARGIN = 0.05
"""Width of the band in which neighbours should agree, as a share of the picture's longer side; our choice."""

COHERING = CohereSettings()


def cohere(
    projection: Projection,
    *,
    perceptual: Perceptual,
    chunk: str | Sequence[str] | None = None,
    margin: float | None = None,
    settings: CohereSettings = COHERING,
    listeners: Sequence[Listener] = (),
    trainer: Mapping[str, Any] | None = None,
) -> Projection:
    """The projection with one more edit, which lets chunks agree again in a band along the edited chunks' borders.

    Outside of the band every chunk stays as it is, and what they agree on stays near what their blend showed. Where all
    chunks were edited, or none, all borders count. The edit adds to each refined chunk's code a direction of W+ of its
    own; like any edit it can be weakened, disabled, or removed without a trace. It belongs to the edits before it:
    where these change, take it back and make it anew.

    Args:
        perceptual: what the picture is compared by.
        chunk: name of the chunk to refine, or several; None: the edited ones and those beside them.
        margin: width of the band in pixels; None: 5 % of the picture's longer side.
        settings: of the refinement.
        trainer: options of Lightning's Trainer.

    Raises:
        ProjectionError: fewer than two chunks, no such chunk, or one that has no border with another.
        ShapeError: a margin below 0.
    """
    if len(projection.segments.names) < 2:
        raise ProjectionError("there is one chunk only: nothing has to agree with it")
    wide = MARGIN * max(projection.target.shape[2:]) if margin is None else margin
    if not wide >= 0:
        raise ShapeError(f"margin must be 0 or more pixels; got {margin}")
    edited = tuple(sorted({i for edit in projection.edits if edit.acts for i in edit.chunks}))
    meets = _meetings(projection, wide)
    chunks = projection.chunk_indices(chunk) if chunk is not None else _chosen(edited, meets)
    alone = [projection.segments.names[i] for i in chunks if not bool(meets[i].any())]
    if alone or not chunks:
        raise ProjectionError(f"no chunk meets {alone[0] if alone else 'another'}: there is nothing to agree on")
    scale = create("latent_space", "w_plus", generator=projection.generator).scale()
    fit = Cohering(CohereProblem(projection, chunks, edited, wide, perceptual), settings, scale.cpu())
    fitting.run(fit, listeners=listeners, trainer=trainer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return projection.edit(fit.result(), 1.0, [projection.segments.names[i] for i in chunks], name=NAME)


def _meetings(projection: Projection, margin: float) -> Tensor:
    """(n_chunks, n_chunks) bool: which chunks share the band along a border, by more than a pixel in all."""
    soft = effective_masks(feather(projection.masks, margin), projection.segments.static).flatten(1)
    shared = soft @ soft.T
    return (shared > 1) & ~shared.new_ones(len(soft)).diag().bool()


def _chosen(edited: Sequence[int], meets: Tensor) -> tuple[int, ...]:
    """The edited chunks and those beside them; where none is edited, all; of these, the ones that meet another."""
    wanted = meets[:, list(edited)].any(1) if edited else meets.any(1)
    wanted[list(edited)] = True
    return tuple(i for i in range(len(meets)) if wanted[i] and bool(meets[i].any()))
