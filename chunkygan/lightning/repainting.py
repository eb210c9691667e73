"""One direction of W+ as a LightningModule: a picture's labels become those that were painted, the rest stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.compositing import keep_static
from chunkygan.drawing import composite, cover_of_segments
from chunkygan.errors import ProjectionError
from chunkygan.head_labels import blended_logits_at
from chunkygan.interfaces import Identity, Perceptual, SegHead
from chunkygan.lightning.offset_search import OffsetSearch
from chunkygan.lightning.views import View, reduced, view_of
from chunkygan.objective import l2, objective
from chunkygan.projection import Projection
from chunkygan.types import Noise, Segments, Styles


@dataclass(frozen=True)
class RepaintSettings:
    """Numbers of a repainting.

    Attributes:
        steps: optimiser steps.
        lr: step size of the direction, in standard deviations of W.
        labels: weight of the cross-entropy in the region.
        perceptual, l2: weights of the distances to the picture before, outside of the region.
        identity: weight of the identity's distance to the picture before, where there is a network for it.
        change: weight of the direction's length, its mean square in standard deviations of W.
        rampdown: share of the steps in which the step size falls.
        label_size: longer side to which labels are reduced while they are compared, where they are larger.
        perceptual_size: likewise of pictures before the perceptual distance.
    """

    steps: int = 60
    lr: float = 0.05
    labels: float = 1.0
    perceptual: float = 30.0
    l2: float = 20.0
    identity: float = 0.5
    change: float = 0.1
    rampdown: float = 0.25
    label_size: int = 256
    perceptual_size: int | None = 256

    def holding(self, factor: float) -> RepaintSettings:
        """The same, with so many times the weight on the rest of the picture.

        Raises:
            ProjectionError: a factor below 0, or no number.
        """
        if not 0 <= factor < float("inf"):
            raise ProjectionError(f"the rest can be held with a weight of 0 or more; got {factor}")
        held = {name: factor * getattr(self, name) for name in ("perceptual", "l2", "identity")}
        return replace(self, **held)

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the objective's terms by name."""
        names = ("labels", "perceptual", "l2", "identity", "change")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RepaintProblem:
    """What is repainted, and by whose eyes. The networks are held, and moved to the device.

    Args:
        projection: the picture as it is, its edits included.
        chunks: indices of the chunks that the direction moves, all of them alike.
        labels: (h, w) int64, what the head should see in the region.
        region: (h, w) bool.
        start: (num_ws, w_dim), the direction to begin with.
        identity: None: not compared.
    """

    projection: Projection
    chunks: tuple[int, ...]
    labels: Tensor
    region: Tensor
    start: Tensor
    head: SegHead
    perceptual: Perceptual
    identity: Identity | None = None


