"""What a segmentation head learns from: labelled pictures of a generator, and all channels of some of their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chunkygan.interfaces import Generator


@dataclass(frozen=True)
class Labelled:
    """Pictures of a generator whose pixels have classes.

    Args:
        ws: (n, num_ws, w_dim), their codes.
        labels: (n, h, w); below 0 where there is none.
        pictures: (n, 3, h, w) in [-1, 1].
    """

    ws: Tensor
    labels: Tensor
    pictures: Tensor

    def part(self, begin: int, end: int) -> Labelled:
        """Some of the pictures."""
        return Labelled(self.ws[begin:end], self.labels[begin:end], self.pictures[begin:end])

    def joined(self, others: Labelled) -> Labelled:
        """These and others."""
        return Labelled(
            torch.cat([self.ws, others.ws]),
            torch.cat([self.labels, others.labels]),
            torch.cat([self.pictures, others.pictures]),
        )


@dataclass(frozen=True)
class Pixels:
    """Some pixels of labelled pictures.

    Args:
        features: (p, d) half precision: all feature maps of a pixel, as if each had been upsampled and stacked.
        labels: (p,).
        counts: (p,), how many pixels of its picture each one stands for.
        pictures: (p,), the picture that each is of.
    """

    features: Tensor
    labels: Tensor
    counts: Tensor
    pictures: Tensor

    def of(self, pictures: Sequence[int]) -> Pixels:
        """Those of some pictures."""
        wanted = torch.isin(self.pictures, torch.as_tensor(list(pictures)))
        return Pixels(self.features[wanted], self.labels[wanted], self.counts[wanted], self.pictures[wanted])

    def moments(self) -> tuple[Tensor, Tensor]:
        """(d,) mean and standard deviation of each channel over the pictures; the deviation is never 0."""
        weights = (self.counts / self.counts.sum())[:, None]
        mean = square = torch.zeros(self.features.shape[1])
        for features, weight in zip(self.features.split(8192), weights.split(8192)):
            mean = mean + (features.float() * weight).sum(0)
        for features, weight in zip(self.features.split(8192), weights.split(8192)):
            square = square + ((features.float() - mean).square() * weight).sum(0)
        deviation = square.sqrt()
        return mean, deviation + 0.01 * deviation.mean() + 1e-6  # a channel that hardly moves is not blown up


@torch.no_grad()
def label_samples(generator: Generator, ws: Tensor, label: Callable[[Tensor], Tensor] | Tensor) -> Labelled:
    """The pictures of codes (n, num_ws, w_dim), labelled.

    Args:
        label: (n, h, w) labels, or what gives them for pictures (b, 3, h, w).
    """
    pictures, labels = [], []
    for batch in ws.to(generator.w_avg).split(4):
        pictures.append(generator.synthesis(generator.styles(batch)).clamp(-1, 1))
        if callable(label):
            labels.append(label(pictures[-1]).cpu())
    return Labelled(ws.cpu(), torch.cat(labels) if callable(label) else label, torch.cat(pictures).cpu())


@torch.no_grad()
def feature_maps(generator: Generator, ws: Tensor) -> list[Tensor]:
    """The maps that heads read, (1, c, h, w) each, of one code (num_ws, w_dim)."""
    return generator.feature_stack(generator.styles(ws[None].to(generator.w_avg)))


def choose_pixels(generator: Generator, samples: Labelled, *, most: int, seed: int) -> Pixels:
    """At most so many pixels of every picture: of each class as many as of any other, while it has them.

    So small classes keep all of their pixels, and `Pixels.counts` makes up for it.
    """
    rng = torch.Generator().manual_seed(seed)
    size = (samples.labels.shape[1], samples.labels.shape[2])
    features, labels, counts, pictures = [], [], [], []
    for i, own in enumerate(samples.labels.flatten(1)):
        places, count = even_choice(own, most, rng)
        maps = feature_maps(generator, samples.ws[i])
        features.append(at_places(maps, places // size[1], places % size[1], size))
        labels.append(own[places])
        counts.append(count)
        pictures.append(torch.full_like(places, i))
    return Pixels(torch.cat(features), torch.cat(labels), torch.cat(counts), torch.cat(pictures))


def regular_pixels(generator: Generator, samples: Labelled, *, every: int) -> Pixels:
    """The labelled pixels of every n-th row and column."""
    size = (samples.labels.shape[1], samples.labels.shape[2])
    grid = torch.zeros(size, dtype=torch.bool)
    grid[every // 2 :: every, every // 2 :: every] = True
    features, labels, pictures = [], [], []
    for i, own in enumerate(samples.labels):
        y, x = (grid & (own >= 0)).nonzero().unbind(1)
        features.append(at_places(feature_maps(generator, samples.ws[i]), y, x, size))
        labels.append(own[y, x])
        pictures.append(torch.full_like(y, i))
    return Pixels(torch.cat(features), torch.cat(labels), torch.ones(sum(map(len, labels))), torch.cat(pictures))


def even_choice(labels: Tensor, most: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(p,) places in labels (h * w,), of each class as many as of any other, and how many pixels each stands for."""
    owners = [(labels == c).nonzero()[:, 0] for c in labels[labels >= 0].unique()]
    places, counts, room = [], [], most
    for number, own in enumerate(sorted(owners, key=len)):
        chosen = own[torch.randperm(len(own), generator=rng)[: max(1, room // (len(owners) - number))]]
        room -= len(chosen)
        places.append(chosen)
        counts.append(torch.full((len(chosen),), len(own) / len(chosen)))
    return torch.cat([labels.new_zeros(0), *places]), torch.cat([torch.zeros(0), *counts])


def at_places(maps: Sequence[Tensor], y: Tensor, x: Tensor, size: tuple[int, int]) -> Tensor:
    """(p, d) half: all channels of single pixels, as if every map had been upsampled bilinearly to a size and stacked.

    Args:
        maps: (1, c, h, w) each, of one picture.
        y, x: (p,), rows and columns.
    """
    return torch.cat([_interpolated(part[0].permute(1, 2, 0).float().cpu(), y, x, size).half() for part in maps], 1)


def _interpolated(part: Tensor, y: Tensor, x: Tensor, size: tuple[int, int]) -> Tensor:
    h, w = part.shape[:2]
    if (h, w) == tuple(size):
        return part[y, x]
    (top, below, down), (left, beside, right) = _neighbours(y, h, size[0]), _neighbours(x, w, size[1])
    upper = torch.lerp(part[top, left], part[top, beside], right)
    lower = torch.lerp(part[below, left], part[below, beside], right)
    return torch.lerp(upper, lower, down)


def _neighbours(at: Tensor, length: int, full: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two entries of an axis that a place of the upsampled one lies between, and how far along, (p, 1)."""
    place = ((at + 0.5) * (length / full) - 0.5).clamp(min=0)
    low = place.floor().long()
    return low, (low + 1).clamp(max=length - 1), (place - low).unsqueeze(1)
