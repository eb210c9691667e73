"""ReStyle: an encoder that sees the picture beside what its last codes draw, and corrects them step by step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.components.encoders.pretrained import PretrainedEncoder
from chunkygan.interfaces import Generator


class ReStyle(PretrainedEncoder):
    """Codes in a few passes, begun at the mean code and its picture; reads ReStyle's pSp and e4e, with either body.

    Args:
        generator: whose codes it predicts, and that draws them between the passes.
        weights: file or manifest name of a ReStyle checkpoint.
        iterations: passes.
        config: shape of an untrained network instead, as a training starts from.

    Raises:
        ComponentError: neither weights nor config, or both.
        WeightsError: weights that are missing, damaged, of another network, or for another generator.

    Source: Alaluf et al., ReStyle, 2021.
    """

    def __init__(
        self,
        generator: Generator,
        weights: str | Path | None = None,
        iterations: int = 5,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(generator, weights, config, inputs=6, progressive=False)
        self.iterations = iterations

    def corrected(self, seen: Tensor, codes: Tensor, drawn: Tensor | None) -> Tensor:
        if drawn is None:
            with torch.no_grad():
                drawn = self.drawn(codes[:1]).expand_as(seen)
        return codes + self.network(torch.cat([seen, drawn], 1))
