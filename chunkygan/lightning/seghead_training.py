"""Trains a segmentation head: on painted pictures, on samples that a parser labels, or from one exemplar."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.build import create
from chunkygan.errors import RecipeError
from chunkygan.files import atomic_write
from chunkygan.images import write_image
from chunkygan.interfaces import Generator, SegHead
from chunkygan.lightning.resumable import falling_rate, fit, told, write_scores
from chunkygan.lightning.seghead_samples import Labelled, Pixels, choose_pixels
from chunkygan.lightning.seghead_scores import predictions, scores_of
from chunkygan.lightning.seghead_sources import Source, source_of
from chunkygan.loading import frozen
from chunkygan.network_file import write_network


@dataclass(frozen=True)
class Settings:
    """How a head is trained.

    Args:
        steps: of every classifier.
        batch: pixels of each classifier in a step.
        learning_rate: at its highest.
        balance: 0: all pixels are drawn alike often; 1: all classes are. What the head says stays what it would say
            had all pixels been drawn alike often (logits are adjusted, as Menon et al. 2021 do it the other way round).
        pixels: how many of every picture are kept for the training; small classes keep all of theirs.

    Raises:
        RecipeError: one that is out of range; all at once.
    """

    steps: int = 800
    batch: int = 128
    learning_rate: float = 3e-3
    balance: float = 0.6
    pixels: int = 2048

    def __post_init__(self) -> None:
        rules = {
            "steps": (self.steps >= 1, "1 or more"),
            "batch": (self.batch >= 2, "2 or more, for batch norm"),
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "balance": (0 <= self.balance <= 1, "between 0 and 1"),
            "pixels": (self.pixels >= 2, "2 or more"),
        }
        wrong = [f"training.{k}: must be {say}; got {getattr(self, k)}" for k, (good, say) in rules.items() if not good]
        if wrong:
            raise RecipeError(wrong)


class SegHeadTraining(pl.LightningModule):
    """Cross-entropy of single pixels, their channels brought to one scale; every classifier draws pixels of its own.

    Args:
        head: whose `classifiers` are trained; `SegHead.absorb` has to follow.
        pixels: what it learns from.
    """

    def __init__(self, head: SegHead, pixels: Pixels, settings: Settings, *, seed: int) -> None:
        super().__init__()
        self.head, self.pixels, self.settings, self.seed = head, pixels, settings, seed
        rarity = class_weights(pixels, len(head.classes), settings.balance)
        self.ladder = (pixels.counts * rarity[pixels.labels]).double().cumsum(0)  # a place in it is a pixel
        self.mean, self.scale = pixels.moments()
        self.register_buffer("shift", torch.where(rarity > 0, rarity.clamp(min=1e-12).log(), 0.0))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        step, count = self.global_step, len(self.head.classifiers)
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        places = torch.rand(count * self.settings.batch, generator=rng, dtype=torch.float64) * self.ladder[-1]
        chosen = torch.searchsorted(self.ladder, places).clamp(max=len(self.ladder) - 1)
        pixels = ((self.pixels.features[chosen].float() - self.mean) / self.scale).to(self.device).chunk(count)
        labels = self.pixels.labels[chosen].to(self.device).chunk(count)
        losses = [
            F.cross_entropy(one(own) + self.get_buffer("shift"), truth)
            for one, own, truth in zip(self.head.classifiers, pixels, labels)
        ]
        total = torch.stack(losses).sum()
        told(step, {"loss": total / count}, every=200)
        return total

    def configure_optimizers(self) -> Any:
        steps = self.settings.steps
        return falling_rate(self.head, self.settings.learning_rate, steps, warm_up=min(50, steps // 4))


def class_weights(pixels: Pixels, count: int, balance: float) -> Tensor:
    """(count,): each class's share of the pixels to the power of minus `balance`; 0 for classes without any."""
    share = torch.zeros(count).index_add_(0, pixels.labels, pixels.counts) / pixels.counts.sum()
    return torch.where(share > 0, share.clamp(min=1e-9).pow(-balance), 0.0)


