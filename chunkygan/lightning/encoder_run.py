"""Trains an encoder for any generator, on drawn and on real pictures, and goes on where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.checkpoint_files.encoder_states import write_encoder
from chunkygan.errors import ChunkyGANError, ComponentError
from chunkygan.images import write_image
from chunkygan.interfaces import Generator, Identity, Perceptual
from chunkygan.lightning.encoder_losses import Weights
from chunkygan.lightning.encoder_pairs import Pairs, mixed_codes
from chunkygan.lightning.encoder_training import EncoderTraining, Options
from chunkygan.lightning.resumable import told, write_scores
from chunkygan.lightning.trainer import quiet_trainer, ticks
from chunkygan.objective import l2 as squared
from chunkygan.pictures import grid

SHOWN = 8
"""Pictures on the sheet."""


class _Keep(pl.Callback):
    """Prints losses, keeps the state, and ends the training at its last step."""

    def __init__(self, state: Path, every: int) -> None:
        self.state, self.every, self.begun, self.first = state, every, time.monotonic(), 0

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        self.begun, self.first = time.monotonic(), module.step
        if module.step >= module.options.steps:
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        told(module.step, module.last)
        done = module.step >= module.options.steps
        if module.step % self.every == 0 or done:
            odd = [name for name, value in module.last.items() if not bool(value.isfinite())]
            if odd:
                raise ChunkyGANError(
                    f"training: {', '.join(odd)} is no number any more at step {module.step}; the state before it is "
                    f"kept in {self.state.parent}. Lower training.learning_rate"
                )
            trainer.save_checkpoint(self.state.with_suffix(".part"))
            self.state.with_suffix(".part").replace(self.state)
        if done:
            trainer.should_stop = True


@torch.no_grad()
def score(
    encoder: Any, generator: Generator, images: Tensor, perceptual: Perceptual | None, identity: Identity | None
) -> dict[str, float]:
    """Measures of what an encoder's codes draw of pictures (n, 3, h, w), and as ``mean_...`` of what the mean draws."""

    def drawn(codes: Tensor) -> Tensor:
        return torch.cat([generator.synthesis(generator.styles(part)) for part in codes.split(SHOWN)])

    found: dict[str, float] = {}
    codes = torch.cat([encoder(part) for part in images.split(SHOWN)])
    for prefix, ws in (("", codes), ("mean_", generator.w_avg.expand_as(codes))):
        image = drawn(ws)
        found[f"{prefix}l2"] = float(squared(image, images).mean())
        for network in (perceptual, identity):
            if network is not None:
                parts = [network(*both) for both in zip(image.split(SHOWN), images.split(SHOWN))]
                found[f"{prefix}{network.name}"] = float(torch.cat(parts).mean())
    return found


def _encoder(name: str, generator: Generator, network: Mapping[str, Any], iterations: int | None) -> Any:
    """An untrained encoder.

    Raises:
        ComponentError: there is none of that name that can be trained.
    """
    spec: dict[str, Any] = {"name": name, "config": dict(network)}
    if iterations is not None:
        spec["iterations"] = iterations
    encoder = create("encoder", spec, generator=generator)
    if not all(hasattr(encoder, part) for part in ("network", "corrected", "mean_codes", "drawn", "iterations")):
        raise ComponentError(f"training.encoder: '{name}' is no encoder of the pSp family; those can be trained")
    return encoder


