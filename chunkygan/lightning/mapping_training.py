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
    """Reads what a data set tells of latents from their codes, linearly.

    Args:
        dataset: with `traits_of(z)`, (n, k).
        z_dim, w_dim: widths of latents and codes.
        seed: of the latents that tell the traits' means and spreads.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, dataset: Any, z_dim: int, w_dim: int, seed: int) -> None:
        super().__init__()
        self.dataset = dataset
        known = dataset.traits_of(_latents(SAMPLED, z_dim, seed))
        self.register_buffer("mean", known.mean(0))
        self.register_buffer("spread", known.std(0).clamp(min=1e-6))
        self.read = nn.Linear(w_dim, known.shape[1])

    def loss(self, codes: Tensor, z: Tensor) -> Tensor:
        """Mean squared difference, in the traits' standard deviations, of what codes (n, w_dim) tell of latents z."""
        wanted = (self.dataset.traits_of(z) - self.mean) / self.spread
        return (self.read(codes) - wanted).square().mean()


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
    carry_styles(generator, before, _latents(SAMPLED, generator.z_dim, seed))


@torch.no_grad()
def carry_styles(generator: Any, before: nn.Module, z: Tensor) -> None:
    """Fits every layer's affine part to the styles that it gave for the codes of another mapping network.

    Args:
        before: the mapping network of those codes.
        z: (n, z_dim), latents over which the squared difference is least.
    """
    old, new = before(z, None), generator.map(z, None)
    spread = new.std(0).mean()
    rows = torch.cat([new, torch.ones_like(new[:, :1])], 1).double()
    ridge = 1e-5 * len(z) * float(spread) ** 2 * torch.eye(rows.shape[1], dtype=torch.float64, device=z.device)
    solve = torch.linalg.solve(rows.T @ rows + ridge, rows.T)
    for layer in generator.styled_layers():
        found = (solve @ layer.affine(old).double()).float()
        layer.affine.weight.copy_(found[:-1].T / layer.affine.weight_gain)
        layer.affine.bias.copy_(found[-1] / layer.affine.bias_gain)


def _latents(n: int, z_dim: int, seed: int) -> Tensor:
    return torch.randn(n, z_dim, generator=torch.Generator().manual_seed(seed))
