"""What the generator draws from in adversarial training: codes that mix two styles, and fresh noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chunkygan.interfaces import Generator


def mixed_ws(generator: Generator, n: int, mixing: float, rng: torch.Generator) -> Tensor:
    """(n, num_ws, w_dim) of random latents; with probability `mixing` the last rows are another latent's.

    Where one code ends and the other begins is drawn for each picture.

    Args:
        rng: on the generator's device.

    Source: Karras et al., A Style-Based Generator Architecture (2019), section 3.1.
    """
    device, rows = rng.device, generator.num_ws
    z = torch.randn(2, n, generator.z_dim, generator=rng, device=device)
    cut = torch.randint(1, max(rows, 2), (n,), generator=rng, device=device)
    mixes = torch.rand(n, generator=rng, device=device) < mixing
    ws = generator.mapping(z[0])
    if mixing <= 0:
        return ws
    first = torch.arange(rows, device=device) < torch.where(mixes, cut, rows)[:, None]  # (n, rows)
    return torch.where(first[:, :, None], ws, generator.mapping(z[1]))


def fresh_noise(sizes: Sequence[tuple[int, int]], n: int, rng: torch.Generator) -> list[Tensor]:
    """One standard normal map (n, 1, h, w) for each convolution's (h, w), on the device of rng."""
    return [torch.randn(n, 1, *size, generator=rng, device=rng.device) for size in sizes]