def train_head(
    generator: Generator,
    spec: Mapping[str, Any],
    classes: Sequence[str],
    pixels: Pixels,
    settings: Settings,
    *,
    seed: int,
    state: Path,
    save_every: int,
    trainer: dict[str, Any] | None = None,
) -> SegHead:
    """A trained head; goes on from `state` where that file exists."""
    torch.manual_seed(seed)
    head: SegHead = create("seg_head", dict(spec), generator=generator, classes=classes).requires_grad_(True).train()
    module = SegHeadTraining(head, pixels, settings, seed=seed)
    fit(module, state, steps=settings.steps, every=save_every, options=trainer)
    head = head.cpu().requires_grad_(False).eval()
    head.absorb(module.mean, module.scale)
    return head


def train(
    out_dir: Path,
    seed: int,
    *,
    generator: Mapping[str, Any],
    seg_head: Mapping[str, Any],
    parser: Mapping[str, Any] | None = None,
    perceptual: Mapping[str, Any] | None = None,
    annotations: str | Sequence[str] | None = None,
    exemplar: Mapping[str, Any] | None = None,
    samples: int = 30,
    held_out: int = 30,
    truncation: float = 1.0,
    steps: int = 800,
    batch: int = 128,
    learning_rate: float = 3e-3,
    balance: float = 0.6,
    pixels: int = 2048,
    save_every: int = 200,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains a head; goes on where an earlier call with this `out_dir` was stopped, unless labels were painted since.

    Args:
        out_dir: gets ``state.ckpt``, ``scores.txt``, ``predictions.png`` and ``seg_head.safetensors``; from an
            exemplar, ``exemplar.png`` too.
        annotations: a folder that `chunkygan sample --annotate` began and somebody has painted, or several; null: the
            parser labels generated samples.
        exemplar: one annotated picture, from which samples are labelled; see `chunkygan.lightning.seghead_exemplar`.
        samples: how many samples the parser or the exemplar labels; of a folder, how many pictures are trained on.
        held_out: how many more the parser labels, for the scores; of a folder, at most a quarter is held out.
        truncation: of the samples.
        batch, learning_rate, balance, pixels: see `Settings`.
        trainer: options of Lightning's Trainer.

    Returns:
        Path of the weights.

    Raises:
        RecipeError: nothing that labels pictures, or options that contradict each other.
        ImageError: what is wrong with the annotations.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings(steps, batch, learning_rate, balance, pixels)
    drawer: Generator = frozen(create("generator", generator))
    source = source_of(
        drawer, out_dir, seed, parser=parser, perceptual=perceptual, annotations=annotations, exemplar=exemplar,
        samples=samples, held_out=held_out, truncation=truncation,
    )  # fmt: skip
    _begin(out_dir, source.own)
    chosen = choose_pixels(drawer, source.own, most=pixels, seed=seed)
    head = train_head(
        drawer, seg_head, source.classes, chosen, settings, seed=seed, state=out_dir / "state.ckpt",
        save_every=save_every, trainer=trainer,
    )  # fmt: skip
    config = {key: value for key, value in head.config.items() if key != "kind"}
    path = write_network(out_dir / "seg_head.safetensors", "seg_head", config, head)
    _report(out_dir, drawer, head, source)
    return path


def _begin(out_dir: Path, samples: Labelled) -> None:
    """Drops what a training on other labels has left, so that pictures painted since are learnt."""
    digest = hashlib.sha256()
    for part in (samples.ws.float(), samples.labels.long()):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    known, state = out_dir / "labels.sha256", out_dir / "state.ckpt"
    if state.is_file() and known.is_file() and known.read_text(encoding="utf-8") != digest.hexdigest():
        print("the labels have changed since this training began: it begins anew", flush=True)
        state.unlink()
    atomic_write(known, lambda file: file.write(digest.hexdigest().encode()))


def _report(out_dir: Path, generator: Generator, head: SegHead, source: Source) -> None:
    """Scores and a sheet of predictions."""
    scores = scores_of(generator, head, source.kept) if len(source.kept.labels) else {}
    own = scores_of(generator, head, source.own.part(0, 30))
    write_scores(out_dir / "scores.txt", {**scores, "train_miou": own["miou"]})
    shown = source.kept if len(source.kept.labels) else source.own
    write_image(out_dir / "predictions.png", predictions(generator, head, shown, source.colours))
