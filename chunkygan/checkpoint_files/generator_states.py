"""The generator in a recognised file: its tensors under NVIDIA's names, and the arguments of its component."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor

from chunkygan.checkpoint_files.recognition import Checkpoint, names_in_words
from chunkygan.checkpoint_files.stylegan2_names import config_of, from_rosinality, is_nvidia, is_rosinality
from chunkygan.checkpoint_files.tensorflow_networks import from_tensorflow
from chunkygan.errors import WeightsError
from chunkygan.tensor_files import load_all


def generator_of(checkpoint: Checkpoint, *, shadow: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict and configuration of a StyleGAN2 generator.

    Args:
        shadow: tensors of the meta device, without numbers, to look at shapes.

    Raises:
        WeightsError: there is no StyleGAN2 generator in the file, or one that is not known here.
    """
    if "generator" not in checkpoint.states:
        raise WeightsError(f"{checkpoint.path} holds no StyleGAN2 generator: it is {checkpoint.title}")
    state = loaded(checkpoint, "generator", shadow=shadow)
    try:
        if checkpoint.kind == "chunkygan_generator":
            return state, _own_config(checkpoint.metadata["config"])
        if checkpoint.kind == "tensorflow_stylegan2":
            state = from_tensorflow(state)
        elif is_rosinality(state):
            state = from_rosinality(state, _average(checkpoint, shadow=shadow))
        if is_nvidia(state):
            if shadow:  # the filters' numbers are not there to be checked
                state = {name: value for name, value in state.items() if not name.endswith("resample_filter")}
            return state, {**config_of(state), **checkpoint.settings}
    except KeyError as error:
        raise WeightsError(f"{checkpoint.path}: looks like a StyleGAN2 generator but has no tensor {error}") from error
    except (IndexError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{checkpoint.path}: a StyleGAN2 generator with tensors of odd shapes: {error}") from error
    except WeightsError as error:
        raise WeightsError(f"{checkpoint.path}: {error}") from error
    first = names_in_words(state)
    raise WeightsError(f"{checkpoint.path}: no StyleGAN2 generator under NVIDIA's or rosinality's names; has {first}")


def _own_config(text: str) -> dict[str, Any]:
    """The configuration that `chunkygan.generator_file` wrote.

    Raises:
        ValueError: it is none.
    """
    config = json.loads(text)
    if not isinstance(config, dict):
        raise ValueError("a configuration that is no map")
    sizes = [config[key] for key in ("z_dim", "w_dim", "c_dim")] + [*config["channels"], *config["const_size"]]
    whole = all(isinstance(size, int) and 0 <= size < 1 << 20 for size in sizes)
    if not whole or not 0 < len(config["channels"]) < 16 or len(config["const_size"]) != 2:
        raise ValueError("a configuration with sizes that cannot be")
    return config


def loaded(checkpoint: Checkpoint, part: str, *, shadow: bool = False) -> dict[str, Tensor]:
    """The tensors of a part of a file, under its own names.

    Raises:
        WeightsError: their numbers are not in the file, or there are many more of them than it could hold.
    """
    state = checkpoint.states[part]
    if shadow:
        return {name: value.shadow() for name, value in state.items()}
    return load_all(checkpoint.path, state)


def _average(checkpoint: Checkpoint, *, shadow: bool) -> Tensor | None:
    if checkpoint.latent_avg is None:
        return None
    return checkpoint.latent_avg.shadow() if shadow else checkpoint.latent_avg.load()
