"""Trains a domain's perceptual network: features that know a face's parts and attributes, then heads that rank.

The features come from two tasks on drawn faces, naming every pixel's class and telling the attributes. The heads are
then fitted to pairs of distorted pictures whose order is known (Zhang et al. 2018 used people's judgements).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.build import create
from chunkygan.lightning.generator_losses import shrink
from chunkygan.lightning.generator_schedule import items_at, rate_at
from chunkygan.lightning.perceptual_training_heads import agreement, channel_differences, fit_heads, measure_pairs
from chunkygan.lightning.trainer import quiet_trainer, ticks
from chunkygan.weights import write_safetensors


def fresh_state(widths: list[int], seed: int) -> dict[str, Tensor]:
    """Random weights of a backbone of those widths, under the names its files use."""
    random, state = torch.Generator().manual_seed(seed), {}
    for k, (c_in, c_out) in enumerate(zip([3, *widths], widths)):
        for layer, inputs in ((0, c_in), (2, c_out)):
            spread = math.sqrt(2 / (9 * inputs))
            state[f"stages.{k}.{layer}.weight"] = spread * torch.randn(c_out, inputs, 3, 3, generator=random)
            state[f"stages.{k}.{layer}.bias"] = torch.zeros(c_out)
        state[f"heads.{k}"] = torch.ones(c_out)
    return state


def fresh_backbone(widths: list[int], net: str, folder: Path, seed: int) -> Any:
    """An untrained backbone, made the way a trained one is read: from a file."""
    path = folder / "fresh.safetensors"
    about = {"kind": "lpips_backbone", "widths": widths, "shift": [0, 0, 0], "scale": [1, 1, 1], "net": net}
    write_safetensors(path, fresh_state(widths, seed), {"config": json.dumps(about)})
    backbone = create("perceptual", {"name": "lpips", "net": net, "weights": str(path)}).backbone
    path.unlink()
    return backbone.requires_grad_(True)


class PerceptualTraining(pl.LightningModule):
    """Classes of pixels and attributes of faces, from a backbone's taps through one linear layer each.

    Every other step sees whole pictures at half size, the others a quarter of a picture at full size, so that features
    learn both scales at a quarter of the cost.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, backbone: Any, cache: Any, items: int, steps: int, batch: int, learning_rate: float, seed: int
    ) -> None:
        super().__init__()
        self.backbone, self.cache, self.steps, self.seed = backbone, cache, steps, seed
        self.items, self.batch, self.learning_rate = items, batch, learning_rate
        attributes = torch.from_numpy(cache.attributes[:items])
        self.register_buffer("mean", attributes.mean(0))
        self.register_buffer("spread", attributes.std(0).clamp(min=1e-3))
        self.parts = nn.ModuleList(nn.Conv2d(width, len(cache.faces.classes), 1) for width in backbone.widths)
        self.tell = nn.Linear(sum(backbone.widths[-2:]), attributes.shape[1])

    def losses(self, images: Tensor, labels: Tensor, attributes: Tensor | None) -> dict[str, Tensor]:
        """`parts`: cross-entropy of the classes; `attributes`: mean squared error in standard deviations."""
        taps = self.backbone.taps(images)
        logits = sum(
            F.interpolate(layer(tap), images.shape[-2:], mode="bilinear", align_corners=False)
            for layer, tap in zip(self.parts, taps)
        )
        found = {"parts": F.cross_entropy(logits, labels)}  # type: ignore[arg-type]
        if attributes is not None:
            pooled = torch.cat([tap.mean((2, 3)) for tap in taps[-2:]], 1)
            mean, spread = self.get_buffer("mean"), self.get_buffer("spread")
            found["attributes"] = (self.tell(pooled) - (attributes - mean) / spread).square().mean()
        return found

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        step = self.global_step
        drawn = self.cache.batch(items_at(step, self.batch, self.items, self.seed + 1))
        images, labels = drawn["image"].to(self.device), drawn["labels"].to(self.device)
        half = images.shape[-1] // 2
        if step % 2:
            y, x = (int(v) for v in items_at(step, 2, half, self.seed + 2))
            crop = (..., slice(y, y + half), slice(x, x + half))
            found = self.losses(images[crop], labels[crop], None)
        else:
            found = self.losses(shrink(images, half), labels[:, ::2, ::2], drawn["attributes"].to(self.device))
        if step % 100 < 2:
            print(f"step {step} " + " ".join(f"{k} {float(v.detach()):.4f}" for k, v in found.items()), flush=True)
        return sum(found.values())  # type: ignore[return-value]

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(step, self.steps, warm_up=100, decay=0.7)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class _KeepState(pl.Callback):
    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step % self.every == 0:
            trainer.save_checkpoint(self.path.with_suffix(".part"))
            self.path.with_suffix(".part").replace(self.path)


