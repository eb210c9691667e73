"""How near a generator's pictures are to those it was taught: for the same latents, and as sets."""

from __future__ import annotations

from collections.abc import Sequence

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


def set_scores(
    generator: Generator, reals: Reals, perceptual: Perceptual, size: int, *, rank: int = 0, world: int = 1
) -> dict[str, float]:
    """The Frechet distance of `size` drawn pictures from as many real ones; as its floor, that of other real ones.

    Args:
        reals: begun.
        rank, world: this process and how many there are; all must call this, and all get the same.
    """
    yardstick, share = Yardstick(perceptual, reals, size, generator.resolution), {"rank": rank, "world": world}
    return {yardstick.name: yardstick.distance(generator, **share), f"{yardstick.name}_floor": yardstick.floor(**share)}
