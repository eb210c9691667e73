"""Trains a domain's attribute network on drawn faces, whose attributes are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.lightning.generator_schedule import items_at
from chunkygan.lightning.resumable import falling_rate, fit, roughened, told, write_scores
from chunkygan.network_file import write_network


class AttributeTraining(pl.LightningModule):
    """Squared error of the attributes in standard deviations.

    Args:
        network: of a classifier, with the attributes' `mean` and `spread` set.
        cache: whose `batch(indices)` gives ``image`` and ``attributes``.
    """

    def __init__(
        self, network: Any, cache: Any, *, items: int, steps: int, batch: int, learning_rate: float, seed: int
    ) -> None:
        super().__init__()
        self.network, self.cache, self.items, self.steps = network, cache, items, steps
        self.batch, self.learning_rate, self.seed = batch, learning_rate, seed

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        step = self.global_step
        drawn = self.cache.batch(items_at(step, self.batch, self.items, self.seed + 1))
        images = roughened(drawn["image"].to(self.device), self.seed + 2, step)
        off = (self.network(images) - drawn["attributes"].to(self.device)) / self.network.spread
        loss = off.square().mean()
        told(step, {"attributes": loss})
        return loss

    def configure_optimizers(self) -> Any:
        return falling_rate(self.network, self.learning_rate, self.steps)


@torch.no_grad()
def explained(found: Tensor, truth: Tensor) -> Tensor:
    """(k,) R2 of each column: 1 is perfect, 0 no better than the mean.

    Args:
        found, truth: (n, k).
    """
    return 1 - (found - truth).square().sum(0) / (truth - truth.mean(0)).square().sum(0).clamp(min=1e-12)


@torch.no_grad()
def accuracy(found: Tensor, truth: Tensor) -> Tensor:
    """(k,) share of rows on the right side of the middle between each true column's extremes."""
    middle = (truth.amin(0) + truth.amax(0)) / 2
    return ((found > middle) == (truth > middle)).float().mean(0)


@torch.no_grad()
def score(classifier: Any, held: dict[str, Tensor]) -> dict[str, float]:
    """``r2_<attribute>`` and ``accuracy_<attribute>`` on held-out ``image`` and ``attributes``."""
    found = torch.cat([classifier(images) for images in held["image"].split(32)])
    truth = held["attributes"]
    scores: dict[str, float] = {}
    for kind, values in (("r2", explained(found, truth)), ("accuracy", accuracy(found, truth))):
        scores |= {f"{kind}_{name}": float(value) for name, value in zip(classifier.names, values)}
    return scores


def train(
    dataset: Any,
    out_dir: Path,
    seed: int,
    *,
    size: int = 128,
    widths: list[int] | None = None,
    steps: int = 2000,
    batch: int = 32,
    learning_rate: float = 2e-3,
    items: int = 16384,
    held_out: int = 256,
    save_every: int = 250,
    cache: str | None = None,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains an attribute network; goes on where an earlier call with this `out_dir` was stopped.

    Args:
        dataset: `procfaces`, or one with the same `cached(folder)`, `attribute_names` and `held_out(count, ...)`.
        out_dir: gets ``state.ckpt``, ``scores.txt`` and ``attributes.safetensors``.
        size: side in pixels at which the network looks at pictures.
        widths: channels of its stages.
        items: how many different pictures.
        held_out: how many pictures of the test split are scored, drawn finely.
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
    config = {"names": list(dataset.attribute_names), "size": size, "widths": widths or [16, 32, 64, 96]}
    classifier = create("classifier", {"name": "domain", "config": config})
    attributes = torch.from_numpy(pictures.attributes[:items])
    classifier.network.mean.copy_(attributes.mean(0))
    classifier.network.spread.copy_(attributes.std(0).clamp(min=1e-3))
    network = classifier.network.requires_grad_(True)
    module = AttributeTraining(
        network, pictures, items=items, steps=steps, batch=batch, learning_rate=learning_rate, seed=seed
    )
    fit(module, out_dir / "state.ckpt", steps=steps, every=save_every, options=trainer)
    path = write_network(out_dir / "attributes.safetensors", "attribute_network", config, network.cpu())
    scores = score(
        create("classifier", {"name": "domain", "weights": str(path)}), dataset.held_out(held_out, supersampling=2)
    )
    write_scores(out_dir / "scores.txt", scores)
    return path
