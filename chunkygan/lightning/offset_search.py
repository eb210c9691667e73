"""An offset fitted by Adam, of which the best step counts: what refinements after a fit share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from chunkygan.lightning.schedule import learning_rate
from chunkygan.objective import objective


class OffsetSearch(pl.LightningModule):
    """Steps on `offset`; a subclass says what they are worth.

    Attributes:
        settings: with steps, lr, rampdown, and weights of the terms by name.
        offset: what is fitted.
        history: the terms of every step.
        best: the lowest objective so far, and its offset.
    """

    settings: Any
    offset: nn.Parameter
    history: list[dict[str, Tensor]]
    best: tuple[float, Tensor]
    _prepared: bool

    @abstractmethod
    def terms(self) -> dict[str, Tensor]:
        """The objective's terms, unweighted."""

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        terms = self.terms()
        total = objective(terms, self.settings.weights)
        self.history.append({name: value.detach() for name, value in {**terms, "total": total}.items()})
        self._look(total)
        return total

    def configure_optimizers(self) -> Any:
        s = self.settings
        optimizer = torch.optim.Adam([self.offset], lr=s.lr)
        factor = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate(step, s.steps, rampup=0.0, rampdown=s.rampdown)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": factor, "interval": "step"}}

    def on_fit_start(self) -> None:
        self._prepared = False

    def _look(self, total: Tensor) -> None:
        value = float(total.detach())
        if value < self.best[0]:
            self.best = (value, self.offset.detach().clone())
