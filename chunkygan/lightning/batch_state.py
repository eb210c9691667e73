"""An unfinished fit in a file: one a picture, whatever other pictures were fitted beside it."""

from __future__ import annotations

from pathlib import Path

import torch

from chunkygan.errors import ProjectionError
from chunkygan.files import atomic_write
from chunkygan.lightning.chunk_fit import ChunkFit

FORMAT = 2  # 1 was a checkpoint of Lightning's own


def save_state(path: Path, fit: ChunkFit, *, stopped: bool) -> None:
    """Keeps all that a fit needs to go on, alone or beside others.

    Args:
        stopped: whether it is to do no more steps.

    Raises:
        ProjectionError: the file cannot be written.
    """
    content = {
        "format": FORMAT,
        "stopped": stopped,
        "parts": fit.state_dict(),
        "adam": fit.adam,
        "history": [{name: float(value) for name, value in row.items()} for row in fit.history],
    }
    atomic_write(path, lambda file: torch.save(content, file), error=ProjectionError)


def load_state(path: Path, fit: ChunkFit) -> bool:
    """Sets a fit to where it was; whether it is to do no more steps.

    Raises:
        ProjectionError: the file is damaged, or is not of a fit like this one.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != FORMAT:
            raise KeyError("format")
        fit.load_state_dict(content["parts"])
        fit.history = [{name: torch.tensor(value) for name, value in row.items()} for row in content["history"]]
        fit.adam, stopped = content["adam"], bool(content["stopped"])
    except Exception as error:
        raise ProjectionError(
            f"{path}: this unfinished fit is damaged, or of other chunks or another version ({type(error).__name__}); "
            "delete it, and the picture is fitted from the start"
        ) from error
    fit.forget_masks()
    return stopped
