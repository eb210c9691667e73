"""Networks of NVIDIA's pickles: objects of known names and states, flattened to state dicts, and what they say of
themselves. Their program, which every such object carries along, is never looked at."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from chunkygan.checkpoint_files.pickle_names import Record
from chunkygan.checkpoint_files.stored import Stored
from chunkygan.errors import WeightsError

MAX_MODULES = 10_000


def modules_of(network: Record) -> Iterator[tuple[str, Record]]:
    """Every module of a network with its dotted name, the network itself (``""``) first.

    Raises:
        WeightsError: they are nested without end.
    """
    waiting, seen = [("", network)], 0
    while waiting:
        name, module = waiting.pop()
        seen += 1
        if seen > MAX_MODULES or name.count(".") > 16:
            raise WeightsError("its modules are nested without end")
        yield name, module
        children = module.state.get("_modules") or {}
        waiting += [(_joined(name, key), child) for key, child in children.items() if isinstance(child, Record)]


def state_of(network: Record) -> dict[str, Stored]:
    """The state dict of a network."""
    state = {}
    for name, module in modules_of(network):
        passing = module.state.get("_non_persistent_buffers_set") or ()
        for group in ("_parameters", "_buffers"):
            for key, value in (module.state.get(group) or {}).items():
                if isinstance(value, Stored) and key not in passing:
                    state[_joined(name, key)] = value
    return state


def generator_settings(network: Record) -> dict[str, Any]:
    """What a StyleGAN2 generator says beside its tensors: the clamp, the mapping's multiplier, the blocks in half
    precision.

    Raises:
        WeightsError: an activation other than lrelu.
    """
    modules = dict(modules_of(network))
    layer, first = modules.get("synthesis.b4.conv1"), modules.get("mapping.fc0")
    activation = _attribute(layer, "activation")
    if activation not in (None, "lrelu"):
        raise WeightsError(f"a StyleGAN2 with the activation {str(activation)[:40]!r}; only 'lrelu' is known here")
    settings: dict[str, Any] = {"conv_clamp": _positive(_attribute(layer, "conv_clamp"))}
    if multiplier := _positive(_attribute(first, "bias_gain")):
        settings["mapping_lr_multiplier"] = multiplier
    blocks = [module for name, module in modules.items() if re.fullmatch(r"synthesis\.b\d+", name)]
    settings["half_blocks"] = sum(_attribute(block, "use_fp16") is True for block in blocks)
    return settings


def layout_of(network: Record) -> str:
    """Whose program wrote a StyleGAN2: the synthesis' options lie flat in the StyleGAN3 code's networks."""
    options = network.state.get("_init_kwargs")
    flat = isinstance(options, dict) and "synthesis_kwargs" not in options and "channel_base" in options
    return "options of the StyleGAN3 code" if flat else "options of the StyleGAN2-ADA code"


def _attribute(module: Record | None, name: str) -> Any:
    return None if module is None else module.state.get(name)


def _positive(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) and value > 0 else None


def _joined(prefix: str, key: Any) -> str:
    return f"{prefix}.{key}" if prefix else str(key)
