"""Trains a segmentation head on painted pictures of a generator, or on samples that a parser labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.annotations import read_annotations
from chunkygan.build import create
from chunkygan.ensemble import uncertainty
from chunkygan.errors import RecipeError
from chunkygan.images import from_pil, write_image
from chunkygan.interfaces import Generator, SegHead
from chunkygan.labels import distinct_colours
from chunkygan.lightning.attribute_training import write_scores
from chunkygan.lightning.parser_training import overlaps
from chunkygan.lightning.resumable import fit, told
from chunkygan.lightning.seghead_samples import Samples, drawn_samples, pixels_of
from chunkygan.loading import frozen
from chunkygan.network_file import write_network
from chunkygan.pictures import error_picture, grid
from chunkygan.sampling import sample_ws


class SegHeadTraining(pl.LightningModule):
    """Cross-entropy of single pixels; every classifier of the ensemble draws pixels of its own.

    Args:
        head: whose `classifiers` are trained.
        samples: what it learns from.
        batch: pixels of each classifier in a step.
        balance: classes count by their share of the pixels to the power of minus this.
    """

    def __init__(
        self, head: SegHead, samples: Samples, *, batch: int, learning_rate: float, balance: float, seed: int
    ) -> None:
        super().__init__()
        self.head, self.samples, self.batch, self.learning_rate, self.seed = head, samples, batch, learning_rate, seed
        self.places = (samples.labels >= 0).nonzero()  # (m, 3): picture, row, column
        self.register_buffer("weights", class_weights(samples.labels, len(head.classes), balance))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        step, count = self.global_step, len(self.head.classifiers)
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        chosen = self.places[torch.randint(len(self.places), (count * self.batch,), generator=rng)]
        picture, y, x = chosen.unbind(1)
        size = (self.samples.labels.shape[1], self.samples.labels.shape[2])
        pixels = pixels_of(self.samples.maps, picture, y, x, size).to(self.device).chunk(count)
        labels = self.samples.labels[picture, y, x].to(self.device).chunk(count)
        losses = [
            F.cross_entropy(one(own), truth, weight=self.get_buffer("weights"))
            for one, own, truth in zip(self.head.classifiers, pixels, labels)
        ]
        total = torch.stack(losses).sum()
        told(step, {"classes": total / count})
        return total

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.head.parameters(), lr=self.learning_rate)


def class_weights(labels: Tensor, count: int, balance: float) -> Tensor:
    """(count,) weights, 1 on average over the labelled pixels; 0 for classes without any.

    >>> class_weights(torch.tensor([[0, 0, 0, 1, -1]]), 3, 0.0)
    tensor([1., 1., 0.])
    """
    share = torch.bincount(labels[labels >= 0].flatten(), minlength=count).float()
    share = share / share.sum()
    weights = torch.where(share > 0, share.clamp(min=1e-6).pow(-balance), 0.0)
    return weights / (weights * share).sum()


@torch.no_grad()
def scores_of(head: SegHead, samples: Samples) -> dict[str, float]:
    """``miou``, the mean over the classes that the labels have, ``iou_<class>`` of these, and mean uncertainty."""
    found, truth, doubts = [], [], []
    for i in range(len(samples.labels)):
        logits = head(samples.stack(i), size=(samples.labels.shape[1], samples.labels.shape[2]))
        known = samples.labels[i] >= 0
        found.append(logits.mean(0).argmax(1)[0][known])
        truth.append(samples.labels[i][known])
        doubts.append(uncertainty(logits).mean())
    values = overlaps(torch.cat(found), torch.cat(truth), len(head.classes))
    present = torch.bincount(torch.cat(truth), minlength=len(values)) > 0
    each = {f"iou_{name}": float(v) for name, v, there in zip(head.classes, values, present) if there}
    return {"miou": float(values[present].mean()), "uncertainty": float(torch.stack(doubts).mean()), **each}


@torch.no_grad()
def predictions(head: SegHead, samples: Samples, colours: Tensor, *, most: int = 8) -> Any:
    """A sheet: one row a picture with the picture, its labels, what the head says, and how uncertain it is."""
    size = (samples.labels.shape[1], samples.labels.shape[2])
    table = torch.cat([colours, torch.full((1, 3), 128, dtype=torch.uint8)]).float() / 127.5 - 1  # last: unlabelled
    rows = []
    for i in range(min(most, len(samples.labels))):
        logits = head(samples.stack(i), size=size)
        doubt = from_pil(error_picture(uncertainty(logits)[0], 0.5))[0]
        maps = (samples.labels[i], logits.mean(0).argmax(1)[0])
        rows += [samples.pictures[i], *(table[m].permute(2, 0, 1) for m in maps), doubt]
    return grid(torch.stack(rows), 4)


def train(
    out_dir: Path,
    seed: int,
    *,
    generator: Mapping[str, Any],
    seg_head: Mapping[str, Any],
    parser: Mapping[str, Any] | None = None,
    annotations: str | None = None,
    samples: int = 30,
    held_out: int = 30,
    truncation: float = 1.0,
    steps: int = 600,
    batch: int = 64,
    learning_rate: float = 1e-3,
    balance: float = 0.0,
    save_every: int = 200,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains a head; goes on where an earlier call with this `out_dir` was stopped.

    Args:
        out_dir: gets ``state.ckpt``, ``scores.txt``, ``predictions.png`` and ``seg_head.safetensors``.
        annotations: a folder that `chunkygan sample --annotate` began and somebody has painted; null: the parser labels
            generated samples.
        samples: how many samples the parser labels; of a folder, how many pictures are trained on.
        held_out: how many more it labels, for the scores; of a folder, at most a quarter is held out.
        truncation: of the samples that the parser labels.
        batch: pixels of each classifier in a step.
        balance: 0: all pixels count alike; more: rare classes count more.
        trainer: options of Lightning's Trainer.

    Returns:
        Path of the weights.

    Raises:
        RecipeError: neither annotations nor a parser.
        ImageError: what is wrong with the annotations.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    drawer: Generator = frozen(create("generator", generator))
    if annotations is not None:
        labelled, kept, names, colours = _painted(drawer, annotations, samples, held_out)
    elif parser is not None:
        labelled, kept, names, colours = _parsed(drawer, parser, samples, held_out, truncation, seed)
    else:
        raise RecipeError("training.annotations: name a folder of annotations, or a parser that labels samples")
    torch.manual_seed(seed)
    head: SegHead = create("seg_head", seg_head, generator=drawer, classes=names).requires_grad_(True).train()
    module = SegHeadTraining(head, labelled, batch=batch, learning_rate=learning_rate, balance=balance, seed=seed)
    fit(module, out_dir / "state.ckpt", steps=steps, every=save_every, options=trainer)
    head = head.cpu().eval()
    config = {key: value for key, value in head.config.items() if key != "kind"}
    path = write_network(out_dir / "seg_head.safetensors", "seg_head", config, head)
    scores = scores_of(head, kept) if len(kept.labels) else {}
    scores |= {f"train_{name}": value for name, value in scores_of(head, labelled).items() if name == "miou"}
    write_scores(out_dir / "scores.txt", scores)
    write_image(out_dir / "predictions.png", predictions(head, kept if len(kept.labels) else labelled, colours))
    return path


def _painted(
    generator: Generator, folder: str, samples: int, held_out: int
) -> tuple[Samples, Samples, Sequence[str], Tensor]:
    """Samples to train on and to hold out, and the classes' names and colours, of a folder of annotations."""
    found = read_annotations(folder, size=generator.resolution)
    if found.ws.shape[1:] != (generator.num_ws, generator.w_dim):
        raise RecipeError(
            f"training.annotations: {folder} has codes of {tuple(found.ws.shape[1:])}, and this generator takes "
            f"{(generator.num_ws, generator.w_dim)}; it was written for another generator"
        )
    out = min(held_out, len(found.ws) // 4)
    count = min(samples, len(found.ws) - out)
    drawn = drawn_samples(generator, found.ws, found.labels)
    colours = torch.tensor([c.colour for c in found.classes], dtype=torch.uint8)
    end = len(found.ws)
    return drawn.part(0, count), drawn.part(end - out, end), [c.name for c in found.classes], colours


def _parsed(
    generator: Generator, spec: Mapping[str, Any], samples: int, held_out: int, truncation: float, seed: int
) -> tuple[Samples, Samples, Sequence[str], Tensor]:
    """The same of generated samples that a parser labels; those held out do not depend on how many are trained on."""
    parser = create("parser", spec)
    own = drawn_samples(generator, sample_ws(generator, samples, seed=seed + 1, truncation=truncation), parser.labels)
    kept = drawn_samples(generator, sample_ws(generator, held_out, seed=seed + 2, truncation=truncation), parser.labels)
    return own, kept, parser.classes, distinct_colours(len(parser.classes))
