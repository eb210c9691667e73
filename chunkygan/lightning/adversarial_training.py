"""StyleGAN2's adversarial training as a LightningModule.

Each step: the generator's loss, every few steps its path-length penalty, the discriminator's loss of the same drawn
pictures, every few steps its gradient penalty, then the running mean of the generator, which is what ships.

Source: Karras et al. 2020, appendix B; augmentation from Karras et al. 2020-ada.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from chunkygan.interfaces import Discriminator, Generator
from chunkygan.lightning.adversarial_anchor import Anchor
from chunkygan.lightning.adversarial_augment import GROUPS, adapted, augment
from chunkygan.lightning.adversarial_chance import rng_of
from chunkygan.lightning.adversarial_losses import (
    average_keep,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    lazy,
    moving_mean,
    path_length_penalty,
    path_lengths,
)
from chunkygan.lightning.adversarial_reals import Reals
from chunkygan.lightning.adversarial_sampling import fresh_noise, mixed_ws


@dataclass(frozen=True)
class Options:
    """How to train; the arguments of `adversarial_run.train` of the same names, all numbers settled."""

    pictures: int
    batch: int
    learning_rate: float
    mapping_rate: float
    discriminator_rate: float
    gamma: float
    r1_interval: int
    path_length: float
    path_interval: int
    mixing: float
    average: float
    average_ramp_up: float
    head_start: int
    size: int | None = None
    augment: Sequence[str] = GROUPS
    augment_target: float | None = 0.6
    augment_p: float = 0.0
    augment_span: float = 500_000.0
    adapt_interval: int = 4

    @property
    def steps(self) -> int:
        return math.ceil(self.pictures / self.batch)


class AdversarialTraining(pl.LightningModule):
    """A generator against a discriminator.

    All random numbers come from seed, step and process, so that a resumed training ends where an unbroken one does.

    Args:
        generator, discriminator: trained in place.
        reals: the real pictures.
        anchor: keeps what is drawn near the data set's picture of the same latent; None: nothing does.

    Attributes:
        step: optimisation steps done.
        p: probability of augmentation.
        average: the running mean of the generator.
        last: the latest value of every loss.
    """

    mean_length: Tensor
    signs: Tensor

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        reals: Reals,
        options: Options,
        seed: int,
        anchor: Anchor | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator, self.anchor = generator, discriminator, anchor
        self.average = copy.deepcopy(generator).requires_grad_(False)
        self.reals, self.options, self.seed = reals, options, seed
        self.noise_sizes = [(noise.shape[-2], noise.shape[-1]) for noise in generator.noise_maps()]
        self.step, self.p = 0, options.augment_p
        self.drawn: Tensor | None = None
        self.last: dict[str, Tensor] = {}
        self.register_buffer("mean_length", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(2))  # sum of signs of real logits, and how many

    # What is drawn

    def rng(self, purpose: str) -> torch.Generator:
        """Random numbers of this step, on this module's device."""
        return rng_of(self.seed, self.step, purpose, self.global_rank, self.device)

    def draw(self, n: int, purpose: str, z: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """n pictures, of random latents or of z (n, z_dim), and the codes (n, num_ws, w_dim) they were drawn from."""
        rng = self.rng(purpose)
        ws = mixed_ws(self.generator, n, self.options.mixing, rng) if z is None else self.generator.mapping(z)
        noise = fresh_noise(self.noise_sizes, n, rng)
        return self.generator.synthesis(self.generator.styles(ws), noise=noise, size=self.options.size), ws

    def changed(self, images: Tensor, purpose: str) -> Tensor:
        """The pictures as the discriminator sees them."""
        return augment(images, self.p, self.rng(f"augment {purpose}"), self.options.augment)

    def real(self) -> dict[str, Tensor]:
        """This step's real pictures, and what is known about them."""
        world = self.trainer.world_size
        batch = self.reals.batch(
            self.step, self.options.batch, rank=self.global_rank, world=world, wait=self.trainer.strategy.barrier
        )
        return {name: value.to(self.device) for name, value in batch.items()}

    # The losses

    def generator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Of as many pictures as the batch has; they are kept for the discriminator's turn."""
        images, _ = self.draw(len(batch["image"]), "generator", batch["z"] if self.anchor else None)
        self.drawn = images.detach()
        loss = generator_loss(self.discriminator(self.changed(images, "generator")))
        if self.anchor is None:
            return loss
        apart = self.anchor(images, batch["image"], batch["labels"])
        self.last["anchor"] = apart.detach()
        return loss + apart

    def path_loss(self, n: int) -> Tensor:
        """The path-length penalty of n pictures, in single precision whatever the rest runs in."""
        with torch.autocast(self.device.type, enabled=False):
            images, ws = self.draw(n, "path")
            noise = torch.randn(images.shape, generator=self.rng("path noise"), device=self.device)
            lengths = path_lengths(images, ws, noise)
            self.mean_length = self.over_processes(moving_mean(self.mean_length, lengths))
            self.last["path"] = lengths.detach().mean()
            return self.options.path_length * path_length_penalty(lengths, self.mean_length)

    def discriminator_loss(self, real: Tensor) -> Tensor:
        if self.drawn is None:
            with torch.no_grad():
                self.drawn, _ = self.draw(len(real), "discriminator")
        drawn_logits = self.discriminator(self.changed(self.drawn, "drawn"))
        logits = self.discriminator(self.changed(real, "real"))
        self.signs = self.signs + torch.stack([logits.detach().sign().sum(), logits.new_tensor(logits.numel())])
        return discriminator_loss(logits, drawn_logits)

    def gradient_loss(self, real: Tensor) -> Tensor:
        """R1 at what the discriminator sees, so that augmentation is differentiated once only; in single precision."""
        with torch.autocast(self.device.type, enabled=False):
            seen = self.changed(real, "real").detach().requires_grad_()
            penalty = gradient_penalty(self.discriminator(seen), seen)
            self.last["r1"] = penalty.detach()
            return self.options.gamma / 2 * penalty

    # A step

    def training_step(self, tick: Tensor, batch_idx: int) -> None:
        options = self.options
        optimizers: Any = self.optimizers()
        for_generator, for_discriminator = optimizers
        batch = self.real()
        real, self.drawn = batch["image"], None
        if self.step >= options.head_start:
            self.improve(for_generator, "generator", lambda: self.generator_loss(batch))
            if options.path_length and self.step % options.path_interval == 0:
                few = max(1, len(real) // 2)
                self.improve(for_generator, "path_loss", lambda: self.path_loss(few), options.path_interval)
        self.improve(for_discriminator, "discriminator", lambda: self.discriminator_loss(real))
        if options.gamma and self.step % options.r1_interval == 0:
            self.improve(for_discriminator, "r1_loss", lambda: self.gradient_loss(real), options.r1_interval)
        self.move_average()
        self.step += 1
        if self.step % options.adapt_interval == 0:
            self.adapt()

    def improve(self, optimizer: Any, name: str, loss: Any, weight: float = 1.0) -> None:
        """One optimiser step of one network, the other one at rest."""
        self.toggle_optimizer(optimizer)
        optimizer.zero_grad()
        value = loss()
        self.manual_backward(value * weight)
        optimizer.step()
        self.untoggle_optimizer(optimizer)
        torch.clear_autocast_cache()  # or half-precision copies of the weights before this step would be used on
        self.last[name] = value.detach()

    @torch.no_grad()
    def move_average(self) -> None:
        """The running mean of the weights follows the generator."""
        options = self.options
        keep = average_keep(options.batch, self.step * options.batch, options.average, options.average_ramp_up)
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - keep)

    def adapt(self) -> None:
        """Augmentation's probability moves towards its target."""
        if self.options.augment_target is None or not self.options.augment:
            return
        total, count = self.over_processes(self.signs).tolist()
        pictures = self.options.adapt_interval * self.options.batch
        self.p = adapted(self.p, total / count, self.options.augment_target, pictures, self.options.augment_span)
        self.last["sure"] = torch.tensor(total / count)
        self.signs = torch.zeros_like(self.signs)

    def over_processes(self, value: Tensor) -> Tensor:
        """The mean of a value over all processes."""
        mean: Tensor = self.trainer.strategy.reduce(value, reduce_op="mean")
        return mean

    # Lightning's

    def configure_optimizers(self) -> Any:
        options = self.options
        mapping: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, parameter in self.generator.named_parameters():
            (mapping if name.startswith(("map.", "mapping.")) else rest).append(parameter)
        own = lazy(options.learning_rate, (0.0, 0.99), options.path_interval if options.path_length else 0)
        groups = [{"params": rest}, {"params": mapping, "lr": own["lr"] * options.mapping_rate}]
        rate = options.learning_rate * options.discriminator_rate
        of = lazy(rate, (0.0, 0.99), options.r1_interval if options.gamma else 0)
        judging = [parameter for parameter in self.discriminator.parameters() if parameter.requires_grad]
        drawing = [group for group in groups if group["params"]]
        return [torch.optim.Adam(drawing, **own), torch.optim.Adam(judging, **of)]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["adversarial"] = {"step": self.step, "p": self.p}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.step, self.p = checkpoint["adversarial"]["step"], checkpoint["adversarial"]["p"]
