"""Small networks on disk: tensors in half precision, and beside them, as JSON, all it takes to build the network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chunkygan.errors import WeightsError
from chunkygan.weights import find, read_safetensors, write_safetensors

if TYPE_CHECKING:
    from torch import Tensor, nn


def write_network(path: Path, kind: str, config: Mapping[str, Any], network: nn.Module) -> Path:
    """Writes a network's state and what it is; returns the path."""
    tensors = {
        name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()
    }
    write_safetensors(path, tensors, {"config": json.dumps({"kind": kind, **config})})
    return path


def read_network(
    weights: str | os.PathLike[str], kind: str, keys: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The settings `keys` and the tensors, in float32, of a file or manifest name.

    Raises:
        WeightsError: it is missing or damaged, holds another kind of network, or lacks one of the settings.
    """
    path = find(weights)
    metadata, state = read_safetensors(path)
    try:
        config = json.loads(metadata.get("config", "{}"))
    except json.JSONDecodeError as error:
        raise WeightsError(f"{path}: metadata key 'config' is no JSON: {error}") from error
    found = config.get("kind") if isinstance(config, dict) else None
    if found != kind:
        raise WeightsError(f"{path}: must hold the weights of {kind}; got {found or 'a file without a kind'}")
    missing = [key for key in keys if key not in config]
    if missing:
        raise WeightsError(f"{path}: the metadata of a {kind} must say {', '.join(missing)}")
    return {key: config[key] for key in keys}, {
        name: value.float() if value.is_floating_point() else value for name, value in state.items()
    }


def fill_network(network: nn.Module, state: Mapping[str, Tensor], weights: str | os.PathLike[str]) -> None:
    """Loads tensors into a network.

    Raises:
        WeightsError: names or shapes do not fit.
    """
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        raise WeightsError(f"{os.fspath(weights)}: tensors do not fit the file's own settings: {error}") from error
