"""Pictures that a generator draws, with the codes they were drawn from: what an encoder should answer is known."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from chunkygan.interfaces import Generator
from chunkygan.lightning.generator_schedule import items_at
from chunkygan.sampling import sample_ws

_AT_ONCE = 16


def mixed_codes(generator: Generator, n: int, *, mixing: float, seed: int) -> Tensor:
    """(n, num_ws, w_dim) random codes; in a share `mixing` of them the last rows are another latent's.

    A function of the seed alone, on every device; of any class where the generator has classes.
    """
    first = sample_ws(generator, n, seed=2 * seed)
    if not mixing:
        return first
    random = torch.Generator().manual_seed(seed)
    rows = generator.num_ws
    cut = torch.randint(1, max(rows, 2), (n,), generator=random)
    cut = torch.where(torch.rand(n, generator=random) < mixing, cut, rows)
    kept = (torch.arange(rows) < cut[:, None])[:, :, None].to(first.device)
    return torch.where(kept, first, sample_ws(generator, n, seed=2 * seed + 1))


class Pairs:
    """Pictures and their codes, by step: a function of seed and step, so that a resumed training sees the same.

    Args:
        draw: codes (n, num_ws, w_dim) to pictures (n, 3, h, w) in [-1, 1], of the size that is needed.
        mixing: share of the codes with rows of two latents.
        kept: draw only so many, before the first step, and keep them as bytes; 0: new ones in every step.
    """

    def __init__(
        self, generator: Generator, draw: Callable[[Tensor], Tensor], seed: int, *, mixing: float, kept: int
    ) -> None:
        self.generator, self.draw, self.seed, self.mixing, self.kept = generator, draw, seed, mixing, kept
        self._all: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def batch(self, step: int, n: int) -> tuple[Tensor, Tensor]:
        """Pictures (n, 3, h, w) and codes (n, num_ws, w_dim), on the generator's device."""
        if not self.kept:
            ws = mixed_codes(self.generator, n, mixing=self.mixing, seed=self.seed * 1_000_003 + step)
            return self.draw(ws), ws
        pictures, codes = self._kept()
        rows = items_at(step, n, self.kept, self.seed)
        device = self.generator.w_avg.device
        return pictures[rows].to(device).float().div_(127.5).sub_(1), codes[rows].to(device)

    def _kept(self) -> tuple[Tensor, Tensor]:
        if self._all is None:
            codes = mixed_codes(self.generator, self.kept, mixing=self.mixing, seed=self.seed)
            drawn = [self.draw(ws).add(1).mul(127.5).round().clamp(0, 255).byte().cpu() for ws in codes.split(_AT_ONCE)]
            self._all = torch.cat(drawn), codes.cpu()
        return self._all
