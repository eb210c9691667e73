"""The heads of a perceptual distance: how much each channel counts, from pairs whose order is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.lightning.perceptual_training_distortions import ranked_pairs

Taps = Callable[[Tensor], list[Tensor]]
Pictures = tuple[Tensor, Tensor]  # (n, 3, h, w) in [-1, 1] and labels (n, h, w)


def channel_differences(taps: Taps, a: Tensor, b: Tensor) -> Tensor:
    """(n, channels of all taps): mean over pixels of the squared difference of unit-length features."""
    found = []
    for x, y in zip(taps(a), taps(b)):
        x, y = (f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in (x, y))
        found.append((x - y).square().mean((2, 3)))
    return torch.cat(found, 1)


@torch.no_grad()
def measure_pairs(taps: Taps, batches: Iterator[Pictures], seed: int) -> dict[str, Tensor]:
    """What is known of pairs: `milder`, `worse` (pairs, channels), `l2` (pairs, 2), `mixed` (pairs,)."""
    random, rows = torch.Generator().manual_seed(seed), []
    for index, (images, labels) in enumerate(batches):
        mixed = index % 3 == 2
        milder, worse, _ = ranked_pairs(images, labels, random, mixed=mixed)
        l2 = torch.stack([(images - x).square().mean((1, 2, 3)) for x in (milder, worse)], 1)
        near, far = channel_differences(taps, images, milder), channel_differences(taps, images, worse)
        rows.append((near, far, l2, torch.full((len(images),), mixed)))
    return {name: torch.cat(parts) for name, parts in zip(("milder", "worse", "l2", "mixed"), zip(*rows))}


def fit_heads(
    milder: Tensor, worse: Tensor, *, steps: int = 250, lr: float = 0.1, even: float = 0.02, most: float = 30.0
) -> Tensor:
    """Non-negative weights (channels,) under which the worse picture of each pair is further away.

    Args:
        milder, worse: (pairs, channels) from `channel_differences`.
        even: pull towards equal shares of the channels in the distance, with which it begins.
        most: the largest share, in equal shares. A distance that rests on one or two channels ranks best of all, but
            is a poor loss to descend.
    """
    share = 1 / torch.cat([milder, worse]).mean(0).clamp(min=1e-6)
    milder, worse = milder * share, worse * share
    logits = torch.zeros(milder.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=lr)
    for _ in range(steps):
        near, far = ((x @ logits.exp()).clamp(min=1e-8).log() for x in (milder, worse))
        loss = F.softplus(-4 * (far - near)).mean() + even * logits.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        logits.data.clamp_(max=math.log(most))
    return logits.detach().exp() * share


def agreement(milder: Tensor, worse: Tensor) -> float:
    """Fraction of pairs (pairs,) in which the worse one has the larger distance."""
    return float((worse > milder).float().mean())
