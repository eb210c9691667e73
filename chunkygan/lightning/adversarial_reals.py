"""The real pictures of adversarial training: which ones a step sees is a function of seed and step alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.lightning.generator_losses import shrink
from chunkygan.lightning.generator_schedule import available_at, items_at

_AT_ONCE = 256


class Reals:
    """Pictures of a data set, kept in a folder; those that are drawn are drawn as the training goes on.

    Args:
        dataset: with `cached(folder)`, whose result has `count`, `fill(until)` and `batch(indices)`.
        folder: of the kept pictures.
        seed: decides, with the step, which pictures a batch has.
        first, growth: pictures there are before the first step, and more after each.
        size: longer side in pixels that pictures are averaged down to; None: as they are.
    """

    def __init__(
        self, dataset: Any, folder: Path, seed: int, *, first: int, growth: int, size: int | None = None
    ) -> None:
        self.dataset, self.folder, self.seed, self.first, self.growth = dataset, folder, seed, first, growth
        self.size = size
        self._cache: Any = None
        self._filled = 0

    @property
    def cache(self) -> Any:
        """The kept pictures."""
        if self._cache is None:
            self._cache = self.dataset.cached(self.folder)
        return self._cache

    def begin(self, *, alone: bool = True, wait: Callable[[], None] | None = None) -> None:
        """Makes the kept pictures, and sees to it that those before the first step are there.

        Args:
            alone, wait: as in `fill`; one process makes the files that the others then open.
        """
        if alone:
            self.fill(self.first_count)
        if wait:
            wait()
        self.fill(self.first_count, alone=False)

    @property
    def first_count(self) -> int:
        """How many there are before the first step."""
        return min(self.first, int(self.cache.count))

    def fill(self, until: int, *, alone: bool = True, wait: Callable[[], None] | None = None) -> None:
        """Sees to it that the first `until` pictures are there.

        Args:
            alone: whether this process is the one that draws.
            wait: returns when all processes have come here.
        """
        until = min(-(-until // _AT_ONCE) * _AT_ONCE, int(self.cache.count))
        if until <= self._filled:  # known from the step alone, so all processes agree
            return
        if alone:
            self.cache.fill(until)
        if wait:
            wait()
        self._filled = until

    def batch(
        self, step: int, size: int, *, rank: int = 0, world: int = 1, wait: Callable[[], None] | None = None
    ) -> dict[str, Tensor]:
        """This process's share of a step's `size` pictures.

        Returns:
            `image` (size / world, 3, h, w) in [-1, 1], and what else the data set tells about them.
        """
        available = available_at(step, int(self.cache.count), first=self.first, growth=self.growth)
        self.fill(available, alone=rank == 0, wait=wait)
        return self._items(items_at(step, size, available, self.seed)[rank::world])

    def pictures(self, indices: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] of items."""
        return self._items(indices)["image"]

    def _items(self, indices: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.cache.batch(indices)
        image = shrink(found["image"], self.size)
        every = found["image"].shape[-1] // image.shape[-1]
        if "labels" in found:
            found["labels"] = found["labels"][:, every // 2 :: every, every // 2 :: every]
        return {**found, "image": image}

    def two_sets(self, size: int) -> tuple[Tensor, Tensor]:
        """Indices of two sets of different pictures, up to `size` each, from those before the first step."""
        shuffled = torch.randperm(self.first_count, generator=torch.Generator().manual_seed(self.seed))
        size = min(size, len(shuffled) // 2)
        return shuffled[:size], shuffled[size : 2 * size]
