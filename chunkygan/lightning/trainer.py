"""Lightning's Trainer as this project uses it: no files, no chatter, any device."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader, IterableDataset

from chunkygan.errors import RecipeError


def trainer_options(
    accelerator: str = "auto", devices: int | str = 1, precision: str = "32-true", num_nodes: int = 1
) -> dict[str, Any]:
    """What a recipe's `trainer` section may set; the names and values are Lightning's.

    Args:
        accelerator: ``"auto"``, ``"cpu"``, ``"gpu"``, ``"mps"`` ...
        devices: how many on every node; ``"auto"``: all.
        precision: ``"32-true"``, ``"bf16-mixed"`` ...
        num_nodes: machines.
    """
    return {"accelerator": accelerator, "devices": devices, "precision": precision, "num_nodes": num_nodes}


def of_one_device(options: Mapping[str, Any]) -> dict[str, Any]:
    """Trainer options for a fit in one process, which runs on the first of the devices that they name."""
    devices = options["devices"]
    first = [int(devices.split(",")[0])] if isinstance(devices, str) and "," in devices else 1
    return {**options, "devices": first, "num_nodes": 1}


def shared_gradients(options: Mapping[str, Any]) -> dict[str, Any]:
    """Trainer options for a training on as many devices as they name, where steps need not use every parameter."""
    several = options.get("devices", 1) not in (1, "1") or options.get("num_nodes", 1) > 1
    return {**({"strategy": "ddp_find_unused_parameters_true"} if several else {}), **options}


@contextlib.contextmanager
def checked() -> Iterator[None]:
    """Around the making of a Trainer or Fabric: what Lightning says against its options is the recipe's mistake.

    Raises:
        RecipeError: in Lightning's words.
    """
    try:
        yield
    except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
        raise RecipeError(f"trainer: {str(error).strip()}") from error


def quiet_trainer(*, steps: int, callbacks: Sequence[pl.Callback], **options: Any) -> pl.Trainer:
    """A Trainer that stops after a number of optimiser steps and writes nothing by itself.

    Raises:
        RecipeError: an option that Lightning or this machine does not have.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")
    warnings.filterwarnings("ignore", message=".*lightning.*", category=FutureWarning)
    with checked():
        return pl.Trainer(
            max_steps=steps,
            callbacks=list(callbacks),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            inference_mode=False,
            **options,
        )


class _Ticks(IterableDataset[torch.Tensor]):
    """Nothing, forever: a fit's data is its target."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        tick = torch.zeros(())
        while True:
            yield tick


def ticks() -> DataLoader[torch.Tensor]:
    """A loader for a module that needs no data; the Trainer's `max_steps` ends it."""
    return DataLoader(_Ticks(), batch_size=None)
