"""What a segmentation head sees in a projection: the classes of its pixels, from the features of what is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chunkygan.interfaces import Generator, SegHead
from chunkygan.lightning.views import reduced
from chunkygan.projection import Projection
from chunkygan.types import Noise, Styles


def blended_logits(
    generator: Generator, styles: Sequence[Styles], masks: Tensor, head: SegHead, *, noise: Noise = "const"
) -> Tensor:
    """(n_classes, h, w): the head's logits of what each chunk draws, added up by the masks as Eq. 1 adds pictures.

    Args:
        styles: one S-space code a chunk, batch of 1.
        masks: (n_chunks, h, w); they need not sum to 1. Their size is that of the result.

    Raises:
        ComponentError: the head is for another generator.
    """
    size = (masks.shape[1], masks.shape[2])
    total = masks.new_zeros(len(head.classes), *size)
    for own, mask in zip(styles, masks):
        maps = generator.feature_stack(own, noise=noise)
        total = total + mask * head(maps, size=size).mean(0)[0]
    return total


def blended_logits_at(
    generator: Generator,
    styles: Sequence[Styles],
    masks: Tensor,
    head: SegHead,
    where: Tensor,
    *,
    noise: Noise = "const",
) -> Tensor:
    """(n_classes, p): `blended_logits` at the pixels that are true in where, (h, w); quicker where they are few."""
    total = masks.new_zeros(len(head.classes), int(where.sum()))
    for own, mask in zip(styles, masks):
        total = total + mask[where] * head.of_pixels(generator.feature_stack(own, noise=noise), where).mean(0)[0]
    return total


@torch.no_grad()
def labels_of(projection: Projection, head: SegHead, *, size: int | None = None) -> Tensor:
    """(h, w) int64: the class of every pixel of the picture that a projection draws, with its edits, on the CPU.

    Args:
        size: longer side of the result; None: the picture's.

    Raises:
        ComponentError: the head is for another generator.
    """
    device = projection.generator.w_avg.device
    noise: Noise = "const" if projection.noise is None else [value.to(device) for value in projection.noise]
    masks = reduced(projection.masks, size).to(device)
    styles = projection.edited_styles()
    return blended_logits(projection.drawer, styles, masks, head.to(device), noise=noise).argmax(0).cpu()
