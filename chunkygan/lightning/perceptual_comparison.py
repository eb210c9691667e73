"""How often perceptual distances put pairs of distorted pictures in their known order: several of them, same pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from chunkygan.interfaces import Perceptual
from chunkygan.lightning.generator_schedule import items_at
from chunkygan.lightning.perceptual_training_distortions import ranked_pairs
from chunkygan.lightning.perceptual_training_heads import agreement


def held_out_batches(dataset: Any, *, batches: int = 36, seed: int = 99) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures and labels, 16 at a time, of the test split: those that a perceptual training is scored on."""
    held = dataset.held_out(96)
    for index in range(batches):
        rows = items_at(index, 16, 96, seed)
        yield held["image"][rows], held["labels"][rows]


@torch.no_grad()
def compared(
    measures: Sequence[Perceptual], pictures: Iterator[tuple[Tensor, Tensor]], *, seed: int = 99
) -> dict[str, dict[str, float]]:
    """Name of a distance -> share of pairs in their known order: ``all``, ``one_kind``, ``two_kinds`` of distortion.

    Every third batch mixes two kinds of distortion; the pairs are those of `perceptual_training.score` for the same
    pictures and seed.
    """
    random, mixed = torch.Generator().manual_seed(seed), []
    found: dict[str, list[Tensor]] = {measure.name: [] for measure in measures}
    for index, (images, labels) in enumerate(pictures):
        milder, worse, _ = ranked_pairs(images, labels, random, mixed=index % 3 == 2)
        mixed.append(torch.full((len(images),), index % 3 == 2))
        for measure in measures:
            target = measure.features(images)
            both = [measure.distance(measure.features(x), target) for x in (milder, worse)]
            found[measure.name].append(torch.stack(both))
    two = torch.cat(mixed)
    rows = {"all": torch.ones_like(two), "one_kind": ~two, "two_kinds": two}
    return {
        name: {group: agreement(*torch.cat(pairs, 1)[:, chosen]) for group, chosen in rows.items()}
        for name, pairs in found.items()
    }
