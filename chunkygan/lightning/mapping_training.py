"""Teaches a mapping network what its latents stand for, before a generator learns to draw it.

The loss of pictures alone hardly reaches it: what changes few pixels, or is a threshold of a mixture of latents, such
as a beard or the colour of clothes, stays at its mean. Where a data set can tell of every latent what its picture
shows, codes learn to tell that linearly first, in a minute and without a picture.
"""

from __future__ import annotations

import copy
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from chunkygan.lightning.generator_schedule import rate_at
from chunkygan.lightning.resumable import told
from chunkygan.lightning.trainer import quiet_trainer, ticks

SAMPLED = 20_000
"""Latents from which spreads, means and styles are taken."""


class Traits(nn.Module):
    """Reads what a data set tells of latents from their codes, linearly; at first as well as may be.

    Args:
        dataset: with `traits_of(z)`, (n, k).
        mapping: the network that makes codes of latents.
        seed: of the latents that tell the traits' means and spreads, and to which the readout is fitted.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, dataset: Any, mapping: Any, seed: int) -> None:
        super().__init__()
        self.dataset = dataset
        z = _latents(SAMPLED, mapping.z_dim, seed)
        known = dataset.traits_of(z)
        self.register_buffer("mean", known.mean(0))
        self.register_buffer("spread", known.std(0).clamp(min=1e-6))
        with torch.no_grad():  # a random readout would move the codes of a trained mapping for nothing
            codes = mapping(z, None)
            found = _least_squares(codes, self.wanted(z))
            self.read = nn.Linear(codes.shape[1], known.shape[1])
            self.read.weight.copy_(found[:-1].T)
            self.read.bias.copy_(found[-1])

    def wanted(self, z: Tensor) -> Tensor:
        """(n, k): the traits of latents, in standard deviations from their means."""
        return (self.dataset.traits_of(z) - self.mean) / self.spread

    def loss(self, codes: Tensor, z: Tensor) -> Tensor:
        """Mean squared difference, in the traits' standard deviations, of what codes (n, w_dim) tell of latents z."""
        return (self.read(codes) - self.wanted(z)).square().mean()


class MappingTraining(pl.LightningModule):
    """A mapping network (of `z_dim`) and its readout; every step sees latents that no other has seen."""

    def __init__(
        self, mapping: Any, traits: Traits, *, steps: int, batch: int, learning_rate: float, seed: int
    ) -> None:
        super().__init__()
        self.mapping, self.traits, self.seed = mapping, traits, seed
        self.steps, self.batch, self.learning_rate = steps, batch, learning_rate

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        z = _latents(self.batch, self.mapping.z_dim, self.seed * 1_000_003 + self.global_step).to(self.device)
        loss = self.traits.loss(self.mapping(z, None), z)
        told(self.global_step, {"traits": loss}, every=1000)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=(0.9, 0.99))
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(step, self.steps, warm_up=self.steps // 10, decay=0.9)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def teach(
    generator: Any, traits: Traits, seed: int, *, steps: int, batch: int = 512, learning_rate: float = 4e-3
) -> None:
    """Trains a generator's mapping network, in place; what the styles of latents were, they are as near as may be.

    Args:
        generator: a `stylegan2` without classes.
        traits: learns to read what the codes tell.
    """
    before = copy.deepcopy(generator.map)
    module = MappingTraining(
        generator.map, traits, steps=steps, batch=batch, learning_rate=learning_rate, seed=seed
    )
    quiet_trainer(steps=steps, callbacks=[], accelerator="cpu", devices=1).fit(module, ticks())
    carry_styles(generator, before, seed)


@torch.no_grad()
def carry_styles(generator: Any, before: nn.Module, seed: int, *, ridge: float = 1e-5) -> None:
    """Fits every layer's affine part to the styles that it gave for the codes of another mapping network.

    Codes hardly vary in some directions. There the fit may take any slope, and takes a steep one for a little gain;
    a code that leaves those of the mapping network, as codes of inversions do, is then thrown about.

    Args:
        before: the mapping network of those codes; the generator's own for the same codes with gentler slopes.
        seed: of the latents over which the squared difference is least.
        ridge: what a slope costs, as a share of the codes' mean variance.
    """
    z = _latents(SAMPLED, generator.z_dim, seed)
    old, new = before(z, None), generator.map(z, None)
    for layer in generator.styled_layers():
        found = _least_squares(new, layer.affine(old), ridge)
        layer.affine.weight.copy_(found[:-1].T / layer.affine.weight_gain)
        layer.affine.bias.copy_(found[-1] / layer.affine.bias_gain)


def _least_squares(known: Tensor, wanted: Tensor, ridge: float = 1e-5) -> Tensor:
    """(k + 1, m): weights, and in the last row the offset, with which known, (n, k), tells wanted, (n, m), best.

    Args:
        ridge: what the square of a weight costs, as a share of the mean variance of what is known.
    """
    rows = torch.cat([known, torch.ones_like(known[:, :1])], 1).double()
    square = rows.T @ rows
    square.diagonal()[:-1] += ridge * len(known) * float(known.var(0).mean())
    return torch.linalg.solve(square, rows.T @ wanted.double()).float()


def _latents(n: int, z_dim: int, seed: int) -> Tensor:
    return torch.randn(n, z_dim, generator=torch.Generator().manual_seed(seed))
