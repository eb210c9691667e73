"""Tensors from and to files, without ever running what a file contains. Imports torch only when called."""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chunkygan.errors import WeightsError
from chunkygan.files import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

CONTAINERS = ("g_ema", "G_ema", "params_ema", "state_dict", "net_state_dict", "model_state_dict", "model", "params")
"""Keys under which common trainings put their state dict, the one to prefer first."""

_NVIDIA_MARKS = (b"torch_utils.persistence", b"dnnlib")


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

    Looks into the containers that trainings write (`CONTAINERS`); tensors that lie beside the chosen one, such as
    rosinality's ``latent_avg``, come along. A ``module.`` before every name is dropped.

    Raises:
        WeightsError: it is missing, damaged, holds anything but tensors and plain values, or has no state dict. Code in
            a file is never run.
    """
    path = _existing(path)
    if _is_pickle(path):
        return _state_dict_of(_load_restricted(path), path)
    return read_safetensors(path)[1]


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


def _is_pickle(path: Path) -> bool:
    """Whether it is a torch file, new (a zip) or old (a bare pickle), rather than safetensors."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    return head == b"PK" or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))


def _load_restricted(path: Path) -> Any:
    import argparse

    import torch

    _refuse_nvidia(path)
    # Trainings keep their options beside the weights in a Namespace, which is data.
    torch.serialization.add_safe_globals([argparse.Namespace])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of the format, which is no concern of the user
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is None:
            raise WeightsError(f"{path} is damaged or no weight file") from error
        raise WeightsError(
            f"{path} holds more than tensors and plain values: it asks for {asked[1]}, which could run code, and was "
            "not opened. Save only its state dict where you trust it, and use that"
        ) from error
    except Exception as error:  # whatever a damaged file makes of the reader
        raise WeightsError(f"{path} is damaged or no weight file: {_first_line(error)}") from error


def _refuse_nvidia(path: Path) -> None:
    if zipfile.is_zipfile(path):
        return
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if any(mark in head for mark in _NVIDIA_MARKS):
        raise WeightsError(
            f"{path} is a network pickle in NVIDIA's layout, which carries its own program; such files are not read. "
            "Save its state dict (G_ema.state_dict()) with torch.save where you trust it, and use that"
        )


def _state_dict_of(content: Any, path: Path) -> dict[str, Tensor]:
    import torch

    beside: dict[str, Tensor] = {}
    for key in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            beside = {k: v for k, v in content.items() if isinstance(v, torch.Tensor)}
            content = content[key]
            break
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise WeightsError(
            f"{path} has no state dict: expected names with tensors, bare or under one of {', '.join(CONTAINERS)}; "
            f"got {_described(content)}"
        )
    return {**beside, **_without_prefix(content, "module.")}


def _without_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    if all(str(name).startswith(prefix) for name in tensors):
        return {name[len(prefix) :]: tensor for name, tensor in tensors.items()}
    return {str(name): tensor for name, tensor in tensors.items()}


def _described(content: Any) -> str:
    if not isinstance(content, dict):
        return type(content).__name__
    return f"a dict with {', '.join(f'{key} ({type(value).__name__})' for key, value in list(content.items())[:8])}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:200]
