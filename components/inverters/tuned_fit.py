"""What inverters share that change a generator's weights around codes which stay: their start, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from chunkygan.components.inverters.start import converted_codes
from chunkygan.drawing import composite
from chunkygan.interfaces import Generator, MaskGenerator
from chunkygan.lightning.tuning import Pivot
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Fit, Segments, Spec, WeightChanges
from chunkygan.weight_changes import Packing, tuned


def drawn(pivot: Pivot, drawer: Generator) -> Tensor:
    """(1, 3, h, w): what the codes draw with a generator."""
    device = drawer.w_avg.device
    spaces = latent_spaces(pivot.codes.spaces, drawer)
    styles = [space.to_styles(code[None].to(device)) for space, code in zip(spaces, pivot.codes.values)]
    static = None if pivot.segments.static is None else pivot.segments.static.to(device)
    segments = Segments(pivot.segments.masks.to(device), pivot.segments.names, static)
    noise = "const" if pivot.noise is None else [value.to(device) for value in pivot.noise]
    return composite(drawer, styles, segments, pivot.target.to(device), noise=noise)  # type: ignore[arg-type]


@torch.no_grad()
def smallest_changes(
    generator: Generator, changed: Generator, loss: Callable[[Generator], float], *, rank: int | None, keep: float
) -> WeightChanges:
    """The difference of two generators' weights, at a rank, or at the smallest that keeps a share of the gain.

    Args:
        loss: of a picture that a generator draws; where the changed one has none to gain, nothing is left out.
        rank: None: find one.
        keep: share of what the changes gain.
    """
    packing = Packing(generator.public_state_dict(), changed.to(generator.w_avg.device).public_state_dict())
    if rank is not None:
        return packing.at(rank)
    worst, best = loss(generator), loss(changed)
    rank = 1
    while rank < packing.largest_rank:
        changes = packing.at(rank)
        if loss(tuned(generator, changes)) <= best + (1 - keep) * max(worst - best, 0.0):
            return changes
        rank *= 2
    return packing.at(None)


@torch.no_grad()
def in_spaces(fit: Fit, generator: Generator, specs: Sequence[Spec], mask_generator: MaskGenerator) -> Fit:
    """The fit with its codes in these spaces; of other chunks, with the mask generator's."""
    if fit.segments.names == mask_generator.names and [*map(dict, fit.codes.spaces)] == [*map(dict, specs)]:
        return fit
    codes = converted_codes(fit.codes, generator, latent_spaces(specs, generator), specs)
    segments = fit.segments
    if segments.names != mask_generator.names:
        static = mask_generator.static()
        segments = Segments(
            mask_generator()[0].cpu(), mask_generator.names, None if static is None else static[0].cpu()
        )
    return replace(fit, codes=Codes(tuple(code.cpu() for code in codes), tuple(specs)), segments=segments)


def beside(state: Path | None) -> Path | None:
    """Where the inverter before keeps its unfinished fit."""
    return None if state is None else state.with_name(f"{state.stem}.before{state.suffix}")
