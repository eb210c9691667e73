"""Chunks refined until they agree along the borders of what was edited, while everything else stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chunkygan.coherence import disagreement_windows, overlap
from chunkygan.compositing import blend_windows, effective_masks, keep_static
from chunkygan.drawing import cover_of_segments
from chunkygan.interfaces import Perceptual
from chunkygan.lightning.offset_search import OffsetSearch
from chunkygan.lightning.views import View, view_of
from chunkygan.masks import feather
from chunkygan.objective import objective
from chunkygan.projection import Projection
from chunkygan.types import Noise, Segments, Styles


@dataclass(frozen=True)
class CohereSettings:
    """Numbers of a refinement for coherence.

    Attributes:
        steps: optimiser steps.
        lr: step size of the codes, in standard deviations of W.
        coherence: weight of the mean squared difference of two chunks in the band where they should agree.
        picture: weight of the mean squared change of the picture in the band: what chunks agree on should be near what
            their blend showed.
        hold: weight of the mean squared change of the refined chunks in their masks, outside of the band.
        perceptual: weight of the distance to the picture before.
        change: weight of the mean square of what is added to codes, in standard deviations of W.
        rampdown: share of the steps in which the step size falls.
        perceptual_size: longer side to which pictures are averaged down before the perceptual distance.
    """

    steps: int = 20
    lr: float = 0.05
    coherence: float = 1.0
    picture: float = 1.0
    hold: float = 1.0
    perceptual: float = 1.0
    change: float = 0.01
    rampdown: float = 0.25
    perceptual_size: int | None = 256

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the objective's terms by name."""
        return {name: getattr(self, name) for name in ("coherence", "picture", "hold", "perceptual", "change")}


@dataclass(frozen=True)
class CohereProblem:
    """What is refined.

    Args:
        projection: the picture with its edits.
        chunks: indices of the chunks whose codes may change.
        edited: indices of the chunks along whose borders neighbours should agree.
        margin: pixels over which they should; masks are softened over them to tell where.
    """

    projection: Projection
    chunks: tuple[int, ...]
    edited: tuple[int, ...]
    margin: float
    perceptual: Perceptual


def band(masks: Tensor, edited: Sequence[int]) -> Tensor:
    """(h, w) in [0, 1]: where chunks should agree; 1 where edited and other chunks share a pixel evenly.

    Args:
        masks: (n_chunks, h, w), summing to 1, as soft as the band is to be wide.
        edited: indices of chunks; where these are all of them or none, all borders count.
    """
    if 0 < len(edited) < len(masks):
        share = masks[list(edited)].sum(0).clamp(0, 1)
        return 4 * share * (1 - share)
    return 1 - (2 * masks - 1).clamp_min(0).sum(0)


