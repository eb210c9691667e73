"""What W and W+ share: statistics of W, and the way back from styles, which are affine in W."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import Generator
from chunkygan.sampling import sample_ws
from chunkygan.types import Styles

SAMPLES, SEED = 2048, 123  # behind every standard deviation


def w_scale(generator: Generator) -> Tensor:
    """(w_dim,) standard deviation of each coordinate of W."""
    return sample_ws(generator, SAMPLES, seed=SEED)[:, 0].std(0).clamp_min(1e-6)


@torch.no_grad()
def affine_maps(generator: Generator) -> tuple[list[Tensor], Styles]:
    """Each layer's matrix (w_dim, c_k), and the styles (1, c_k) of the mean code."""
    origin = generator.w_avg.expand(1, generator.num_ws, -1)
    steps = torch.eye(generator.w_dim).to(generator.w_avg)[:, None]  # (w_dim, 1, w_dim)
    mean = generator.styles(origin)
    return [moved - at for moved, at in zip(generator.styles(origin + steps), mean)], mean


@torch.no_grad()
def solve_shared(generator: Generator, styles: Styles) -> Tensor:
    """(n, w_dim) vectors of W whose styles come nearest (least squares), as near to the mean as that allows."""
    maps, mean = affine_maps(generator)
    gap = torch.cat([style - at for style, at in zip(styles, mean)], 1)
    return generator.w_avg + gap @ torch.linalg.pinv(torch.cat(maps, 1))


@torch.no_grad()
def solve_rows(generator: Generator, styles: Styles) -> Tensor:
    """(n, num_ws, w_dim), as `solve_shared`, each row from the layers that it feeds."""
    maps, mean = affine_maps(generator)
    rows = []
    for row in range(generator.num_ws):
        fed = [k for k, r in enumerate(generator.style_rows) if r == row]
        if not fed:
            rows.append(generator.w_avg.expand(styles[0].shape[0], -1))
            continue
        gap = torch.cat([styles[k] - mean[k] for k in fed], 1)
        rows.append(generator.w_avg + gap @ torch.linalg.pinv(torch.cat([maps[k] for k in fed], 1)))
    return torch.stack(rows, 1)
