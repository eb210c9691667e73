"""StyleGAN2 pickles of the TensorFlow era: their variables under NVIDIA's later names.

Source: the names and transformations that NVlabs/stylegan2-ada-pytorch uses for its own conversion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chunkygan.checkpoint_files.pickle_names import Record
from chunkygan.checkpoint_files.stored import Array, Stored
from chunkygan.errors import WeightsError


def variables_of(network: Record) -> dict[str, Stored]:
    """All variables of a network and its components, as ``component/variable``.

    Raises:
        WeightsError: a state that is no network's.
    """
    version = network.state.get("version")
    found: dict[str, Stored] = {}
    if not isinstance(version, int) or version < 4:
        raise WeightsError(f"a TensorFlow network of version {version!r}; StyleGAN2's are of version 4 or above")
    waiting = [("", network)]
    for _ in range(100):
        if not waiting:
            return found
        prefix, part = waiting.pop()
        for entry in part.state.get("variables") or ():
            if not isinstance(entry, (tuple, list)) or len(entry) != 2 or not isinstance(entry[1], Array):
                raise WeightsError("a TensorFlow network with variables of an unusual form")
            if entry[1].stored is not None:
                found[f"{prefix}{entry[0]}"] = entry[1].stored
        components = part.state.get("components") or {}
        waiting += [(f"{prefix}{name}/", child) for name, child in components.items() if isinstance(child, Record)]
    raise WeightsError("a TensorFlow network whose components are nested without end")


def is_stylegan1(variables: Mapping[str, Any]) -> bool:
    """Whether the variables are those of a StyleGAN 1, which modulates features and not weights."""
    return any("/StyleMod/" in name for name in variables)


def is_stylegan2(variables: Mapping[str, Any]) -> bool:
    """Whether the variables are those of a StyleGAN2 generator."""
    return any(name.endswith("/mod_weight") for name in variables) and "synthesis/4x4/Const/const" in variables


def from_tensorflow(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict under NVIDIA's later names.

    Kernels change their axes from (h, w, in, out); those of upsampling convolutions are turned round too; the 1 that
    TensorFlow's layers add to a style's bias is added here.

    Raises:
        WeightsError: a network of architecture 'orig'.
    """
    if any("ToRGB_lod" in name for name in variables):
        raise WeightsError(
            "a StyleGAN2 of architecture 'orig' (toRGB in the last block only); only 'skip' is known here"
        )
    state: dict[str, Tensor] = {}
    for name, value in variables.items():
        if name == "dlatent_avg":
            state["mapping.w_avg"] = value
        elif name == "synthesis/4x4/Const/const":
            state["synthesis.b4.const"] = value[0]
        elif match := re.fullmatch(r"mapping/(Dense(\d+)|LabelEmbed)/(weight|bias)", name):
            layer = "embed" if match[2] is None else f"fc{match[2]}"
            state[f"mapping.{layer}.{match[3]}"] = value.T if match[3] == "weight" else value
        elif match := re.fullmatch(r"synthesis/noise(\d+)", name):
            state[f"synthesis.{_noise_layer(int(match[1]))}.noise_const"] = value[0, 0]
        elif match := re.fullmatch(r"synthesis/(\d+)x\1/(\w+)/(\w+)", name):
            state |= _layer(int(match[1]), match[2], match[3], value)
    return state


def settings_of(network: Record) -> dict[str, Any]:
    """What a generator's options say beside its tensors.

    Raises:
        WeightsError: an activation or a resampling kernel that is not known here.
    """
    options = _options(network)
    if options.get("nonlinearity", "lrelu") != "lrelu":
        raise WeightsError(
            f"a StyleGAN2 with the activation {str(options['nonlinearity'])[:40]!r}; only 'lrelu' is known"
        )
    if list(options.get("resample_kernel") or [1, 3, 3, 1]) != [1, 3, 3, 1]:
        raise WeightsError("a StyleGAN2 with a resampling kernel other than [1, 3, 3, 1], which is not known here")
    settings: dict[str, Any] = {"mapping_lr_multiplier": float(options.get("mapping_lrmul", 0.01))}
    settings["conv_clamp"] = None if options.get("conv_clamp") is None else float(options["conv_clamp"])
    if halves := options.get("num_fp16_res"):
        size = int(options.get("resolution", 1024))
        lowest = max(size * 2 >> int(halves), 8)
        settings["half_blocks"] = sum(1 for level in range(3, 11) if lowest <= 1 << level <= size)
    return settings


def _options(network: Record) -> dict[str, Any]:
    options: dict[str, Any] = {}
    parts = [network, *(network.state.get("components") or {}).values()]
    for part in parts:
        own = part.state.get("static_kwargs") if isinstance(part, Record) else None
        options.update(own if isinstance(own, dict) else {})
    return options


_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}


def _layer(size: int, layer: str, variable: str, value: Tensor) -> dict[str, Tensor]:
    name = f"synthesis.b{size}.{_LAYERS.get(layer, layer)}"
    if variable == "weight":
        value = value.flip(0, 1) if layer == "Conv0_up" else value
        return {f"{name}.weight": value.permute(3, 2, 0, 1)}
    if variable == "mod_weight":
        return {f"{name}.affine.weight": value.T}
    if variable == "mod_bias":
        return {f"{name}.affine.bias": value + 1}
    return {f"{name}.{variable}": value}


def _noise_layer(index: int) -> str:
    """The convolution of a noise map: 0 is the lowest resolution's only one, then two a resolution."""
    return "b4.conv1" if index == 0 else f"b{8 << (index - 1) // 2}.conv{(index - 1) % 2}"
