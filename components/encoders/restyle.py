"""ReStyle: an encoder that sees the picture beside what its last codes draw, and corrects them step by step."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.components.encoders.pretrained import PretrainedEncoder
from chunkygan.interfaces import Generator


class ReStyle(PretrainedEncoder):
    """Codes in a few passes, begun at the mean code and its picture; reads ReStyle's pSp and e4e, with either body.

    Args:
        generator: whose codes it predicts, and that draws them between the passes.
        weights: file or manifest name of a ReStyle checkpoint.
        iterations: passes.

    Raises:
        WeightsError: weights that are missing, damaged, of another network, or for another generator.

    Source: Alaluf et al., ReStyle, 2021.
    """

    def __init__(self, generator: Generator, weights: str | Path, iterations: int = 5) -> None:
        super().__init__(generator, weights, inputs=6, progressive=False)
        self.iterations = iterations
        self._generator = (generator,)  # no part of this module: it moves and is saved on its own

    def forward(self, images: Tensor) -> Tensor:
        return self.path(images)[-1]

    def path(self, images: Tensor) -> list[Tensor]:
        """The codes after every pass, each (n, num_ws, w_dim)."""
        seen, rows = self.seen(images), self._generator[0].num_ws
        codes = self.latent_avg.expand(len(images), rows, -1)
        found: list[Tensor] = []
        for _ in range(self.iterations):
            drawn = self._drawn(codes[:1]).expand_as(seen) if not found else self._drawn(codes)
            codes = codes + self.network(torch.cat([seen, drawn], 1))
            found.append(codes)
        return found

    def _drawn(self, codes: Tensor) -> Tensor:
        """What codes draw, averaged to the size that the network sees."""
        generator = self._generator[0]
        images = generator.synthesis(generator.styles(codes), noise="const")
        side = self.network.config.input_size
        if max(images.shape[-2:]) <= side:
            return self.seen(images)
        scale = side / max(images.shape[-2:])
        return F.adaptive_avg_pool2d(images, (round(images.shape[-2] * scale), round(images.shape[-1] * scale)))
