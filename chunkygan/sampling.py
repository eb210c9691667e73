"""Random codes of a generator's domain: the same for a seed on every device."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import Generator


@torch.no_grad()
def sample_ws(generator: Generator, n: int, *, seed: int, truncation: float = 1.0) -> Tensor:
    """(n, num_ws, w_dim) of standard normal latents; classes in turn where the generator has any.

    Args:
        truncation: 1 for none, 0 for the mean code.
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(n, generator.z_dim, generator=rng).to(generator.w_avg)
    c = None
    if generator.c_dim:
        c = torch.eye(generator.c_dim).to(z)[torch.arange(n, device=z.device) % generator.c_dim]
    return generator.mapping(z, c, truncation=truncation)


def mean_w(generator: Generator, samples: int = 10_000) -> Tensor:
    """(w_dim,): mean of W over random latents of a fixed seed."""
    return sample_ws(generator, samples, seed=123)[:, 0].mean(0)
