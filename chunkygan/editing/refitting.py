"""Codes fitted on from where they are, with the masks that there are now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from chunkygan.build import create
from chunkygan.interfaces import Identity, Inverter, MaskGenerator, Perceptual
from chunkygan.metrics import measure
from chunkygan.projection import Projection
from chunkygan.types import Fit, Listener, Segments

INVERTER = {"name": "optimization", "lr": 0.05, "l2": 1.0, "latent_noise": 0.0, "betas": [0.8, 0.95]}
"""What fits on unless told otherwise: small steps without noise, for codes that are near already."""


class Resting(MaskGenerator):
    """Masks that stay as they are, those of chunks without a pixel included.

    Args:
        segments: the chunks.
    """

    def __init__(self, segments: Segments) -> None:
        super().__init__()
        self.names = segments.names
        self.register_buffer("masks", segments.masks)
        self.register_buffer("kept", segments.static)

    def forward(self) -> Tensor:
        return self.get_buffer("masks")[None]

    def static(self) -> Tensor | None:
        return None if self.kept is None else self.get_buffer("kept")[None]


def refit(
    projection: Projection,
    steps: int = 40,
    *,
    perceptual: Perceptual,
    identity: Identity | None = None,
    inverter: Mapping[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
    trainer: Mapping[str, Any] | None = None,
) -> Projection:
    """The projection with its codes fitted on to the picture; masks and weights of the generator rest.

    The codes without edits are fitted; the edits stay in the list and act on what comes out.

    Args:
        steps: of the inverter.
        perceptual, identity: as in the fit; its measures are taken anew.
        inverter: a spec in place of `INVERTER`.

    Raises:
        ChunkyGANError: what the inverter says.
    """
    device, p = projection.generator.w_avg.device, projection
    spec = {**(inverter or INVERTER), "steps": steps}
    made: Inverter = create(
        "inverter", spec, generator=p.drawer, seed=p.recipe.get("seed", 0), trainer=dict(trainer or {})
    )
    static = None if p.segments.static is None else p.segments.static.to(device)
    segments = Segments(p.segments.masks.to(device), p.segments.names, static)
    noise = None if p.noise is None else tuple(value.to(device) for value in p.noise)
    fit = made.project(
        p.target.to(device), generator=p.drawer, spaces=p.codes.spaces, mask_generator=Resting(segments),
        perceptual=perceptual, start=Fit(p.codes, segments, noise), seed=p.recipe.get("seed", 0), listeners=listeners,
    )  # fmt: skip
    fitted = replace(p, codes=fit.codes, noise=fit.noise)
    plain = replace(fitted, edits=())
    measures = measure(plain.render(), p.target, perceptual.cpu(), identity)
    return replace(fitted, metrics={**p.metrics, **measures, "steps": p.metrics.get("steps", 0) + fit.steps})
