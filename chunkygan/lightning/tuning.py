"""Pivotal tuning as a LightningModule: a copy of the generator learns pictures around codes that stay."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from chunkygan.drawing import composite, cover_of_segments
from chunkygan.interfaces import Generator, Perceptual
from chunkygan.memory import Mode, fitting_mode
from chunkygan.objective import l2, objective
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Noise, Segments, Window
from chunkygan.windows import Cover

KEPT_BYTES = 2**30
"""Features of several targets are computed once where all of them take no more, and anew in every step otherwise."""


@dataclass(frozen=True)
class TuningSettings:
    """Numbers of a tuning.

    Attributes:
        steps: optimiser steps at most, those of all pictures counted.
        lr: step size of the weights.
        perceptual, l2, locality: weights of the objective's terms.
        locality_distance: how far from a chunk's code the generator is held, root mean square over its coordinates in
            standard deviations of the space.
        stop_at: the perceptual distance at which it ends.
        frugal: draw chunks once more in the backward pass instead of keeping their activations; None: where these
            would not fit in what memory is free.
    """

    steps: int
    lr: float
    perceptual: float
    l2: float
    locality: float
    locality_distance: float
    stop_at: float
    frugal: bool | None

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the objective's terms by name."""
        return {"perceptual": self.perceptual, "l2": self.l2, "locality": self.locality}


@dataclass(frozen=True)
class Pivot:
    """One picture that a tuning turns about: it moves none of it.

    Args:
        target: (1, 3, h, w) in [-1, 1].
        codes, segments, noise: of the fit that is tuned.
        seen: (h, w) in [0, 1], where the loss looks; None: everywhere.
    """

    target: Tensor
    codes: Codes
    segments: Segments
    noise: tuple[Tensor, ...] | None = None
    seen: Tensor | None = None


