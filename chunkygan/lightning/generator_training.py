"""Trains a generator on drawn faces: it learns the picture that the renderer draws for each latent.

Both the mapping network and the synthesis learn: the renderer's parameters are a fixed mixture of the
latent's coordinates, and W is whatever the networks make of them. The mapping may be taught first what
latents stand for (`mapping_training`). Sizes grow, so that most pictures are seen where they are cheap.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.errors import ComponentError
from chunkygan.interfaces import Perceptual
from chunkygan.lightning.adversarial_reals import Reals
from chunkygan.lightning.generator_export import write_sheet, write_weights
from chunkygan.lightning.generator_losses import (
    PART_WEIGHTS,
    feature_distance,
    part_weights,
    pyramid_distance,
    shrink,
    texture_distance,
)
from chunkygan.lightning.generator_schedule import Stage, rate_at, stage_at, stages_of
from chunkygan.lightning.generator_scores import regression_scores, set_scores
from chunkygan.lightning.generator_widening import widened
from chunkygan.lightning.mapping_training import Traits, carry_styles, teach
from chunkygan.lightning.resumable import write_scores
from chunkygan.lightning.trainer import quiet_trainer, shared_gradients, ticks


@dataclass(frozen=True)
class Options:
    """How to train; the arguments of `train` of the same names."""

    stages: list[Stage]
    learning_rate: float = 3e-3
    warm_up: int = 200
    decay: float = 0.5
    average: float = 0.999
    edges: float = 1.0
    mapping_rate: float = 1.0
    style_rate: float = 1.0
    features: float = 0.0
    traits: float = 0.0
    texture: float = 0.0
    part_weights: Mapping[str, float] = field(default_factory=lambda: dict(PART_WEIGHTS))

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)


class GeneratorTraining(pl.LightningModule):
    """Regression of drawn faces; `average` is the running mean of the generator, which is what ships.

    Args:
        generator: trained in place.
        reals: the pictures to learn.
        classes: names of their label classes.
        perceptual: whose features are compared, where `options.features` is not 0.
        traits: reads from codes what latents stand for, where `options.traits` is not 0.
    """

    weights: Tensor

    def __init__(
        self,
        generator: Any,
        reals: Reals,
        classes: Sequence[str],
        options: Options,
        *,
        perceptual: Perceptual | None = None,
        traits: Traits | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.average = generator, copy.deepcopy(generator).requires_grad_(False)
        self.reals, self.options, self.traits = reals, options, traits
        self.perceptual = perceptual if options.features else None
        self.register_buffer("weights", torch.tensor([options.part_weights.get(name, 1.0) for name in classes]))

    def batch(self) -> dict[str, Tensor]:
        """This process's share of what a step sees; draws the pictures that are not there yet."""
        size, runner = stage_at(self.options.stages, self.global_step).batch, self.trainer
        wait = runner.strategy.barrier
        batch = self.reals.batch(self.global_step, size, rank=self.global_rank, world=runner.world_size, wait=wait)
        return {name: value.to(self.device) for name, value in batch.items()}

    def loss(self, batch: dict[str, Tensor], size: int) -> Tensor:
        """Distance of what is drawn at `size` from the pictures of the batch, and of codes from what latents tell."""
        options, wanted = self.options, shrink(batch["image"], size)
        weights = shrink(part_weights(batch["labels"], self.weights), size)
        ws = self.generator.mapping(batch["z"])
        drawn = self.generator.synthesis(self.generator.styles(ws), noise="none", size=size)
        loss = pyramid_distance(drawn, wanted, weights, edges=options.edges)
        if options.texture:
            loss = loss + options.texture * texture_distance(drawn, wanted, weights)
        if self.perceptual is not None:
            loss = loss + options.features * feature_distance(self.perceptual, drawn, wanted)
        if self.traits is not None and options.traits:
            loss = loss + options.traits * self.traits.loss(ws[:, 0], batch["z"])
        return loss

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.loss(self.batch(), stage_at(self.options.stages, self.global_step).size)
        self.last_loss = loss.detach()
        return loss

    def on_before_zero_grad(self, optimizer: Any) -> None:
        """After each optimiser step: moves the average, quickly at first."""
        keep = min(self.options.average, (1 + self.global_step) / (10 + self.global_step))
        means, now = list(self.average.parameters()), list(self.generator.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(means, now, 1 - keep)

    def configure_optimizers(self) -> Any:
        options, groups = self.options, defaultdict(list)
        for name, value in self.named_parameters():
            if value.requires_grad:
                mapping, style = name.startswith("generator.map."), ".affine." in name
                groups[options.mapping_rate if mapping else options.style_rate if style else 1.0].append(value)
        rated = [{"params": values, "lr": options.learning_rate * rate} for rate, values in groups.items()]
        optimizer = torch.optim.Adam(rated, betas=(0.9, 0.99), fused=True)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(step, options.steps, warm_up=options.warm_up, decay=options.decay)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class _Keep(pl.Callback):
    """Every `every` steps: the state to go on from, a sheet of samples beside the truth, and the weights."""

    def __init__(self, out_dir: Path, every: int, faces: Mapping[str, Tensor]) -> None:
        self.out_dir, self.every, self.faces, self.recent = out_dir, every, faces, 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        step = trainer.global_step
        self.recent = 0.98 * self.recent + 0.02 * float(module.last_loss) if self.recent else float(module.last_loss)
        if step % 50 == 0 and trainer.is_global_zero:
            size = stage_at(module.options.stages, step - 1).size
            print(f"step {step} size {size} loss {self.recent:.4f}", flush=True)
        if step % self.every == 0:
            self.keep(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: Any) -> None:
        self.keep(trainer, module)

    def keep(self, trainer: pl.Trainer, module: Any) -> None:
        part = self.out_dir / "state.part"
        trainer.save_checkpoint(part)
        if not trainer.is_global_zero:
            return
        part.replace(self.out_dir / "state.ckpt")
        size = stage_at(module.options.stages, trainer.global_step - 1).size
        sheet = self.out_dir / f"samples_{trainer.global_step:06d}.png"
        write_sheet(module.average, self.faces["z"], shrink(self.faces["image"], size), sheet, size=size)
        write_weights(module.average, self.out_dir / "generator.safetensors")


def first_generator(start: str | None, options: Mapping[str, Any]) -> Any:
    """The one to train: `start` again, widened to the channels that are asked for, or a fresh StyleGAN2 whose sizes
    add little, so that growing is smooth."""
    if start:
        found = create("generator", {"name": "stylegan2", "weights": start})
        if channels := options.get("channels"):
            found = widened(found, channels)
        return found.requires_grad_(True).train()
    generator = create("generator", {"name": "stylegan2", **options})
    with torch.no_grad():
        for name, value in generator.named_parameters():
            if name.endswith("torgb.weight"):
                value.mul_(0.1)
    return generator


def train(
    dataset: Any,
    out_dir: Path,
    seed: int,
    *,
    start: str | None = None,
    generator: dict[str, Any] | None = None,
    sizes: list[int] | None = None,
    steps: list[int] | None = None,
    batches: list[int] | None = None,
    learning_rate: float = 3e-3,
    warm_up: int = 200,
    decay: float = 0.5,
    average: float = 0.999,
    edges: float = 1.0,
    first_items: int = 2048,
    item_growth: int = 16,
    mapping_steps: int = 0,
    mapping_rate: float = 1.0,
    style_rate: float = 1.0,
    style_ridge: float = 0.0,
    features: float = 0.0,
    traits: float = 0.0,
    texture: float = 0.0,
    save_every: int = 500,
    cache: str | None = None,
    held_out: int = 100,
    compared: int = 2000,
    perceptual: dict[str, Any] | None = None,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains, and goes on where an earlier call with this `out_dir` was stopped.

    Args:
        dataset: `procfaces`, or one with the same `cached(folder)`, `classes` and `held_out(count)`; for the mapping's
            lessons and `traits` also `traits_of(z)`.
        out_dir: gets ``state.ckpt``, sheets of samples, ``scores.txt`` and ``generator.safetensors``.
        start: a generator's weights, by name or file, to go on from; None: random ones.
        generator: arguments of `stylegan2` where there is no `start`; where there is one, `channels` may ask for more
            channels than it has, without a change of what it draws.
        sizes, steps, batches: one number a stage: pixels a side, steps, pictures a step.
        warm_up, decay: steps over which the learning rate rises; the share of all steps over which it falls.
        average: how much the shipped mean keeps at each step.
        edges: weight of the slopes' difference next to the pixels'.
        first_items, item_growth: pictures drawn before the first step, and with each step after it.
        mapping_steps: steps in which the mapping network alone learns to tell what latents stand for, before the first.
        mapping_rate, style_rate: learning rates of the mapping network and of the layers that make styles of codes, as
            multiples of the others'. A style's weights are scaled down when used, so that at 1 they learn slowly.
        style_ridge: before the first step, how gentle styles become where codes hardly vary, so that codes beyond those
            of the mapping network can be fitted well (`carry_styles`); 0: as steep as they are.
        features: weight of the difference of `perceptual`'s feature maps next to that of pixels.
        traits: weight of what codes tell of latents.
        texture: weight of the difference in how strongly pixels vary near each place, next to that of pixels.
        cache: folder of the drawn pictures; None: in `out_dir`.
        held_out: pictures of the test split for the scores.
        compared: pictures of each set that the Frechet distance compares, at most half of the first items.
        perceptual: the network whose features these are, and that distance's; None: it is not measured.
        trainer: options of Lightning's Trainer.

    Returns:
        Path of the weights.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    stages = stages_of(sizes or [32, 64, 128], steps or [4000, 4000, 8000], batches or [32, 24, 16])
    options = Options(
        stages, learning_rate, warm_up, decay, average, edges, mapping_rate, style_rate, features, traits, texture
    )
    network = first_generator(start, {"resolution": stages[-1].size, "z_dim": dataset.z_dim, **(generator or {})})
    folder, state = Path(cache) if cache else out_dir / "cache", out_dir / "state.ckpt"
    comparing = create("perceptual", perceptual) if perceptual else None
    if features and comparing is None:
        raise ComponentError("training.features: there is no perceptual network to compare features with")
    reader = None
    if mapping_steps or traits:
        reader = Traits(dataset, network.map, seed)
    if not state.exists():
        if reader and mapping_steps:
            teach(network, reader, seed, steps=mapping_steps)
        if style_ridge:
            carry_styles(network, network.map, seed, ridge=style_ridge)
    reals = Reals(dataset, folder, seed, first=first_items, growth=item_growth)
    module = GeneratorTraining(network, reals, dataset.classes, options, perceptual=comparing, traits=reader)
    (out_dir / "options.txt").write_text(f"{asdict(options)}\n")
    keep = _Keep(out_dir, save_every, dataset.held_out(16))
    runner = quiet_trainer(steps=options.steps, callbacks=[keep], **shared_gradients(trainer or {}))
    runner.fit(module, ticks(), ckpt_path=state if state.exists() else None, weights_only=False)
    found, sets = module.average.eval(), dict[str, float]()
    if comparing is not None:
        reals = Reals(dataset, folder, seed, first=max(first_items, 2 * compared), growth=0)
        reals.begin(alone=runner.is_global_zero, wait=runner.strategy.barrier)
        share = {"rank": runner.global_rank, "world": runner.world_size}
        sets = set_scores(found, reals, comparing, compared, **share)
    if runner.is_global_zero:
        held = dataset.held_out(held_out, supersampling=2)
        write_scores(out_dir / "scores.txt", {**regression_scores(found, held, dataset.classes), **sets})
    return out_dir / "generator.safetensors"
