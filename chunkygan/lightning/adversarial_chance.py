"""Random numbers that a step of adversarial training can draw again: all come from seed, step and process."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor


def rng_of(seed: int, step: int, purpose: str, rank: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that is the same for the same arguments, and another for any other: a resumed run needs no more."""
    mixed = zlib.crc32(f"{seed} {step} {purpose} {rank}".encode()) + (zlib.crc32(purpose.encode()[::-1]) << 31)
    return torch.Generator(device).manual_seed(mixed ^ (step << 17) ^ (seed << 40))


@dataclass(frozen=True)
class Chance:
    """Random numbers for the augmentation of n pictures, on the generator's device.

    Args:
        p: how likely a change applies to a picture.
    """

    n: int
    p: float
    rng: torch.Generator

    def uniform(self) -> Tensor:
        """(n,) in [0, 1)."""
        return torch.rand(self.n, generator=self.rng, device=self.rng.device)

    def normal(self) -> Tensor:
        """(n,) standard normal."""
        return torch.randn(self.n, generator=self.rng, device=self.rng.device)

    def gate(self, p: float | None = None) -> Tensor:
        """(n,) booleans: which pictures a change applies to; None: with probability `self.p`."""
        return self.uniform() < (self.p if p is None else p)

    def choose(self, value: Tensor, otherwise: float, *, p: float | None = None) -> Tensor:
        """(n,): value where a change applies, the other number elsewhere."""
        return torch.where(self.gate(p), value, torch.full_like(value, otherwise))
