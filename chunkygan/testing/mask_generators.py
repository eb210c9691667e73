"""The contract check of mask generators."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import (
    MaskGenerator,
)
from chunkygan.masks import check_masks, check_range
from chunkygan.testing.rules import finite_gradient, keeps, require, shaped


def check_mask_generator(masks: MaskGenerator, *, tolerance: float = 1e-4) -> None:
    """Shape, names, range, sum of 1, repeatability, and gradients to whatever it exposes to the optimiser.

    Args:
        tolerance: largest deviation of the sum from 1.

    Raises:
        ComponentError: the mask generator breaks its contract.
    """
    drawn = masks()
    require(drawn.ndim == 4, masks, f"masks must be (n_images, n_chunks, h, w); got {tuple(drawn.shape)}")
    _check_names(masks, drawn.shape[1])
    keeps(lambda: check_masks(drawn, names=masks.names, tolerance=tolerance), masks)
    require(torch.equal(drawn, masks()), masks, "masks must be the same when drawn twice; they differed")
    _check_static(masks, drawn)
    weights = torch.rand(drawn.shape, generator=torch.Generator().manual_seed(0)).to(drawn)
    for name, parameter in masks.named_parameters():
        if parameter.requires_grad:
            finite_gradient((masks() * weights).sum(), parameter, masks, f"masks must pass gradients to {name}")


def _check_names(masks: MaskGenerator, n_chunks: int) -> None:
    names = masks.names
    require(
        len(names) == n_chunks and all(isinstance(name, str) and name for name in names),
        masks,
        f"names must be one word a chunk, {n_chunks} in all; got {tuple(names)}",
    )
    require(len(set(names)) == len(names), masks, f"names must differ from each other; got {tuple(names)}")


def _check_static(masks: MaskGenerator, drawn: Tensor) -> None:
    static = masks.static()
    if static is None:
        return
    n_images, _, height, width = drawn.shape
    shaped(static, (n_images, height, width), masks, "static()")
    keeps(lambda: check_range(static.unsqueeze(1), names=["static"]), masks)
