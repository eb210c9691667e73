"""Labels carried over from one picture to another, by what a generator's features have in common.

Pure functions: features that agree in direction are the same part, and edges of labels lie on edges of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def unit_features(maps: Sequence[Tensor], moments: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """(p, d): features of pixels whose products are the mean cosine over the maps, channels brought to one scale.

    Args:
        maps: (p, c) each.
        moments: mean and standard deviation, (c,) each, of each map's channels.
    """
    scaled = [F.normalize((part - mean) / deviation, dim=1) for part, (mean, deviation) in zip(maps, moments)]
    return torch.cat(scaled, 1) / len(scaled) ** 0.5


def vote(
    features: Tensor, known: Tensor, labels: Tensor, weights: Tensor, *, classes: int, temperature: float
) -> Tensor:
    """(p, classes) shares, summing to 1: every known pixel votes for its label, the more alike, the more.

    Args:
        features: (p, d), as `unit_features` gives them, of the pixels in question.
        known: (q, d), of the pixels that are labelled.
        labels, weights: (q,), what each votes for, and how much it counts.
        temperature: of the cosine; lower: only the most alike count.
    """
    votes = F.one_hot(labels, classes).to(features) * weights[:, None].to(features)
    shares = (features @ known.T / temperature).softmax(1) @ votes
    return shares / shares.sum(1, keepdim=True)


def guided(shares: Tensor, pictures: Tensor, *, radius: int, contrast: float = 0.1) -> Tensor:
    """Shares whose edges have moved to edges of the pictures' brightness; as they are for a radius of 0.

    Args:
        shares: (n, classes, h, w).
        pictures: (n, 3, h, w) in [-1, 1].
        radius: of the windows, in pixels.
        contrast: standard deviation of brightness in a window that counts as an edge.

    Returns:
        (n, classes, h, w), summing to what `shares` sum to.

    Source: He et al. 2013, guided image filtering; grey guide.
    """
    if radius < 1:
        return shares

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)

    guide = pictures.to(shares).mean(1, keepdim=True)
    guide_mean, shares_mean = mean(guide), mean(shares)
    variance = mean(guide * guide) - guide_mean * guide_mean
    slope = (mean(guide * shares) - guide_mean * shares_mean) / (variance + contrast**2)
    offset = shares_mean - slope * guide_mean
    return mean(slope) * guide + mean(offset)
