"""pSp: every row of W+ predicted from the features of its own resolution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chunkygan.components.encoders.pretrained import PretrainedEncoder
from chunkygan.interfaces import Generator


class Psp(PretrainedEncoder):
    """Codes in one pass; also reads pSp's encoders into W and with one linear layer into W+.

    Args:
        generator: whose codes it predicts.
        weights: file or manifest name of a pSp checkpoint.
        config: shape of an untrained network instead, as a training starts from.

    Raises:
        ComponentError: neither weights nor config, or both.
        WeightsError: weights that are missing, damaged, of another network, or for another generator.

    Source: Richardson et al., Encoding in Style, 2021.
    """

    def __init__(
        self, generator: Generator, weights: str | Path | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(generator, weights, config, inputs=3, progressive=False)
