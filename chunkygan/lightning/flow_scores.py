"""How good a trained flow is: the density it gives codes that it has not seen, and what its edits do to pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from chunkygan.direction_search.response import Responder


@torch.no_grad()
def densities(
    flow: Any, codes: Tensor, attributes: Tensor, samples: int, *, noise: float, seed: int, steps: int
) -> dict[str, float]:
    """Negative log densities of held-out codes, in nats a number: by the flow, and by a linear model beside it.

    Args:
        flow: in single precision, on the CPU.
        codes, attributes: (n, w_dim) and (n, k), of which the first `samples` were learnt from.
        noise: what was added to codes, in their standard deviations.
        steps: of the Runge-Kutta method.
    """
    random = torch.Generator().manual_seed(seed + 7)
    spread = noise * codes[:samples].std(0)
    noisy = codes + spread * torch.randn(codes.shape, generator=random)
    held, seen = noisy[samples:], attributes[samples:]
    probes = torch.randint(0, 2, (4, *held.shape), generator=random).mul(2.0).sub(1)
    by_flow = -flow.log_density(held, seen, probes, steps=steps).mean() / held.shape[1]
    by_line = -linear_density(noisy[:samples], attributes[:samples], held, seen).mean() / held.shape[1]
    return {"nats_flow": float(by_flow), "nats_linear": float(by_line)}


def linear_density(codes: Tensor, attributes: Tensor, held: Tensor, seen: Tensor) -> Tensor:
    """(m,) log densities of codes held by a Gaussian whose mean is linear in the attributes, fitted to others."""
    design = torch.cat([attributes, torch.ones(len(attributes), 1)], 1).double()
    weights = torch.linalg.lstsq(design, codes.double()).solution
    covariance = (codes.double() - design @ weights).T.cov(correction=0)
    factor = torch.linalg.cholesky(covariance + 1e-9 * covariance.diagonal().mean() * torch.eye(len(covariance)))
    off = held.double() - torch.cat([seen, torch.ones(len(seen), 1)], 1).double() @ weights
    normal = torch.linalg.solve_triangular(factor, off.T, upper=False).T
    constant = factor.diagonal().log().sum() + 0.5 * held.shape[1] * math.log(2 * math.pi)
    return -0.5 * normal.square().sum(1) - constant


@torch.no_grad()
def effects(reader: Responder, flow: Any, codes: Tensor, units: Sequence[float], places: Sequence[int]) -> Tensor:
    """(k, k): what strength 1 of each attribute's edit does to every attribute, in standard deviations.

    Args:
        reader: sees all attributes of the classifier.
        flow: in double precision, on the CPU.
        codes: (n, w_dim) of W.
        units: of the flow's attributes.
        places: of the flow's attributes among the classifier's.
    """
    generator = reader.generator
    rows = generator.num_ws

    def seen(w: Tensor) -> Tensor:
        found = reader.responses(w.to(generator.w_avg)[:, None].expand(-1, rows, -1))
        return found.cpu().double()[:, list(places)]

    steps = torch.diag(torch.tensor(units, dtype=torch.float64))
    present = seen(codes) * torch.tensor(units, dtype=torch.float64)
    normal = flow(codes.double()[:, None], present)
    ends = [[seen(flow.inverse(normal, present + sign * step)[:, 0]).mean(0) for sign in (-1, 1)] for step in steps]
    return torch.stack([(after - before) / 2 for before, after in ends])


def table(names: Sequence[str], slopes: Tensor) -> str:
    """Markdown: a row for each attribute's edit, its own effect in bold."""
    lines = [f"| edit | {' | '.join(names)} |", "|" + " --- |" * (len(names) + 1)]
    for i, name in enumerate(names):
        cells = [f"**{v:.2f}**" if i == j else f"{v:.2f}" for j, v in enumerate(slopes[i].tolist())]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
