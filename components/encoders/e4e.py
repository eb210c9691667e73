"""e4e: one code near the generator's own, and small differences from it for the other rows, so that edits hold."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from chunkygan.components.encoders.pretrained import PretrainedEncoder
from chunkygan.interfaces import Generator


class E4e(PretrainedEncoder):
    """Codes in one pass: the first row, and what every other adds to it.

    Its files have the names and shapes of pSp's; only the way the rows are put together differs.

    Args:
        generator: whose codes it predicts.
        weights: file or manifest name of an e4e checkpoint.

    Raises:
        WeightsError: weights that are missing, damaged, of another network, or for another generator.

    Source: Tov et al., Designing an Encoder for StyleGAN Image Manipulation, 2021.
    """

    def __init__(self, generator: Generator, weights: str | Path) -> None:
        super().__init__(generator, weights, inputs=3, progressive=True)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.seen(images)) + self.latent_avg
