"""Trains a generator adversarially on drawn faces or a folder of pictures, and goes on where it was stopped."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from chunkygan.build import create
from chunkygan.errors import ChunkyGANError, ComponentError
from chunkygan.images import write_image
from chunkygan.lightning.adversarial_augment import GROUPS
from chunkygan.lightning.adversarial_losses import default_gamma
from chunkygan.lightning.adversarial_measures import Yardstick, keep_score
from chunkygan.lightning.adversarial_parts import anchor_of, first_generator, reduced, resolution_of
from chunkygan.lightning.adversarial_reals import Reals
from chunkygan.lightning.adversarial_training import AdversarialTraining, Options
from chunkygan.lightning.generator_export import draw, write_weights
from chunkygan.lightning.resumable import write_scores
from chunkygan.lightning.trainer import quiet_trainer, shared_gradients, ticks
from chunkygan.pictures import grid

SHEET = (8, 4)
"""Columns and rows of a sheet of samples."""


class _Keep(pl.Callback):
    """Prints losses, keeps the state, the weights and a sheet, and measures; ends the training at its last step."""

    def __init__(self, out_dir: Path, yardstick: Yardstick | None, save_every: int, measure_every: int) -> None:
        self.out_dir, self.yardstick = out_dir, yardstick
        self.save_every, self.measure_every = save_every, measure_every
        self.begun, self.first = time.monotonic(), 0

    def setup(self, trainer: pl.Trainer, module: Any, stage: str) -> None:
        share = module.options.batch / trainer.world_size
        if share != int(share):
            raise ComponentError(
                f"training.batch: {module.options.batch} pictures cannot be shared by {trainer.world_size} devices"
            )

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        self.begun, self.first = time.monotonic(), module.step
        module.reals.begin(alone=trainer.is_global_zero, wait=trainer.strategy.barrier)
        if self.yardstick:
            self.yardstick.metric.to(module.device)
        if module.step >= module.options.steps:
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        step, done = module.step, module.step >= module.options.steps
        if step % 50 == 0 and trainer.is_global_zero:
            self.tell(module)
        if step % self.save_every == 0 or done:
            self.keep(trainer, module)
        if self.yardstick and (step % self.measure_every == 0 or done):
            self.measure(trainer, module)
        if done:
            trainer.should_stop = True

    def tell(self, module: Any) -> None:
        numbers = " ".join(f"{name} {float(value):.3f}" for name, value in module.last.items())
        speed = (module.step - self.first) * module.options.batch / (time.monotonic() - self.begun)
        pictures = module.step * module.options.batch
        print(f"step {module.step} pictures {pictures} {numbers} p {module.p:.3f} ({speed:.1f}/s)", flush=True)

    def keep(self, trainer: pl.Trainer, module: Any) -> None:
        odd = [name for name, value in module.last.items() if not bool(value.isfinite())]
        if odd:
            raise ChunkyGANError(
                f"training: {', '.join(odd)} is no number any more at step {module.step}; the state before it is kept "
                f"in {self.out_dir}. Lower training.learning_rate or raise training.gamma"
            )
        state, part = self.out_dir / "state.ckpt", self.out_dir / "state.part"
        trainer.save_checkpoint(part)
        if not trainer.is_global_zero:
            return
        part.replace(state)
        columns, rows = SHEET
        z = torch.randn(columns * rows, module.average.z_dim, generator=torch.Generator().manual_seed(1))
        drawn = draw(module.average, z.to(module.device), size=module.options.size)
        write_image(self.out_dir / f"samples_{module.step:07d}.png", grid(drawn, columns))
        pictures = str(module.step * module.options.batch)
        write_weights(module.average, self.out_dir / "generator.safetensors", adversarial_pictures=pictures)

    def measure(self, trainer: pl.Trainer, module: Any) -> None:
        assert self.yardstick is not None
        share = dict(rank=module.global_rank, world=trainer.world_size)
        found, floor = self.yardstick.distance(module.average, **share), self.yardstick.floor(**share)
        if trainer.is_global_zero:
            score = {"pictures": module.step * module.options.batch, self.yardstick.name: found, "floor": floor}
            keep_score(self.out_dir / "scores.json", {**score, "p": module.p})
            name = self.yardstick.name
            write_scores(self.out_dir / "scores.txt", {name: found, f"{name}_floor": floor})
            print(f"step {module.step} {self.yardstick.name} {found:.4f} floor {floor:.4f}", flush=True)


def train(
    dataset: Any,
    out_dir: Path,
    seed: int,
    *,
    discriminator: dict[str, Any] | None = None,
    perceptual: dict[str, Any] | None = None,
    start: str | None = None,
    generator: dict[str, Any] | None = None,
    pictures: int = 1_500_000,
    batch: int = 32,
    learning_rate: float = 0.002,
    mapping_rate: float = 1.0,
    discriminator_rate: float = 1.0,
    anchor_pixels: float = 0.0,
    anchor_features: float = 0.0,
    anchor_size: int | None = None,
    gamma: float | None = None,
    r1_interval: int = 16,
    path_length: float = 2.0,
    path_interval: int = 4,
    mixing: float = 0.9,
    average: float = 10_000,
    average_ramp_up: float = 0.05,
    head_start: int = 0,
    size: int | None = None,
    augment: list[Literal["blit", "geometry", "colour"]] | None = None,
    augment_target: float | None = 0.6,
    augment_p: float = 0.0,
    augment_span: float = 500_000,
    first_items: int = 4096,
    item_growth: int = 4,
    save_every: int = 500,
    measure_every: int = 2000,
    measured: int = 1024,
    cache: str | None = None,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains, and goes on where an earlier call with this `out_dir` was stopped.

    Args:
        dataset: `procfaces`, `folder`, or one with the same `resolution` and `cached(folder)`.
        out_dir: gets ``state.ckpt``, sheets of samples, ``scores.json``, the last of them as ``scores.txt``,
            and ``generator.safetensors``.
        discriminator: its component; None: StyleGAN2's.
        perceptual: the network whose features the Frechet distance compares; None: it is not measured.
        start: a generator's weights, by name or file, to begin with; None: random ones.
        generator: arguments of `stylegan2`: of a fresh one, or over those of the file.
        pictures: how many real pictures the discriminator sees in all, repeats included.
        batch: pictures a step, on all devices together.
        learning_rate: of Adam, for both networks.
        mapping_rate: the mapping network's learning rate as a share of that: 0.01 for one whose weights are stored as
            they are used (`mapping_lr_multiplier` 1), 1 for the usual multiplier of 0.01.
        discriminator_rate: the discriminator's learning rate as a share of that.
        anchor_pixels, anchor_features: weights of the differences between what is drawn for a latent and the picture
            that the data set has for it: of pixels, and of the feature maps of `perceptual`. 0 for both: the
            generator's pictures need only be like real ones. Anchored pictures have one style each.
        anchor_size: longer side that both are averaged down to before pixels are compared; None: as they are.
        gamma: weight of R1; None: 0.0002 resolution^2 / batch.
        r1_interval, path_interval: steps between two steps of each regulariser.
        path_length: weight of the path-length penalty; 0: none.
        mixing: share of pictures with two styles.
        average: pictures after which half of the running mean is replaced.
        average_ramp_up: early on, no more than this share of the pictures seen.
        head_start: steps in which only the discriminator learns, where the generator already can draw.
        size: longer side in pixels of the generator's partial sum that learns, and that pictures are averaged down to:
            outlines are learnt sooner where pictures are cheap. None: the whole picture.
        augment: groups of changes; None: all three. An empty list: no augmentation.
        augment_target: how sure of real pictures the discriminator may be, 0 to 1; None: the probability stays.
        augment_p: the probability to begin with.
        augment_span: pictures over which the probability could go from 0 to 1.
        first_items, item_growth: real pictures that are drawn before the first step, and with each step after it; a
            folder's are all there.
        save_every, measure_every: in steps.
        measured: pictures of each set of the Frechet distance.
        cache: folder of the real pictures; None: in `out_dir`.
        trainer: options of Lightning's Trainer.

    Returns:
        Path of the weights: those of the running mean.

    Raises:
        ComponentError: generator and data set do not fit, or the batch cannot be shared by the devices.
        ChunkyGANError: a loss is no number any more.
        KeyboardInterrupt: the user interrupted.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    resolution = resolution_of(dataset)
    drawing = first_generator(start, generator or {}, resolution)
    judged = reduced(resolution, size)
    judging = create("discriminator", discriminator or "stylegan2", resolution=judged, c_dim=0)
    options = Options(
        pictures, batch, learning_rate, mapping_rate, discriminator_rate,
        default_gamma(min(judged), batch) if gamma is None else gamma,
        r1_interval, path_length, path_interval, mixing, average, average_ramp_up, head_start, size,
        GROUPS if augment is None else tuple(augment), augment_target, augment_p, augment_span,
    )  # fmt: skip
    folder = Path(cache) if cache else out_dir / "cache"
    first = max(first_items, 2 * measured if perceptual else 1)
    reals = Reals(dataset, folder, seed, first=first, growth=item_growth, size=size)
    yardstick = None
    if perceptual:
        yardstick = Yardstick(create("perceptual", perceptual), reals, measured, judged)
    anchor = anchor_of(dataset, drawing, anchor_pixels, anchor_features, anchor_size, perceptual)
    module = AdversarialTraining(drawing, judging, reals, options, seed, anchor)
    (out_dir / "options.txt").write_text(f"{asdict(options)}\n", encoding="utf-8")
    state = out_dir / "state.ckpt"
    keep = _Keep(out_dir, yardstick, save_every, measure_every)
    runner = quiet_trainer(steps=-1, callbacks=[keep], **{"max_epochs": -1, **shared_gradients(trainer or {})})
    try:
        runner.fit(module, ticks(), ckpt_path=state if state.exists() else None, weights_only=True)
    except SystemExit as interrupted:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from interrupted
    return out_dir / "generator.safetensors"
