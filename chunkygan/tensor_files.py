"""Tensors from and to files, without ever running what a file contains. Imports torch only when called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from chunkygan.errors import WeightsError
from chunkygan.files import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

    from chunkygan.checkpoint_files.stored import Stored

MOST_BYTES = 8
"""How many times a file's size its tensors may have together: names may share numbers, but not without end."""


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors (on the CPU) of a safetensors file.

    Raises:
        WeightsError: it is missing, truncated, or another kind of file.
    """
    from safetensors import SafetensorError, safe_open

    path = _existing(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is no whole safetensors file: {error}") from error


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Name -> tensor of a ``.pt``, ``.pth``, ``.ckpt`` or ``.safetensors`` file; what it is shows in its content.

    Looks into the containers that trainings write; tensors that lie beside the chosen one, such as rosinality's
    ``latent_avg``, come along. A ``module.`` before every name is dropped.

    Raises:
        WeightsError: it is missing, damaged, holds anything but tensors and plain values, or has no state dict. Code in
            a file is never run.
    """
    from chunkygan.checkpoint_files.content import read_content
    from chunkygan.checkpoint_files.recognition import CONTAINERS, as_state_dict, described
    from chunkygan.checkpoint_files.stored import Stored

    content = read_content(_existing(path))
    value, beside = content.value, {}
    for key in CONTAINERS:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            beside = {str(k): v for k, v in value.items() if isinstance(v, Stored)}
            value = value[key]
            break
    state = as_state_dict(value)
    if state is None:
        raise WeightsError(
            f"{path} has no state dict: expected names with tensors, bare or under one of {', '.join(CONTAINERS)}; "
            f"got {described(value)}"
        )
    return load_all(content.path, {**beside, **state})


def load_all(path: Path, stored: Mapping[str, Stored]) -> dict[str, Tensor]:
    """The tensors of a file that was read, on the CPU.

    Raises:
        WeightsError: their numbers are not in the file, or it names the same ones without end.
    """
    if sum(value.size for value in stored.values()) > MOST_BYTES * path.stat().st_size:
        raise WeightsError(f"{path} names the same numbers again and again, and would fill the memory")
    try:
        return {name: value.load() for name, value in stored.items()}
    except (ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} is damaged: {error}") from error


def write_safetensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a safetensors file under a temporary name and renames it, so that no half-written file is left.

    Raises:
        WeightsError: the disk is full or the place cannot be written.
    """
    from safetensors.torch import save

    # Copies, since the format refuses tensors that share memory.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    atomic_write(path, lambda file: file.write(save(whole, metadata=dict(metadata or {}))), error=WeightsError)


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weight file '{path}'")
    return path
