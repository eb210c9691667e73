"""How well a segmentation head tells classes apart: overlaps on labelled pictures, and a sheet of predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.ensemble import uncertainty
from chunkygan.images import from_pil
from chunkygan.interfaces import Generator, SegHead
from chunkygan.lightning.parser_training import overlaps
from chunkygan.lightning.seghead_samples import Labelled, Pixels, feature_maps
from chunkygan.pictures import error_picture, grid


def mean_overlap(found: Tensor, truth: Tensor, count: int) -> float:
    """Mean intersection over union of the classes that the truth has, over all pixels; labels below 0 do not count."""
    known = truth >= 0
    values = overlaps(found[known], truth[known], count)
    return float(values[torch.bincount(truth[known], minlength=count) > 0].mean())


@torch.no_grad()
def score_of_pixels(head: SegHead, pixels: Pixels) -> float:
    """`mean_overlap` of what a head says about pixels, by the mean of the models' logits."""
    found = []
    for features in pixels.features.split(8192):
        values = features.float()
        found.append(torch.stack([one(values) for one in head.classifiers]).mean(0).argmax(1))
    return mean_overlap(torch.cat(found), pixels.labels, len(head.classes))


@torch.no_grad()
def scores_of(generator: Generator, head: SegHead, samples: Labelled) -> dict[str, float]:
    """``miou``, the mean over the classes that the labels have, mean uncertainty, and ``iou_<class>`` of these."""
    found, truth, doubts = [], [], []
    size = (samples.labels.shape[1], samples.labels.shape[2])
    for ws, labels in zip(samples.ws, samples.labels):
        logits = head(feature_maps(generator, ws), size=size)
        found.append(logits.mean(0).argmax(1)[0][labels >= 0])
        truth.append(labels[labels >= 0])
        doubts.append(uncertainty(logits).mean())
    values = overlaps(torch.cat(found), torch.cat(truth), len(head.classes))
    present = torch.bincount(torch.cat(truth), minlength=len(values)) > 0
    each = {f"iou_{name}": float(v) for name, v, there in zip(head.classes, values, present) if there}
    return {"miou": float(values[present].mean()), "uncertainty": float(torch.stack(doubts).mean()), **each}


@torch.no_grad()
def predictions(generator: Generator, head: SegHead, samples: Labelled, colours: Tensor, *, most: int = 8) -> Tensor:
    """A sheet: one row a picture with the picture, its labels, what the head says, and how uncertain it is."""
    size = (samples.labels.shape[1], samples.labels.shape[2])
    rows: list[Tensor] = []
    for i in range(min(most, len(samples.labels))):
        logits = head(feature_maps(generator, samples.ws[i]), size=size)
        doubt = from_pil(error_picture(uncertainty(logits)[0], 0.5))[0]
        maps = (samples.labels[i], logits.mean(0).argmax(1)[0])
        rows += [samples.pictures[i], *(coloured(own, colours) for own in maps), doubt]
    return grid(torch.stack(rows), 4)


def coloured(labels: Tensor, colours: Tensor) -> Tensor:
    """(3, h, w) in [-1, 1] of labels (h, w) and colours (n, 3) in 0 to 255; grey where there is no label."""
    table = torch.cat([colours, torch.full((1, 3), 128, dtype=colours.dtype)]).float() / 127.5 - 1
    return table[torch.where(labels < 0, len(colours), labels)].permute(2, 0, 1)
