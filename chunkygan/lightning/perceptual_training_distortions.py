"""Distortions of known severity: what the heads of a perceptual distance learn their weights from.

Each takes pictures and a severity in [0, 1], 0 being the picture itself. The ranges are chosen by eye so that equal
severities of different kinds look about equally bad.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Distortion = Callable[[Tensor, Tensor, Tensor, torch.Generator], Tensor]
"""(pictures (n, 3, h, w), severity (n, 1, 1, 1), labels (n, h, w), random numbers) -> pictures."""


def noise(images: Tensor, severity: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
    """White noise of standard deviation up to 0.3."""
    return images + 0.3 * severity * torch.randn(images.shape, generator=random)


def blur(images: Tensor, severity: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
    """A Gaussian of standard deviation up to 2.5 % of the picture's side."""
    sigma = (severity.flatten() * 0.025 * images.shape[-1]).clamp(min=1e-3)
    reach = max(int(0.1 * images.shape[-1]), 1)
    ticks = torch.arange(-reach, reach + 1, dtype=images.dtype)
    taps = torch.exp(-0.5 * (ticks / sigma[:, None]) ** 2)
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(images.shape[1], 0)[:, None]  # (3n, 1, k)
    flat = F.pad(images.flatten(0, 1)[None], (reach,) * 4, mode="replicate")
    flat = F.conv2d(flat, taps[:, :, None, :], groups=taps.shape[0])
    return F.conv2d(flat, taps[:, :, :, None], groups=taps.shape[0])[0].unflatten(0, images.shape[:2])


def shift(images: Tensor, severity: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
    """A shift in any direction by up to 10 % of the picture's side."""
    angle = 6.2832 * torch.rand(len(images), generator=random)
    step = 0.2 * severity.flatten()  # the sampling grid runs from -1 to 1
    move = torch.eye(2, 3).repeat(len(images), 1, 1)
    move[:, 0, 2], move[:, 1, 2] = step * angle.cos(), step * angle.sin()
    grid = F.affine_grid(move, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def colour_cast(images: Tensor, severity: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
    """A colour of length up to 1 added everywhere."""
    cast = torch.randn(len(images), 3, 1, 1, generator=random)
    return images + severity * cast / cast.norm(dim=1, keepdim=True)


def pixelate(images: Tensor, severity: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
    """Detail is replaced by that of the picture at an eighth of its size."""
    coarse = F.interpolate(F.avg_pool2d(images, 8), scale_factor=8, mode="nearest")
    return images + severity.sqrt() * (coarse - images)


def swap_parts(images: Tensor, severity: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
    """Another picture shows through in parts of the face, more of them and more strongly; skin and hair from 0.5 on."""
    other = torch.roll(images, int(torch.randint(1, max(len(images), 2), (1,), generator=random)), 0)
    chosen = torch.rand(len(images), 19, generator=random) < 0.25 + 0.75 * severity.reshape(-1, 1)
    chosen[:, [0, 14, 15, 16]] = False  # background, neck, necklace, clothes
    chosen[:, [1, 17, 18]] &= severity.reshape(-1, 1) > 0.5  # skin, hair, hat
    where = torch.gather(chosen, 1, labels.flatten(1)).reshape(len(images), 1, *labels.shape[1:]).to(images)
    return images + severity * F.avg_pool2d(where, 5, 1, 2) * (other - images)


KINDS: dict[str, Distortion] = {
    "noise": noise, "blur": blur, "shift": shift, "colour_cast": colour_cast, "pixelate": pixelate,
    "swap_parts": swap_parts,
}  # fmt: skip


def ranked_pairs(
    images: Tensor, labels: Tensor, random: torch.Generator, *, mixed: bool
) -> tuple[Tensor, Tensor, list[tuple[str, str]]]:
    """Two distorted versions of each picture, the first the milder one.

    Args:
        images: (n, 3, h, w) in [-1, 1]; labels: (n, h, w).
        mixed: False: one kind a batch, severities a factor of 1.15 or more apart, drawn separately. True: two kinds,
            the first with a severity of at most 0.25, the second of at least 0.6.

    Returns:
        milder (n, 3, h, w), worse (n, 3, h, w), and the kinds' names for each picture.
    """
    names = list(KINDS)
    n, u = len(images), torch.rand(2, len(images), 1, 1, 1, generator=random)
    first, second = (int(torch.randint(len(names), (1,), generator=random)) for _ in range(2))
    if mixed:
        second = (first + 1 + second % (len(names) - 1)) % len(names)
        low, high = 0.05 + 0.2 * u[0], 0.6 + 0.4 * u[1]
    else:
        second, high = first, 0.15 + 0.85 * u[0]
        low = high / (1.15 + 2.0 * u[1])
    milder = KINDS[names[first]](images, low, labels, random).clamp(-1, 1)
    worse = KINDS[names[second]](images, high, labels, random).clamp(-1, 1)
    return milder, worse, [(names[first], names[second])] * n