def _pictures(cache: Any, items: int, batches: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    for index in range(batches):
        drawn = cache.batch(items_at(index, 16, items, seed))
        yield drawn["image"], drawn["labels"]


@torch.no_grad()
def set_heads(backbone: Any, weights: Tensor, images: Tensor) -> None:
    """Writes (channels of all taps,) into the heads, scaled: neighbours among images, (n, 3, h, w), are 0.5 apart.

    That is about what the published networks say of two unrelated pictures, so weights of losses carry over.
    """
    apart = channel_differences(backbone.taps, images[1:], images[:-1]) @ weights
    for head, part in zip(backbone.heads, (0.5 * weights / apart.mean()).split(list(backbone.widths))):
        head.copy_(part)


def score(backbone: Any, dataset: Any, *, faces: int = 96, batches: int = 36, seed: int = 99) -> dict[str, float]:
    """Fraction of held-out pairs in their known order: by the network and by squared difference, in all and by sort."""
    held = dataset.held_out(faces)

    def pictures() -> Iterator[tuple[Tensor, Tensor]]:
        for index in range(batches):
            rows = items_at(index, 16, faces, seed)
            yield held["image"][rows], held["labels"][rows]

    pairs = measure_pairs(backbone.taps, pictures(), seed)
    weights = torch.cat([head.detach() for head in backbone.heads])
    near, far = pairs["milder"] @ weights, pairs["worse"] @ weights
    found = {"pairs": float(len(near))}
    for name, rows in (("all", slice(None)), ("one_kind", ~pairs["mixed"]), ("two_kinds", pairs["mixed"])):
        found[name] = agreement(near[rows], far[rows])
        found[f"{name}_l2"] = agreement(pairs["l2"][rows, 0], pairs["l2"][rows, 1])
    return found


def train(
    dataset: Any,
    out_dir: Path,
    seed: int,
    *,
    net: str = "procfaces",
    widths: list[int] | None = None,
    steps: int = 3000,
    batch: int = 24,
    learning_rate: float = 2e-3,
    items: int = 6144,
    head_batches: int = 120,
    held_out: int = 96,
    save_every: int = 250,
    cache: str | None = None,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains features, then heads; goes on where an earlier call with this `out_dir` was stopped.

    Args:
        dataset: `procfaces`, or one with the same `cached(folder)`, `classes` and `held_out(count)`.
        out_dir: gets ``state.ckpt``, ``scores.txt`` and ``perceptual.safetensors``.
        net: what the distance is called: ``lpips_<net>``.
        widths: channels of each stage.
        items: how many different pictures.
        head_batches: batches of 16 pairs that the heads are fitted to.
        held_out: how many faces of the test split the scores are measured on.
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
    backbone = fresh_backbone(widths or [16, 32, 48, 64, 96], net, out_dir, seed)
    module = PerceptualTraining(backbone, pictures, items, steps, batch, learning_rate, seed)
    state = out_dir / "state.ckpt"
    runner = quiet_trainer(steps=steps, callbacks=[_KeepState(state, save_every)], **(trainer or {}))
    runner.fit(module, ticks(), ckpt_path=state if state.exists() else None, weights_only=False)
    backbone = module.backbone.cpu().eval()
    pairs = measure_pairs(backbone.taps, _pictures(pictures, items, head_batches, seed + 3), seed)
    some = pictures.batch(torch.arange(min(items, 48)))["image"]
    set_heads(backbone, fit_heads(pairs["milder"], pairs["worse"]), some)
    scores = score(backbone, dataset, faces=held_out, batches=max(3, held_out * 3 // 8))
    (out_dir / "scores.txt").write_text("".join(f"{name} {value:.4f}\n" for name, value in scores.items()))
    path = out_dir / "perceptual.safetensors"
    tensors = {name: value.detach().half() for name, value in backbone.state_dict().items()}
    write_safetensors(path, tensors, backbone.metadata(net))
    return path
