"""How far a drawn picture is from the one it should be, parts of a face weighted by how much they matter."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.interfaces import Perceptual

PART_WEIGHTS = {
    "l_eye": 4.0, "r_eye": 4.0, "eye_g": 4.0, "ear_r": 4.0, "mouth": 3.0, "u_lip": 3.0, "l_lip": 3.0, "l_brow": 2.0,
    "r_brow": 2.0, "cloth": 2.0, "nose": 1.5, "hair": 1.5,
}  # fmt: skip
"""Class -> what its pixels weigh, next to 1 for the others: eyes and mouth are few pixels and all of a face."""


FAINT = 0.08
"""How much pixels vary, of the 2 from black to white, where logarithms begin to tell: as much as strands of hair. Much
lower, and an outline that is a little out of place costs more than one that is blurred."""


def part_weights(labels: Tensor, weights: Tensor, *, reach: int = 5) -> Tensor:
    """Weight (n, 1, h, w) of every pixel, from its class and the heaviest class near it; mean 1.

    Args:
        labels: (n, h, w), classes.
        weights: (classes,).
        reach: pixels a side of the neighbourhood: the surroundings of an eye matter as the eye does. Odd.
    """
    heavy = F.max_pool2d(weights[labels][:, None], reach, stride=1, padding=reach // 2)
    return heavy / heavy.mean()


def slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbouring pixels across (n, c, h, w - 1) and down (n, c, h - 1, w)."""
    return image[..., :, 1:] - image[..., :, :-1], image[..., 1:, :] - image[..., :-1, :]


def weighted_distance(drawn: Tensor, wanted: Tensor, weights: Tensor, *, edges: float = 1.0) -> Tensor:
    """Mean absolute difference of pixels, plus `edges` times that of their slopes; pixels count by weight.

    Args:
        drawn, wanted: (n, 3, h, w) in [-1, 1].
        weights: (n, 1, h, w).
    """
    difference = drawn - wanted
    across, down = slopes(difference)
    loss = (weights * difference.abs()).mean()
    return loss + edges * ((weights[..., :, 1:] * across.abs()).mean() + (weights[..., 1:, :] * down.abs()).mean())


def pyramid_distance(drawn: Tensor, wanted: Tensor, weights: Tensor, *, levels: int = 3, edges: float = 1.0) -> Tensor:
    """`weighted_distance` summed over sizes, each half of the last: the coarse ones move what is out of place."""
    total = drawn.new_zeros(())
    for level in range(levels):
        if level:
            drawn, wanted, weights = (F.avg_pool2d(x, 2) for x in (drawn, wanted, weights))
        total = total + weighted_distance(drawn, wanted, weights, edges=edges)
    return total / levels


def differences(image: Tensor) -> Tensor:
    """Differences of pixels next to each other and two apart, along and across and diagonally, and from the mean of the
    neighbours: (n, 7 c, h - 2, w - 2)."""
    middle = image[..., 1:-1, 1:-1]
    left, right, above, below = image[..., 1:-1, :-2], image[..., 1:-1, 2:], image[..., :-2, 1:-1], image[..., 2:, 1:-1]
    falling = (image[..., 2:, 2:] - image[..., :-2, :-2]) * math.sqrt(0.5)
    rising = (image[..., 2:, :-2] - image[..., :-2, 2:]) * math.sqrt(0.5)
    peaks = left + right + above + below - 4 * middle
    return torch.cat([right - left, below - above, falling, rising, peaks, right - middle, below - middle], 1)


def texture_distance(
    drawn: Tensor, wanted: Tensor, weights: Tensor, *, levels: int = 3, window: int = 9, stride: int = 3
) -> Tensor:
    """Mean absolute difference of how strongly pixels vary near each place, in every direction, at three sizes.

    What is a little out of place costs less here than what is blurred, where a difference of pixels is least for the
    mean of what may be: strands of hair need not lie where the others lie, but strands there must be, and an outline
    that is soft varies less in the squares than a sharp one. Logarithms are compared, since strands vary little next to
    eyes and glasses, and are as much missed.

    Args:
        drawn, wanted: (n, 3, h, w) in [-1, 1].
        weights: (n, 1, h, w).
        window, stride: pixels a side of a place, and from one to the next; at sizes below, as many of their pixels.
    """
    total = drawn.new_zeros(())
    for level in range(levels):
        if level:
            drawn, wanted, weights = (F.avg_pool2d(x, 2) for x in (drawn, wanted, weights))
        side = min(window, *(size - 2 for size in drawn.shape[-2:]))  # of small pictures, all there is
        if side < 1:
            break
        found, known = ((F.avg_pool2d(differences(x).square(), side, stride) + FAINT**2).log() for x in (drawn, wanted))
        places = F.avg_pool2d(weights[..., 1:-1, 1:-1], side, stride)
        total = total + (places * (found - known).abs()).mean() / 2  # of squares: half of it is that of their roots
    return total / levels


def feature_distance(perceptual: Perceptual, drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of each of a network's feature maps, in units of its own mean, summed."""
    with torch.no_grad():
        known = perceptual.taps(wanted)
    taps = zip(perceptual.taps(drawn), known)
    apart = [(found - real).abs().mean() / real.abs().mean().clamp(min=1e-8) for found, real in taps]
    return torch.stack(apart).sum()


def shrink(image: Tensor, size: int | None) -> Tensor:
    """Pictures (n, c, h, w) averaged down so that their longer side is `size`; None, or no smaller: as they are."""
    factor = max(image.shape[-2:]) // size if size else 1
    return F.avg_pool2d(image, factor) if factor > 1 else image


def part_of(labels: Tensor, classes: list[int]) -> Tensor:
    """(n, 1, h, w): 1 where a pixel's class is one of those."""
    wanted = torch.zeros(int(labels.max()) + 1, dtype=torch.float32, device=labels.device)
    wanted[[c for c in classes if c < len(wanted)]] = 1
    return wanted[labels][:, None]
