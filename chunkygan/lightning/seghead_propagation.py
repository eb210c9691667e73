"""Labels of one picture carried over to samples of the same generator (the paper: from one exemplar to tens)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.correspondence import guided, unit_features, vote
from chunkygan.interfaces import Generator
from chunkygan.lightning.seghead_samples import Labelled, at_places, even_choice, feature_maps, label_samples
from chunkygan.lightning.seghead_scores import coloured
from chunkygan.pictures import grid

LARGEST = 128
"""Pixels of the longer side on which votes are taken; on larger pictures they are interpolated."""

KNOWN = 1024
"""Pixels of the exemplar that vote, of each class as many as of any other, while it has them."""

NORMS = 8
"""Samples over which the channels' means and deviations are taken."""


@torch.no_grad()
def propagated(
    generator: Generator,
    exemplar: Labelled,
    ws: Tensor,
    *,
    classes: int,
    sizes: tuple[int, int] = (16, 64),
    temperature: float = 0.12,
    balance: float = 0.35,
    refine: int = 1,
    seed: int = 0,
) -> Labelled:
    """The samples of codes (n, num_ws, w_dim), labelled by their likeness to one labelled picture.

    Args:
        exemplar: one picture.
        sizes: the last map of each resolution whose longer side is between these is compared: coarser ones tell too
            little about places, finer ones too little about parts.
        temperature: see `chunkygan.correspondence.vote`.
        balance: votes count their class's share of the exemplar to the power of minus this.
        refine: radius in pixels of the refinement by the picture's edges; 0: none.
    """
    own = exemplar.labels[0].flatten()
    size = (exemplar.labels.shape[1], exemplar.labels.shape[2])
    chosen, counts = even_choice(own, KNOWN, torch.Generator().manual_seed(seed))
    share = torch.zeros(classes).index_add_(0, own[chosen], counts) / counts.sum()
    weights = counts * share[own[chosen]].pow(-balance)
    moments = _moments(generator, ws[:NORMS], sizes)
    maps = _maps(generator, exemplar.ws[0], sizes)
    stacked = at_places(maps, chosen // size[1], chosen % size[1], size).float()
    known = unit_features(stacked.split([m.shape[1] for m in maps], 1), moments)

    def shares(one: Tensor) -> Tensor:
        """(1, classes, h, w) of one code."""
        coarse, found = _reduced(size), _maps(generator, one, sizes)
        level = [F.interpolate(m.float().cpu(), size=coarse, mode="bilinear", align_corners=False) for m in found]
        features = unit_features([m[0].flatten(1).T for m in level], moments)
        votes = [
            vote(part, known, own[chosen], weights, classes=classes, temperature=temperature)
            for part in features.split(4096)
        ]
        return F.interpolate(torch.cat(votes).T.unflatten(1, coarse)[None], size=size, mode="bilinear")

    drawn = label_samples(generator, ws, torch.empty(0))  # pictures first: they guide the labels
    labels = [
        guided(shares(one), picture[None], radius=refine).argmax(1) for one, picture in zip(ws, drawn.pictures)
    ]
    return Labelled(drawn.ws, torch.cat(labels), drawn.pictures)


def propagation_sheet(exemplar: Labelled, samples: Labelled, colours: Tensor, *, most: int = 7) -> Tensor:
    """A picture: the exemplar and its labels in the first column, samples and what they got in the others."""
    shown = exemplar.joined(samples.part(0, most))
    tiles = [*shown.pictures, *(coloured(labels, colours) for labels in shown.labels)]
    return grid(torch.stack(tiles), len(shown.labels))


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    """The size on which votes are taken."""
    factor = max(1.0, max(size) / LARGEST)
    return round(size[0] / factor), round(size[1] / factor)


def _maps(generator: Generator, ws: Tensor, sizes: tuple[int, int]) -> list[Tensor]:
    """The last map of each resolution within the sizes; of all resolutions, where there is none."""
    last = {max(m.shape[2:]): m for m in feature_maps(generator, ws)}
    return [m for side, m in last.items() if sizes[0] <= side <= sizes[1]] or list(last.values())


def _moments(generator: Generator, ws: Tensor, sizes: tuple[int, int]) -> list[tuple[Tensor, Tensor]]:
    """Mean and standard deviation of each map's channels over some codes."""
    drawn = [[m[0].flatten(1).float().cpu() for m in _maps(generator, one, sizes)] for one in ws]
    joined = [torch.cat(level, 1) for level in zip(*drawn)]
    return [(m.mean(1), m.std(1) + 1e-3) for m in joined]
