"""How good a generator in training is: the Frechet distance to real pictures, beside that between real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.files import write_json
from chunkygan.frechet import frechet_metric, frechet_name, to_levels
from chunkygan.interfaces import Generator, Perceptual
from chunkygan.lightning.adversarial_reals import Reals

_AT_ONCE = 16


class Yardstick:
    """Measures generators against two sets of real pictures of equal size; processes share the work.

    Args:
        perceptual: whose features are compared.
        reals: where the real pictures come from: those that there are before the first step.
        size: pictures of each set; fewer where there are not twice as many.
    """

    def __init__(self, perceptual: Perceptual, reals: Reals, size: int, resolution: tuple[int, int]) -> None:
        self.name = frechet_name(perceptual)
        self.metric = frechet_metric(perceptual, resolution)
        self.reals, self.size = reals, size
        self._floor: float | None = None

    @torch.no_grad()
    def floor(self, *, rank: int = 0, world: int = 1) -> float:
        """The distance between the two sets of real pictures: what a perfect generator scores."""
        if self._floor is None:
            one, other = self.reals.two_sets(self.size)
            for indices, real in ((one, True), (other, False)):
                for some in indices[rank::world].split(_AT_ONCE):
                    self.metric.update(self.reals.pictures(some).to(self.metric.device), real=real)
            self._floor = self._compute()
        return self._floor

    @torch.no_grad()
    def distance(self, generator: Generator, *, rank: int = 0, world: int = 1) -> float:
        """The distance of as many drawn pictures, of fixed latents, from the first set."""
        self.floor(rank=rank, world=world)  # which takes in the first set
        count = len(self.reals.two_sets(self.size)[0])
        latents = torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(7))
        for z in latents[rank::world].split(_AT_ONCE):
            self.metric.update(to_levels(_drawn(generator, z.to(self.metric.device), self.reals.size)), real=False)
        return self._compute()

    def _compute(self) -> float:
        found = float(self.metric.compute())
        self.metric.reset()  # of drawn pictures only
        return found


def _drawn(generator: Generator, z: Tensor, size: int | None) -> Tensor:
    return generator.synthesis(generator.styles(generator.mapping(z)), size=size)


def keep_score(path: Path, score: dict[str, Any]) -> None:
    """Adds a line to a JSON list of scores, in place of those of as many or more pictures: a run before a kill."""
    scores = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    write_json(path, [*(old for old in scores if old["pictures"] < score["pictures"]), score])
