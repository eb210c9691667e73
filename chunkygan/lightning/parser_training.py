"""Trains a domain's parser on drawn faces, whose label maps are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.build import create
from chunkygan.lightning.generator_schedule import items_at
from chunkygan.lightning.resumable import falling_rate, fit, roughened, told, write_scores
from chunkygan.network_file import write_network

RARE = 0.35
"""Classes count by their share of pixels to the power of minus this: brows matter although they are small."""


def class_weights(labels: Tensor, count: int) -> Tensor:
    """(count,) weights of the classes in a sample of label maps; 1 on average over its pixels, 0 for absent ones."""
    share = torch.bincount(labels.flatten(), minlength=count).float() / labels.numel()
    weights = torch.where(share > 0, share.clamp(min=1e-6).pow(-RARE), 0.0)
    return weights / (weights * share).sum()


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 minus the soft intersection over union, a mean over the classes that the label maps have, in [0, 1].

    Cross-entropy counts pixels; this counts classes, thin ones like any other (the soft Jaccard distance).

    Args:
        logits: (n, classes, h, w).
        labels: (n, h, w) int64.
    """
    chances = logits.softmax(1)
    truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(chances)
    both = (chances * truth).sum((0, 2, 3))
    either = chances.sum((0, 2, 3)) + truth.sum((0, 2, 3)) - both
    present = truth.sum((0, 2, 3)) > 0
    return 1 - (both / either.clamp(min=1e-6))[present].mean()


class ParserTraining(pl.LightningModule):
    """Cross-entropy of the classes of pixels, rare ones weighing more, and the overlap of each class.

    Args:
        network: of a parser.
        cache: whose `batch(indices)` gives ``image`` and ``labels``.
        weights: (n_classes,) from `class_weights`.
    """

    def __init__(
        self,
        network: Any,
        cache: Any,
        weights: Tensor,
        *,
        items: int,
        steps: int,
        batch: int,
        learning_rate: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.network, self.cache, self.items, self.steps = network, cache, items, steps
        self.batch, self.learning_rate, self.seed = batch, learning_rate, seed
        self.register_buffer("weights", weights)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        step = self.global_step
        drawn = self.cache.batch(items_at(step, self.batch, self.items, self.seed + 1))
        images = roughened(drawn["image"].to(self.device), self.seed + 2, step)
        logits, labels = self.network(images), drawn["labels"].to(self.device)
        pixels = F.cross_entropy(logits, labels, weight=self.get_buffer("weights"))
        overlap = overlap_loss(logits, labels)
        told(step, {"pixels": pixels, "overlap": overlap})
        return pixels + overlap

    def configure_optimizers(self) -> Any:
        return falling_rate(self.network, self.learning_rate, self.steps)


@torch.no_grad()
def overlaps(found: Tensor, truth: Tensor, count: int) -> Tensor:
    """(count,) intersection over union of each class over all pixels; nan for a class that neither has.

    Args:
        found, truth: label maps of one shape.
    """
    both = torch.bincount((truth * count + found).flatten(), minlength=count * count).reshape(count, count).double()
    hits = both.diagonal()
    return hits / (both.sum(0) + both.sum(1) - hits)


@torch.no_grad()
def score(parser: Any, held: dict[str, Tensor], prefix: str = "") -> dict[str, float]:
    """``miou``, the mean over the classes that the true maps have, and ``iou_<class>`` of these."""
    found = torch.cat([parser.labels(images) for images in held["image"].split(16)])
    values = overlaps(found, held["labels"], len(parser.classes))
    present = torch.bincount(held["labels"].flatten(), minlength=len(values)) > 0
    scores = {f"{prefix}iou_{name}": float(v) for name, v, there in zip(parser.classes, values, present) if there}
    return {f"{prefix}miou": float(values[present].mean()), **scores}


def train(
    dataset: Any,
    out_dir: Path,
    seed: int,
    *,
    widths: Sequence[int] | None = None,
    steps: int = 2500,
    batch: int = 16,
    learning_rate: float = 3e-3,
    items: int = 16384,
    held_out: int = 100,
    hard: int = 32,
    save_every: int = 250,
    cache: str | None = None,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains a parser; goes on where an earlier call with this `out_dir` was stopped.

    Args:
        dataset: `procfaces`, or one with the same `cached(folder)`, `classes` and `held_out(count, split, ...)`.
        out_dir: gets ``state.ckpt``, ``scores.txt`` and ``parser.safetensors``.
        widths: channels of the network's stages.
        items: how many different pictures.
        held_out: how many pictures of the test split are scored, drawn finely.
        hard: how many of the hard split.
        cache: folder of the drawn pictures; None: in `out_dir`.
        trainer: options of Lightning's Trainer.

    Returns:
        Path of the weights.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    pictures = dataset.cached(Path(cache) if cache else out_dir / "cache")
    items = min(items, pictures.count)
    pictures.fill(items)
    config = {"classes": list(dataset.classes), "widths": list(widths or [16, 32, 64, 96])}
    network = create("parser", {"name": "domain", "config": config}).network.requires_grad_(True)
    weights = class_weights(pictures.batch(torch.arange(min(items, 256)))["labels"], len(config["classes"]))
    module = ParserTraining(
        network, pictures, weights, items=items, steps=steps, batch=batch, learning_rate=learning_rate, seed=seed
    )
    fit(module, out_dir / "state.ckpt", steps=steps, every=save_every, options=trainer)
    path = write_network(out_dir / "parser.safetensors", "parser_network", config, network.cpu())
    parser = create("parser", {"name": "domain", "weights": str(path)})
    scores = score(parser, dataset.held_out(held_out, "test", supersampling=2))
    scores |= score(parser, dataset.held_out(hard, "hard", supersampling=2), "hard_")
    write_scores(out_dir / "scores.txt", scores)
    return path