class Repainting(OffsetSearch):
    """A direction in training. The best of all steps counts, not the last one.

    Source: the objective is that of EditGAN (Ling et al. 2021), with a weight on the direction's own length.
    """

    def __init__(self, problem: RepaintProblem, settings: RepaintSettings, scale: Tensor) -> None:
        super().__init__()
        self._held = [problem]  # in a list, so that Lightning does not take the networks for its own
        self.settings = settings
        self.offset = nn.Parameter(torch.zeros_like(problem.start))
        self.register_buffer("start", problem.start.detach().clone())
        self.register_buffer("scale", scale.detach().clone())
        self.history: list[dict[str, Tensor]] = []
        self.best: tuple[float, Tensor] = (float("inf"), self.offset.detach().clone())
        self._size = None if max(problem.labels.shape) <= settings.label_size else settings.label_size
        self._prepared = False

    @property
    def problem(self) -> RepaintProblem:
        """What is repainted."""
        return self._held[0]

    def direction(self) -> Tensor:
        """(num_ws, w_dim), as it is in this step."""
        return self.get_buffer("start") + self.get_buffer("scale") * self.offset

    @torch.no_grad()
    def result(self) -> Tensor:
        """(num_ws, w_dim): the best direction, after a last look at where the steps have led, on the CPU."""
        self._look(objective(self.terms(), self.settings.weights))
        return (self.get_buffer("start") + self.get_buffer("scale") * self.best[1]).cpu()

    def composite(self) -> Tensor:
        """(1, 3, h, w): the picture with the direction as it is in this step."""
        return self._picture(self._styles())

    def segments(self) -> Segments:
        """The chunks; they rest."""
        return self.problem.projection.segments

    def terms(self) -> dict[str, Tensor]:
        """The objective's terms, unweighted; distances are blind in the region."""
        self._prepare()
        p, styles = self.problem, self._styles()
        image = self._picture(styles)
        outside = torch.lerp(image, self._view.target, self._region)
        found = {"labels": self._cross_entropy(styles), "l2": l2(outside, self._view.target).sum()}
        found["perceptual"] = self._view.distance(outside, p.perceptual).sum()
        if p.identity is not None and self._embedded is not None and self.settings.identity:
            found["identity"] = (1 - (p.identity.embed(image) * self._embedded).sum(1)).sum()
        found["change"] = (self.direction() / self.get_buffer("scale")).square().mean()
        return found

    @torch.no_grad()
    def _prepare(self) -> None:
        """What no step changes, on the device: the other chunks' part of the picture and of its labels."""
        if self._prepared:
            return
        p, device = self.problem.projection, self.device
        for network in (p.generator, p.drawer, self.problem.head, self.problem.perceptual, self.problem.identity):
            if network is not None:
                network.to(device)
        self._noise: Noise = "const" if p.noise is None else [value.to(device) for value in p.noise]
        self._codes = [code.to(device) for code in p.edited_codes()]
        edited = p.edited_styles()
        self._extra = self._added(edited)
        self._masks, self._label_masks = p.masks.to(device), reduced(p.masks, self._size).to(device)
        self._static = None if p.segments.static is None else p.segments.static.to(device)
        moved, others = list(self.problem.chunks), [i for i in range(len(p.masks)) if i not in self.problem.chunks]
        self._own = Segments(self._masks[moved], tuple(p.segments.names[i] for i in moved), None)
        cut = Segments(self._masks[moved], self._own.names, self._static)
        self._cover = cover_of_segments(p.drawer, cut)  # nothing is drawn where the photo stays
        region = self.problem.region[None, None].float()
        self._region = region.to(device)
        shape = self._label_masks.shape[1:]
        self._where = F.interpolate(region, shape, mode="nearest-exact")[0, 0].to(device) > 0
        labels = self.problem.labels[None, None].double()
        self._labels = F.interpolate(labels, shape, mode="nearest-exact")[0, 0].long().to(device)[self._where]
        self._rest, self._rest_logits = self._of_others(others, edited)
        before = p.render().to(device)
        self._view: View = view_of(before, self.problem.perceptual, None, self.settings.perceptual_size)
        self._embedded = None if self.problem.identity is None else self.problem.identity.embed(before)
        self._prepared = True

    def _of_others(self, others: Sequence[int], edited: Sequence[Styles]) -> tuple[Tensor, Tensor]:
        """The picture, (1, 3, h, w), and the region's logits, (n_classes, p), of the chunks that are not moved."""
        p, drawer, head = self.problem.projection, self.problem.projection.drawer, self.problem.head
        if not others:
            zero = self._masks.new_zeros(())
            return zero, zero
        styles = [edited[i] for i in others]
        own = Segments(self._masks[others], tuple(p.segments.names[i] for i in others), None)
        picture = composite(drawer, styles, own, p.target.to(self.device), noise=self._noise)
        masks = self._label_masks[others]
        return picture, blended_logits_at(drawer, styles, masks, head, self._where, noise=self._noise)

    def _added(self, edited: Sequence[Styles]) -> list[Styles]:
        """What edits add to the chunks' styles beyond their codes, where spaces cannot hold it; 0 elsewhere."""
        spaces = self.problem.projection.spaces
        plain = [space.to_styles(code[None]) for space, code in zip(spaces, self._codes)]
        return [[a - b for a, b in zip(with_edits, own)] for with_edits, own in zip(edited, plain)]

    def _styles(self) -> list[Styles]:
        """One a moved chunk: exactly what an edit of this direction at strength 1 makes of it."""
        self._prepare()
        spaces, made = self.problem.projection.spaces, []
        for i in self.problem.chunks:
            code = spaces[i].move(self._codes[i], spaces[i].direction(self.direction()), 1.0)
            made.append([style + more for style, more in zip(spaces[i].to_styles(code[None]), self._extra[i])])
        return made

    def _picture(self, styles: Sequence[Styles]) -> Tensor:
        p = self.problem.projection
        target = p.target.to(self.device)
        drawn = composite(p.drawer, styles, self._own, target, noise=self._noise, cover=self._cover)
        return keep_static(self._rest + drawn, target, self._static)

    def _cross_entropy(self, styles: Sequence[Styles]) -> Tensor:
        masks = self._label_masks[list(self.problem.chunks)]
        drawer, head = self.problem.projection.drawer, self.problem.head
        drawn = blended_logits_at(drawer, styles, masks, head, self._where, noise=self._noise)
        return F.cross_entropy((self._rest_logits + drawn).T, self._labels)