def train(
    dataset: Any,
    out_dir: Path,
    seed: int,
    *,
    generator: dict[str, Any],
    perceptual: dict[str, Any] | None = None,
    identity: dict[str, Any] | None = None,
    encoder: str = "psp",
    network: dict[str, Any] | None = None,
    iterations: int | None = None,
    steps: int = 200_000,
    batch: int = 8,
    compared: int | None = None,
    latents: bool = False,
    synthetic: int = 8,
    kept: int = 0,
    mixing: float = 0.0,
    items: int = 4096,
    learning_rate: float = 1e-4,
    l2: float = 1.0,
    lpips: float = 0.8,
    identity_weight: float = 0.1,
    code: float = 1.0,
    code_norm: float = 0.0,
    delta: float = 2e-4,
    adversarial: float = 0.1,
    discriminator_rate: float = 2e-5,
    gamma: float = 10.0,
    r1_interval: int = 16,
    stages_begin: float = 0.1,
    stages_end: float = 0.27,
    held_out: int = 64,
    save_every: int = 500,
    cache: str | None = None,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains, and goes on where an earlier call with this `out_dir` was stopped.

    Args:
        dataset: real pictures: `folder`, `procfaces` or one with the same `cached(folder)`; None: only those that the
            generator draws.
        out_dir: gets ``state.ckpt``, ``scores.txt``, ``sheet.png`` and ``encoder.safetensors``.
        generator: its component; it stays as it is.
        perceptual, identity: networks that compare pictures; None: without.
        encoder: registry name: `psp`, `e4e` or `restyle`.
        network: fields of `EncoderConfig` that differ from the published encoders.
        iterations: passes of `restyle`.
        batch: pictures of the data set a step.
        compared: how many of them are compared with what their codes draw, the slow part; None: all.
        latents: whether the data set knows the latents from which this generator draws its pictures, as a generator of
            `train_generator` does: their codes are known then.
        synthetic: drawn pictures a step, whose codes are known; without a data set they are compared too.
        kept: draw only so many of these, once; 0: new ones in every step.
        mixing: share of them with rows of two latents.
        items: of a data set that draws its pictures, how many to draw.
        learning_rate: of AdamW; falls over the last 70 % of the steps.
        l2, lpips, identity_weight, code, code_norm, delta, adversarial: weights of the terms, see `Weights`.
        discriminator_rate, gamma, r1_interval: step size, gradient penalty and its steps, of e4e's discriminator.
        stages_begin, stages_end: shares of the steps at which the first and the last row of e4e gets its difference.
        held_out: pictures that the scores are measured on, of the data set's test split where it has one, and drawn.
        cache: folder of the data set's pictures; None: in `out_dir`.
        trainer: options of Lightning's Trainer.

    Returns:
        Path of the weights.

    Raises:
        ComponentError: an encoder that cannot be trained, or no pictures to train on.
        ChunkyGANError: a loss is no number any more.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    if not synthetic and (dataset is None or not batch):
        raise ComponentError("training.synthetic: without a data set, drawn pictures are needed; got 0")
    torch.manual_seed(seed)
    drawing: Generator = create("generator", generator)
    made = _encoder(encoder, drawing, network or {}, iterations)
    lpips_net = create("perceptual", perceptual) if perceptual else None
    identity_net = create("identity", identity) if identity else None
    weights = Weights(l2, lpips, identity_weight, code, code_norm, delta, adversarial)
    pictures = None
    if dataset is not None and batch:
        pictures = dataset.cached(Path(cache) if cache else out_dir / "cache")
        items = min(items, pictures.count)
        pictures.fill(items)
    options = Options(
        steps, batch, items, compared or max(batch, synthetic), latents, synthetic, learning_rate, discriminator_rate,
        gamma, r1_interval, stages_begin, stages_end, weights,
    )  # fmt: skip
    pairs = Pairs(drawing, made.drawn, seed, mixing=mixing, kept=kept)
    module = EncoderTraining(made, drawing, pictures, pairs, lpips_net, identity_net, options, seed)
    state = out_dir / "state.ckpt"
    runner = quiet_trainer(steps=-1, callbacks=[_Keep(state, save_every)], **{"max_epochs": -1, **(trainer or {})})
    try:
        runner.fit(module, ticks(), ckpt_path=state if state.exists() else None, weights_only=True)
    except SystemExit as interrupted:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from interrupted
    path = _written(made, out_dir / "encoder.safetensors", generator)
    finished = create("encoder", _spec(encoder, path, iterations), generator=drawing.cpu())
    _judge(finished, drawing, dataset, out_dir, seed, held_out, lpips_net, identity_net)
    return path


def _spec(name: str, path: Path, iterations: int | None) -> dict[str, Any]:
    return {"name": name, "weights": str(path), **({} if iterations is None else {"iterations": iterations})}


def _written(encoder: Any, path: Path, generator: Mapping[str, Any]) -> Path:
    """Weights in half precision; what has one dimension, running variances among it, in single."""
    network = encoder.network.cpu()
    state = {name: value.detach().half() if value.ndim > 1 else value for name, value in network.state_dict().items()}
    write_encoder(path, state, network.config, encoder.latent_avg.cpu(), generator=str(generator.get("weights", "")))
    return path


def _judge(
    encoder: Any,
    generator: Generator,
    dataset: Any,
    out_dir: Path,
    seed: int,
    count: int,
    perceptual: Perceptual | None,
    identity: Identity | None,
) -> None:
    """Writes ``scores.txt`` and ``sheet.png``: pictures above what their codes draw."""
    for network in (perceptual, identity):
        if network is not None:
            network.cpu()
    ws = mixed_codes(generator, count, mixing=0.0, seed=seed + 10_007)
    with torch.no_grad():
        shown = torch.cat([generator.synthesis(generator.styles(part)) for part in ws.split(SHOWN)])
    found = {f"drawn_{name}": value for name, value in score(encoder, generator, shown, perceptual, identity).items()}
    if dataset is not None and hasattr(dataset, "held_out"):
        shown = dataset.held_out(count)["image"]
        found = {**score(encoder, generator, shown, perceptual, identity), **found}
    write_scores(out_dir / "scores.txt", found)
    shown = shown[:SHOWN]
    with torch.no_grad():
        drawn = generator.synthesis(generator.styles(encoder(shown)))
    write_image(out_dir / "sheet.png", grid(torch.cat([shown, drawn]), len(shown)))
