"""Where an edit outgrows its chunk: the generator fills the hole in a way that continues both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.interfaces import Inverter, MaskGenerator, Perceptual
from chunkygan.masks import check_range, feather
from chunkygan.projection import Projection
from chunkygan.shapes import check_shape
from chunkygan.types import Codes, Fit, Listener, Segments

INVERTER = {"name": "optimization", "steps": 100, "lr": 0.05, "l2": 0.5, "latent_noise": 0.0}
"""What refines the code unless told otherwise: small steps, so that the free part keeps the edit it begins with."""


def fill_hole(
    projection: Projection,
    outer: Tensor,
    inner: Tensor,
    *,
    perceptual: Perceptual,
    inverter: Inverter | None = None,
    chunk: str | None = None,
    soft: float = 2.0,
    seed: int = 0,
    listeners: Sequence[Listener] = (),
) -> Projection:
    """The photo with an edited chunk's picture in the inner part of a correction mask, as a projection of its own.

    The chunk's edited code X_1 is refined into X_2: what it draws has to match the photo in the outer part, and is free
    in the inner one, where the loss sees what X_1 draws in place of the photo. The inner part is then taken from
    G(X_2); outside of both parts the photo stays, bit for bit.

    Args:
        projection: a fit of the photo inside a first, loose mask, with its edits.
        outer: (h, w) in [0, 1], where the code must match the photo.
        inner: (h, w) in [0, 1], the hole; where both are, it is the hole.
        perceptual, inverter: of the refinement; the inverter by default `INVERTER`.
        chunk: the edited chunk; None: the only one that edits move.
        soft: width in pixels over which the picture fades into the photo, inside the outer part.

    Returns:
        A projection of one chunk, ``fill``, with the photo as its static part and without edits.

    Raises:
        ProjectionError: no chunk, or several, would do.
        ShapeError: a part without any pixel, or of another size.

    Source: ChunkyGAN, section on editing, Figure 10.
    """
    outer, inner = _checked_parts(projection, outer, inner)
    i = _chunk(projection, chunk)
    fit = _edited_fit(projection, i)
    free = inner[None, None]
    goal = projection.target * (1 - free) + free * projection.drawn()[i : i + 1]
    area = (outer + inner).clamp(max=1)
    made = inverter or create("inverter", INVERTER, generator=projection.drawer, seed=seed, trainer={})
    refined = made.project(
        goal, generator=projection.drawer, spaces=fit.codes.spaces, mask_generator=_painted(area, goal),
        perceptual=perceptual, start=fit, seed=seed, listeners=listeners,
    )  # fmt: skip
    faded = feather(torch.stack([inner, 1 - inner]), soft)[0] * (area > 0)
    shown = torch.where(area > 0, torch.maximum(faded, inner), torch.zeros_like(inner))
    segments = Segments(torch.ones(1, *inner.shape), ("fill",), 1 - shown)
    return replace(
        projection, codes=refined.codes, segments=segments, edits=(), noise=refined.noise, mask_state={}, metrics={},
        fitted=None,
    )  # fmt: skip


def _checked_parts(projection: Projection, outer: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
    sizes = dict(zip("hw", projection.target.shape[2:]))
    for name, part in (("outer", outer), ("inner", inner)):
        check_shape(part, "h w", name=name, **sizes)
        check_range(part[None], names=[name])
        if not bool((part > 0).any()):
            raise ShapeError(f"the correction mask's {name} part has no pixel; paint it")
    inner = inner.detach().float().cpu()
    return torch.minimum(outer.detach().float().cpu(), 1 - inner), inner


def _chunk(projection: Projection, chunk: str | None) -> int:
    names = projection.segments.names
    if chunk is not None:
        return projection.chunk_indices(chunk)[0]
    moved = sorted({i for edit in projection.edits if edit.acts for i in edit.chunks})
    candidates = moved or list(range(len(names)))
    if len(candidates) != 1:
        listed = ", ".join(names[i] for i in candidates)
        raise ProjectionError(f"a hole is filled with one chunk's picture; name one of {listed}")
    return candidates[0]


@torch.no_grad()
def _edited_fit(projection: Projection, i: int) -> Fit:
    """The chunk alone, its edits in its code; in S where its own space cannot hold them."""
    space, styles = projection.spaces[i], projection.edited_styles()[i]
    code, spec = projection.edited_codes()[i], projection.codes.spaces[i]
    own = space.to_styles(code[None].to(styles[0]))
    if not all(torch.equal(a, b) for a, b in zip(own, styles)):
        spec, code = {"name": "s"}, torch.cat(styles, 1)[0].cpu()
    whole = Segments(torch.ones(1, *projection.target.shape[2:]), ("fill",))
    return Fit(Codes((code,), (spec,)), whole, noise=projection.noise)


def _painted(area: Tensor, image: Tensor) -> MaskGenerator:
    spec = {"name": "painted", "array": area[None], "rest": "static", "names": ["fill"]}
    return create("mask_generator", spec, size=tuple(area.shape), image=image)
