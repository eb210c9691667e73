"""One chunk, the whole picture: with it, a chunked fit is a plain global one."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import MaskGenerator
from chunkygan.labels import distinct_colours


class Single(MaskGenerator):
    """One mask that is 1 everywhere, of a chunk named ``image``.

    Args:
        size: (height, width) of the generator's picture.
    """

    masks: Tensor

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.names = ("image",)
        self.colours = distinct_colours(1)
        self.register_buffer("masks", torch.ones(1, *size))

    def forward(self) -> Tensor:
        """(1, 1, h, w) of ones."""
        return self.masks.unsqueeze(0)