class Tuning(pl.LightningModule):
    """A copy of a generator in training; the generator itself is left as it is.

    Args:
        pivots: of one picture or of several, which take turns, one a step.
        begin: where the copy begins, the generator or a tuned one.
        generator: what the copy is held to away from the codes.
        seed: of the codes at which it is held.
    """

    def __init__(
        self,
        pivots: Sequence[Pivot],
        begin: Generator,
        generator: Generator,
        perceptual: Perceptual,
        settings: TuningSettings,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.generator = copy.deepcopy(begin).requires_grad_(True).eval()
        self._held: list[Any] = [generator, perceptual]  # in a list, so that Lightning does not take them for its own
        self.settings, self.seed, self.pivots = settings, seed, tuple(pivots)
        self.frugal = bool(settings.frugal)
        self.spaces = [latent_spaces(pivot.codes.spaces, self.generator) for pivot in self.pivots]
        self.history: list[dict[str, Tensor]] = []
        self._covers = [cover_of_segments(self.generator, pivot.segments) for pivot in self.pivots]
        self._target_features: list[list[Tensor]] = []

    @property
    def turn(self) -> int:
        """Index of the pivot of the next step."""
        return len(self.history) % len(self.pivots)

    def composite(self) -> Tensor:
        """(1, 3, h, w): what the next pivot's codes draw with the weights as they are."""
        p, spaces, cover = self.pivots[self.turn], self.spaces[self.turn], self._covers[self.turn]
        styles = [space.to_styles(code[None]) for space, code in zip(spaces, p.codes.values)]
        noise: Noise = "const" if p.noise is None else list(p.noise)
        return composite(
            self.generator, styles, p.segments, p.target, noise=noise, cover=cover, frugal=self.frugal
        )  # fmt: skip

    def segments(self) -> Segments:
        """The next pivot's chunks; they rest."""
        return self.pivots[self.turn].segments

    def terms(self) -> dict[str, Tensor]:
        """The objective's terms that have a weight, unweighted; the loss is blind where `Pivot.seen` is 0."""
        image, (generator, perceptual), pivot = self.composite(), self._held, self.pivots[self.turn]
        if pivot.seen is not None:
            image = torch.lerp(pivot.target, image, pivot.seen)
        found = {"perceptual": perceptual.distance(perceptual.features(image), self._wanted(perceptual)).sum()}
        if self.settings.l2:
            found["l2"] = l2(image, pivot.target).sum()
        if self.settings.locality:
            found["locality"] = self._locality(generator, perceptual)
        return found

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor | None:
        terms = self.terms()
        total = objective(terms, self.settings.weights)
        self.history.append({name: value.detach() for name, value in {**terms, "total": total}.items()})
        if self._reached():  # before the step, as the peers do
            self.trainer.should_stop = True
            return None
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.generator.parameters(), lr=self.settings.lr)

    def on_fit_start(self) -> None:
        self.pivots = tuple(_moved(pivot, self.device) for pivot in self.pivots)
        self._held = [part.to(self.device) for part in self._held]
        self._target_features = []
        if self.settings.frugal is None:
            self.frugal = self._mode() == "frugal"

    def on_train_start(self) -> None:
        self.generator.eval()  # the trainer has put it into training mode

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = [{name: float(value) for name, value in row.items()} for row in self.history]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = [{name: torch.tensor(value) for name, value in row.items()} for row in checkpoint["history"]]

    def _reached(self) -> bool:
        """Whether every picture was near enough when its turn came last."""
        stop_at, recent = self.settings.stop_at, self.history[: -len(self.pivots) - 1 : -1]
        if not stop_at or len(recent) < len(self.pivots):
            return False
        return all(float(row["perceptual"]) <= stop_at for row in recent)

    @torch.no_grad()
    def _wanted(self, perceptual: Perceptual) -> list[Tensor]:
        """Features of the next pivot's target; kept while all pictures' take little memory."""
        if self.turn < len(self._target_features):
            return self._target_features[self.turn]
        found = perceptual.features(self.pivots[self.turn].target)
        size = sum(value.nbytes for value in found) * len(self.pivots)
        if self.turn == len(self._target_features) and (size <= KEPT_BYTES or len(self.pivots) == 1):
            self._target_features.append(found)
        return found

    def _mode(self) -> Mode:
        """How chunks are drawn, told by the pivot that draws most; holding the copy elsewhere draws a picture more."""
        generator, perceptual = self._held
        cover = max(self._covers, key=lambda cover: sum(w.size[0] * w.size[1] for w in cover.windows))
        if self.settings.locality:
            whole = Window(0, 0, *generator.resolution)
            cover = Cover((*cover.windows, whole), (*cover.owners, max(cover.owners, default=0) + 1))
        return fitting_mode(generator, cover, self.device, perceptual=perceptual)

    def _locality(self, generator: Generator, perceptual: Perceptual) -> Tensor:
        """How much the copy draws otherwise than the generator near, but not at, one of the codes.

        The code lies on the way from a chunk's code to a random one, so that what is learnt stays at the chunk's.
        Source: Roich et al., Pivotal Tuning for Latent-based Editing of Real Images (2021), section 3.3.
        """
        step, pivot = len(self.history), self.pivots[self.turn]
        i = step // len(self.pivots) % len(pivot.codes.values)
        space, code = self.spaces[self.turn][i], pivot.codes.values[i]
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        with torch.no_grad():
            scale = space.scale()
            way = (space.sample(1, rng=rng, truncation=0.5)[0] - code) / scale
            away = code + scale * way * (self.settings.locality_distance / way.square().mean().sqrt().clamp_min(1e-8))
            (own,) = latent_spaces([pivot.codes.spaces[i]], generator)
            wanted = generator.synthesis(own.to_styles(away[None]), noise="none")
        found = self.generator.synthesis(space.to_styles(away[None]), noise="none")
        return (l2(found, wanted) + perceptual(found, wanted)).sum()


def _moved(pivot: Pivot, device: torch.device) -> Pivot:
    def there(value: Tensor | None) -> Any:
        return None if value is None else value.to(device)

    segments = Segments(there(pivot.segments.masks), pivot.segments.names, there(pivot.segments.static))
    codes = Codes(tuple(there(code) for code in pivot.codes.values), pivot.codes.spaces)
    noise = None if pivot.noise is None else tuple(there(value) for value in pivot.noise)
    return Pivot(there(pivot.target), codes, segments, noise, there(pivot.seen))


def seen_by(segments: Segments, chunks: Sequence[str] | None) -> Tensor | None:
    """(h, w): the area of these chunks; None for all."""
    if not chunks:
        return None
    return segments.masks[[segments.names.index(name) for name in chunks]].sum(0).clamp(0, 1)
