"""Random codes of a generator's domain: the same for a seed on every device."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import Generator


def sample_z(generator: Generator, n: int, *, seed: int) -> Tensor:
    """(n, z_dim) standard normal latents, on the generator's device."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator.z_dim, generator=rng).to(generator.w_avg)


@torch.no_grad()
def sample_ws(generator: Generator, n: int, *, seed: int, truncation: float = 1.0) -> Tensor:
    """(n, num_ws, w_dim) of the latents of `sample_z`; classes in turn where the generator has any.

    Args:
        truncation: 1 for none, 0 for the mean code.
    """
    z = sample_z(generator, n, seed=seed)
    c = None
    if generator.c_dim:
        c = torch.eye(generator.c_dim).to(z)[torch.arange(n, device=z.device) % generator.c_dim]
    return generator.mapping(z, c, truncation=truncation)


def mean_w(generator: Generator, samples: int = 10_000) -> Tensor:
    """(w_dim,): mean of W over random latents of a fixed seed."""
    return sample_ws(generator, samples, seed=123)[:, 0].mean(0)
