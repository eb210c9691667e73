"""The contract of blenders."""

from __future__ import annotations

import torch

from chunkygan.interfaces import Blender
from chunkygan.testing.rules import agree, require, shaped


def check_blender(blender: Blender, *, size: tuple[int, int] = (12, 16)) -> None:
    """The photo outside, bit for bit; finite inside; every picture of a batch on its own; several chunks too.

    Args:
        size: (height, width) of the pictures it is tried on.

    Raises:
        ComponentError: the blender breaks its contract.
    """
    rng = torch.Generator().manual_seed(0)
    drawn, photo = (torch.rand(2, 3, *size, generator=rng) * 2 - 1 for _ in range(2))
    height, width = size
    mask = torch.zeros(2, *size)
    mask[0, height // 4 : height // 2, : width // 2] = 1  # touches the frame
    mask[1, height // 2 :, width // 2 :] = 0.75
    joined = blender.blend(drawn, photo, mask)
    shaped(joined, (2, 3, *size), blender, "blend")
    outside = (mask == 0).unsqueeze(1).expand_as(photo)
    require(torch.equal(joined[outside], photo[outside]), blender, "blend must keep the photo where the mask is 0")
    require(bool(joined.isfinite().all()), blender, "blend must give finite numbers")
    alone = torch.cat([blender.blend(drawn[i : i + 1], photo[i : i + 1], mask[i : i + 1]) for i in range(2)])
    agree(alone, joined, blender, "a picture must be blended the same alone and in a batch")
    several = blender.blend_chunks(drawn, photo[:1], mask)
    shaped(several, (1, 3, *size), blender, "blend_chunks")
    outside = (mask.sum(0) == 0).expand(1, 3, -1, -1)
    require(torch.equal(several[outside], photo[:1][outside]), blender, "blend_chunks must keep the photo elsewhere")
