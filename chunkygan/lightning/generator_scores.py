"""How near a generator's pictures are to those it was taught: for the same latents, and as sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from chunkygan.interfaces import Generator, Perceptual
from chunkygan.lightning.adversarial_measures import Yardstick
from chunkygan.lightning.adversarial_reals import Reals
from chunkygan.lightning.generator_export import draw

LOOKED_AT = ("l_eye", "r_eye", "mouth", "u_lip", "l_lip")
"""Classes whose pixels are also counted alone."""


def regression_scores(
    generator: Generator, held: dict[str, Tensor], classes: Sequence[str], *, at_once: int = 16
) -> dict[str, float]:
    """Mean absolute and squared difference, pictures in [-1, 1], from held-out pictures of the same latents.

    ``_mean_picture``: what the mean of those pictures scores, which has learnt nothing; ``_eyes_mouth``: over
    `LOOKED_AT`.

    Args:
        held: `z` (n, z_dim), `image` (n, 3, h, w) and `labels` (n, h, w).
    """
    drawn = torch.cat([draw(generator, z) for z in held["z"].split(at_once)])
    marked = torch.isin(held["labels"], torch.tensor([classes.index(name) for name in LOOKED_AT]))
    marked = marked[:, None].expand_as(drawn)
    scores = {}
    for name, pictures in (("", drawn), ("_mean_picture", held["image"].mean(0).expand_as(drawn))):
        error = pictures - held["image"]
        scores[f"l1{name}"] = float(error.abs().mean())
        scores[f"l2{name}"] = float(error.square().mean())
        scores[f"l1_eyes_mouth{name}"] = float(error.abs()[marked].mean())
    return scores


def set_scores(generator: Generator, reals: Reals, perceptual: Perceptual, size: int) -> dict[str, float]:
    """The Frechet distance of `size` drawn pictures from as many real ones; as its floor, that of other real ones."""
    reals.begin()
    yardstick = Yardstick(perceptual, reals, size, generator.resolution)
    return {yardstick.name: yardstick.distance(generator), f"{yardstick.name}_floor": yardstick.floor()}


def scores(
    generator: Any, dataset: Any, reals: Reals, perceptual: Perceptual | None, *, held_out: int, compared: int
) -> dict[str, float]:
    """All of the above; without a perceptual network, no Frechet distance.

    Args:
        dataset: with `held_out(count)` and `classes`.
        held_out: how many pictures of the test split.
        compared: how many of each set, at most half of those there are.
    """
    held = dataset.held_out(held_out, supersampling=2)
    sets = {} if perceptual is None else set_scores(generator, reals, perceptual, compared)
    return {**regression_scores(generator, held, dataset.classes), **sets}
