"""e4e: one code near the generator's own, and small differences from it for the other rows, so that edits hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chunkygan.components.encoders.pretrained import PretrainedEncoder
from chunkygan.interfaces import Generator


class E4e(PretrainedEncoder):
    """Codes in one pass: the first row, and what every other adds to it.

    Its files have the names and shapes of pSp's; only the way the rows are put together differs.

    Args:
        generator: whose codes it predicts.
        weights: file or manifest name of an e4e checkpoint.
        config: shape of an untrained network instead, as a training starts from.

    Raises:
        ComponentError: neither weights nor config, or both.
        WeightsError: weights that are missing, damaged, of another network, or for another generator.

    Source: Tov et al., Designing an Encoder for StyleGAN Image Manipulation, 2021.
    """

    def __init__(
        self, generator: Generator, weights: str | Path | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(generator, weights, config, inputs=3, progressive=True)
