"""Trains a domain's identity network on drawn people, several pictures of each (ArcFace, Deng et al. 2019)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.build import create
from chunkygan.lightning.generator_schedule import items_at
from chunkygan.lightning.resumable import falling_rate, fit, roughened, told, write_scores
from chunkygan.network_file import write_network


def arcface_logits(cosine: Tensor, person: Tensor, *, margin: float, scale: float) -> Tensor:
    """Logits of people in which one's own angle is made larger by a margin (ArcFace, eq. 3).

    Args:
        cosine: (n, people) of embeddings and the people's centres.
        person: (n,) whose pictures they are.
        margin: in radians.
        scale: of all logits.
    """
    own = cosine.gather(1, person[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
    with_margin = torch.cos((own.acos() + margin).clamp(max=math.pi))
    return scale * cosine.scatter(1, person[:, None], with_margin.to(cosine))


class IdentityTraining(pl.LightningModule):
    """ArcFace's loss, and as a guide the error of a linear reading of the renderer's identity vector.

    Args:
        network: of an identity component.
        cache: whose `batch(indices)` gives ``image``.
        truth: (people, d) identity vectors.
        shots: pictures of each person, in a row.
    """

    truth: Tensor

    def __init__(
        self,
        network: Any,
        cache: Any,
        truth: Tensor,
        shots: int,
        *,
        dimensions: int,
        steps: int,
        batch: int,
        learning_rate: float,
        margin: float,
        scale: float,
        guide: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.network, self.cache, self.shots, self.steps = network, cache, shots, steps
        self.batch, self.learning_rate, self.seed = batch, learning_rate, seed
        self.margin, self.scale, self.guide = margin, scale, guide
        self.register_buffer("truth", (truth - truth.mean(0)) / truth.std(0).clamp(min=1e-3))
        self.centres = nn.Parameter(0.03 * torch.randn(len(truth), dimensions))  # short, so that Adam turns them soon
        self.tell = nn.Linear(dimensions, truth.shape[1])

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        step = self.global_step
        items = items_at(step, self.batch, len(self.truth) * self.shots, self.seed + 1)
        images = roughened(self.cache.batch(items)["image"].to(self.device), self.seed + 2, step)
        person = (items // self.shots).to(self.device)
        embedded = F.normalize(self.network(images))
        cosine = embedded @ F.normalize(self.centres).T
        grown = min(max(3 * step / self.steps - 1, 0.0), 1.0)  # none at first: otherwise the first steps go nowhere
        logits = arcface_logits(cosine, person, margin=self.margin * grown, scale=self.scale)
        told_truth = self.tell(math.sqrt(embedded.shape[1]) * embedded)
        losses = {"people": F.cross_entropy(logits, person), "truth": F.mse_loss(told_truth, self.truth[person])}
        told(step, losses)
        return losses["people"] + self.guide * losses["truth"]

    def configure_optimizers(self) -> Any:
        return falling_rate(self, self.learning_rate, self.steps)


@torch.no_grad()
def area_under_curve(same: Tensor, different: Tensor) -> float:
    """The chance that a pair of one person's pictures is more alike than a pair of two people's.

    Args:
        same, different: (n,) and (m,) cosines.
    """
    both = torch.cat([same, different]).double()
    _, where, counts = both.unique(return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[where]  # ties share the mean of their ranks
    n, m = len(same), len(different)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


@torch.no_grad()
def score(identity: Any, held: dict[str, Tensor]) -> dict[str, float]:
    """`auc` over all pairs of held-out pictures, and the mean distances ``same`` and ``different``."""
    embedded = torch.cat([identity.embed(images) for images in held["image"].split(32)])
    first, second = torch.triu_indices(len(embedded), len(embedded), 1)
    cosine = (embedded @ embedded.T)[first, second]
    own = held["person"][first] == held["person"][second]
    auc = area_under_curve(cosine[own], cosine[~own])
    return {"auc": auc, "same": float(1 - cosine[own].mean()), "different": float(1 - cosine[~own].mean())}


def train(
    dataset: Any,
    out_dir: Path,
    seed: int,
    *,
    net: str = "procfaces",
    dimensions: int = 128,
    size: int = 64,
    widths: list[int] | None = None,
    steps: int = 1500,
    batch: int = 48,
    learning_rate: float = 2e-3,
    margin: float = 0.3,
    scale: float = 16.0,
    guide: float = 10.0,
    strangers: int = 100,
    tested_at: int = 128,
    save_every: int = 250,
    cache: str | None = None,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains an identity network; goes on where an earlier call with this `out_dir` was stopped.

    Args:
        dataset: `procfaces_people`, or one with the same `cached(folder)`, `shots`, `truth()` and `strangers(...)`.
        out_dir: gets ``state.ckpt``, ``scores.txt`` and ``identity.safetensors``.
        net: what the measure is called: ``identity_<net>``.
        dimensions: of an embedding.
        size: side in pixels at which the network looks at pictures.
        widths: channels of its stages.
        margin: ArcFace's, in radians; it grows from 0 over the second third of the steps.
        scale: ArcFace's, of the logits.
        guide: weight of the linear reading of the true identity vector; 0: ArcFace alone.
        strangers: how many people of the test split are scored, at `tested_at` pixels.
        cache: folder of the drawn pictures; None: in `out_dir`.
        trainer: options of Lightning's Trainer.

    Returns:
        Path of the weights.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    pictures = dataset.cached(Path(cache) if cache else out_dir / "cache")
    pictures.fill()
    config = {"net": net, "dimensions": dimensions, "size": size, "widths": widths or [32, 64, 96, 128]}
    untrained = {key: value for key, value in config.items() if key != "net"}
    network = create("identity", {"name": "domain", "net": net, "config": untrained}).network.requires_grad_(True)
    module = IdentityTraining(
        network, pictures, dataset.truth(), dataset.shots, dimensions=dimensions, steps=steps, batch=batch,
        learning_rate=learning_rate, margin=margin, scale=scale, guide=guide, seed=seed,
    )  # fmt: skip
    fit(module, out_dir / "state.ckpt", steps=steps, every=save_every, options=trainer)
    path = write_network(out_dir / "identity.safetensors", "identity_network", config, network.cpu())
    identity = create("identity", {"name": "domain", "net": net, "weights": str(path)})
    write_scores(out_dir / "scores.txt", score(identity, dataset.strangers(strangers, tested_at)))
    return path
