"""Gives a trained generator more channels without changing what it draws, so that it can learn what it had no room for.

New filters are random, and nothing reads them yet: the weights that do so begin at zero and learn first.

Source: Chen et al., Net2Net (2016), for the idea; theirs copies filters where these are fresh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from chunkygan.build import create
from chunkygan.errors import ShapeError


@torch.no_grad()
def widened(generator: Any, channels: Sequence[int]) -> Any:
    """A `stylegan2` of so many channels a size, 4 pixels first, that draws what `generator` draws.

    Args:
        generator: a `stylegan2`; it is left as it is.

    Raises:
        ShapeError: another number of sizes, or fewer channels than there are.
    """
    before = list(generator.config["channels"])
    if len(channels) != len(before) or any(new < old for new, old in zip(channels, before)):
        raise ShapeError(
            f"channels: {list(channels)} must be as many numbers as {before}, and none smaller; null keeps those"
        )
    wide = create("generator", {"name": "stylegan2", **generator.config, "channels": list(channels)})
    known = generator.state_dict()
    for name, value in wide.state_dict().items():
        old = known[name]
        if name.endswith("torgb.weight"):  # styles of these layers are divided by the root of the number of inputs
            old = old * math.sqrt(value.shape[1] / old.shape[1])
        if old.shape == value.shape:
            value.copy_(old)
        else:
            rows = value[: len(old)]
            rows.zero_()
            rows[tuple(slice(0, size) for size in old.shape)] = old
    return wide