class Cohering(OffsetSearch):
    """What is added to the refined chunks' codes, in training. The best of all steps counts, the start among them."""

    def __init__(self, problem: CohereProblem, settings: CohereSettings, scale: Tensor) -> None:
        super().__init__()
        self._held = [problem]  # in a list, so that Lightning does not take the networks for its own
        self.settings = settings
        drawer = problem.projection.drawer
        self.offset = nn.Parameter(torch.zeros(len(problem.chunks), drawer.num_ws, drawer.w_dim))
        self.register_buffer("scale", scale.detach().clone())
        self.history: list[dict[str, Tensor]] = []
        self.best: tuple[float, Tensor] = (float("inf"), self.offset.detach().clone())
        self._prepared = False

    @property
    def problem(self) -> CohereProblem:
        """What is refined."""
        return self._held[0]

    def directions(self) -> Tensor:
        """(n refined chunks, num_ws, w_dim): what is added to the codes, as it is in this step."""
        return self.get_buffer("scale") * self.offset

    @torch.no_grad()
    def result(self) -> Tensor:
        """The best `directions`, after a last look at where the steps have led, on the CPU."""
        self._look(objective(self.terms(), self.settings.weights))
        return (self.get_buffer("scale") * self.best[1]).cpu()

    def composite(self) -> Tensor:
        """(1, 3, h, w): the picture as it is in this step."""
        return self._picture(self._crops())

    def segments(self) -> Segments:
        """The chunks; they rest."""
        return self.problem.projection.edited_segments

    def terms(self) -> dict[str, Tensor]:
        """The objective's terms, unweighted."""
        self._prepare()
        crops = self._crops()
        windows, owners = self._cover.windows, self._cover.owners
        blended = blend_windows(crops, self._soft, windows, owners)
        apart = self._band * disagreement_windows(crops, self._soft, windows, blended, owners, static=self._static)
        picture = self._picture(crops)
        changed = self._band * (picture - self._view.target).square().mean((0, 1))
        return {
            "coherence": apart.sum() / self._shared,
            "picture": changed.sum() / self._band.sum().clamp_min(1e-3),
            "hold": self._change(crops),
            "perceptual": self._view.distance(picture, self.problem.perceptual).sum(),
            "change": self.offset.square().mean(),
        }

    @torch.no_grad()
    def _prepare(self) -> None:
        """What no step changes, on the device: what was drawn before, and where chunks should agree or stay."""
        if self._prepared:
            return
        p, device = self.problem.projection, self.device
        for network in (p.generator, p.drawer, self.problem.perceptual):
            network.to(device)
        self._noise: Noise = "const" if p.noise is None else [value.to(device) for value in p.noise]
        self._codes = [code.to(device) for code in p.edited_codes()]
        edited = p.edited_styles()
        plain = [space.to_styles(code[None]) for space, code in zip(p.spaces, self._codes)]
        self._extra = [[a - b for a, b in zip(*pair)] for pair in zip(edited, plain)]  # what codes cannot hold
        self._masks, self._target = p.masks.to(device), p.target.to(device)
        self._static = None if p.segments.static is None else p.segments.static.to(device)
        self._soft = feather(self._masks, self.problem.margin)
        drawn_at = Segments(torch.maximum(self._masks, self._soft), p.segments.names, self._static)
        self._cover = cover_of_segments(p.drawer, drawn_at)
        self._band = band(self._soft, self.problem.edited)
        self._kept = (1 - self._band) * effective_masks(self._soft, self._static)[list(self.problem.chunks)]
        self._shared = (self._band * overlap(self._soft, self._static)).sum().clamp_min(1e-3)
        batch = [torch.cat(layer) for layer in zip(*edited)]
        self._before = p.drawer.synthesis_windows(batch, self._cover.windows, self._cover.owners, noise=self._noise)
        self._view: View = view_of(
            self._picture(self._before), self.problem.perceptual, None, self.settings.perceptual_size
        )
        self._prepared = True

    def _styles(self) -> Styles:
        """Of the refined chunks, a batch: exactly what an edit with these directions makes of them."""
        spaces, made = self.problem.projection.spaces, []
        for i, direction in zip(self.problem.chunks, self.directions()):
            code = spaces[i].move(self._codes[i], spaces[i].direction(direction), 1.0)
            made.append([style + more for style, more in zip(spaces[i].to_styles(code[None]), self._extra[i])])
        return [torch.cat(layer) for layer in zip(*made)]

    def _crops(self) -> list[Tensor]:
        """One a window: of refined chunks as they are in this step, of the others as they were."""
        self._prepare()
        refined, found = self.problem.chunks, list(self._before)
        places = [k for k, owner in enumerate(self._cover.owners) if owner in refined]
        windows = [self._cover.windows[k] for k in places]
        owners = [refined.index(self._cover.owners[k]) for k in places]
        drawer = self.problem.projection.drawer
        for k, crop in zip(places, drawer.synthesis_windows(self._styles(), windows, owners, noise=self._noise)):
            found[k] = crop
        return found

    def _picture(self, crops: list[Tensor]) -> Tensor:
        blended = blend_windows(crops, self._masks, self._cover.windows, self._cover.owners)
        return keep_static(blended, self._target, self._static)

    def _change(self, crops: list[Tensor]) -> Tensor:
        """Mean squared change of the refined chunks in their masks, outside of the band."""
        total = self._masks.new_zeros(())
        for owner, window, now, before in zip(self._cover.owners, self._cover.windows, crops, self._before):
            if owner in self.problem.chunks:
                rows, columns = window.slices
                share = self._kept[self.problem.chunks.index(owner), rows, columns]
                total = total + (share * (now - before).square().mean((0, 1))).sum()
        return total / self._kept.sum().clamp_min(1e-3)
