"""What the training of an encoder minimises: pSp's terms for pictures, e4e's for codes, and known codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Weights:
    """Weights of the terms; 0 leaves one out.

    Args:
        l2, perceptual, identity: of what the codes draw, beside the picture.
        code: of the difference from the known code of a drawn picture.
        code_norm: of the codes' distance from the mean code.
        delta: of the differences between rows, where they are predicted as such (e4e).
        adversarial: of looking like codes of W to a discriminator, in the same case.
    """

    l2: float
    perceptual: float
    identity: float
    code: float
    code_norm: float
    delta: float
    adversarial: float


def code_error(codes: Tensor, known: Tensor, spread: Tensor) -> Tensor:
    """Mean squared difference of codes (n, rows, d) from known ones, in units of W's variance; 1 for the mean code."""
    return ((codes - known) / spread).square().mean()


def code_norm(codes: Tensor, mean: Tensor) -> Tensor:
    """Mean distance of codes (n, rows, d) from mean codes of that shape, all rows in one vector.

    Source: Richardson et al., Encoding in Style (2021), section 3.2.
    """
    return (codes - mean).flatten(1).norm(dim=1).mean()


def delta_norm(codes: Tensor, stage: int) -> Tensor:
    """Mean length of the differences of rows 1 to `stage` from the first, summed over these rows.

    Source: Tov et al., Designing an Encoder (2021), section 4.1.
    """
    return (codes[:, 1 : stage + 1] - codes[:, :1]).norm(dim=2).sum(1).mean()


def stage_at(step: int, rows: int, *, begin: float, end: float) -> int:
    """How many rows after the first have a difference of their own at a step.

    Args:
        begin, end: steps at which the first and the last of them joins.

    >>> [stage_at(step, 4, begin=10, end=30) for step in (9, 10, 19, 20, 30, 99)]
    [0, 1, 1, 2, 3, 3]
    """
    if step < begin:
        return 0
    every = (end - begin) / max(rows - 2, 1)
    return rows - 1 if every <= 0 else min(rows - 1, 1 + int((step - begin) / every))


class LatentDiscriminator(nn.Module):
    """Tells rows of codes (n, d) from codes of W: the larger, the likelier one of W. (n,) logits.

    Source: Tov et al. 2021, section 4.1; the depth of its code.
    """

    def __init__(self, dim: int, layers: int = 4) -> None:
        super().__init__()
        made: list[nn.Module] = []
        for _ in range(layers - 1):
            made += [nn.Linear(dim, dim), nn.LeakyReLU(0.2)]
        self.mlp = nn.Sequential(*made, nn.Linear(dim, 1))

    def forward(self, rows: Tensor) -> Tensor:
        return self.mlp(rows)[:, 0]


def adversarial_loss(discriminator: nn.Module, codes: Tensor, stage: int) -> Tensor:
    """The encoder's side: the rows that it predicts by now should pass as codes of W."""
    return F.softplus(-discriminator(codes[:, : stage + 1].flatten(0, 1))).mean()


def discriminator_loss(discriminator: nn.Module, real: Tensor, found: Tensor) -> Tensor:
    """The discriminator's side, of codes of W and predicted rows, (n, d) each."""
    return F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(found)).mean()


def gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1: the mean squared length of the logits' gradient at codes of W."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum(1).mean()


def total(terms: dict[str, Tensor], weights: Weights) -> Tensor:
    """The weighted sum of the terms."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def begins_at_mean(parameters: Sequence[tuple[str, Tensor]]) -> None:
    """Sets the last layers to zero, so that an untrained encoder gives the mean code."""
    with torch.no_grad():
        for name, value in parameters:
            if is_last(name):
                value.zero_()


def is_last(name: str) -> bool:
    """Whether this is the weight of a head's last, equalised layer."""
    return name == "linear.weight" or name.endswith(".linear.weight")
