"""What a file is, told from its content alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chunkygan.checkpoint_files import nvidia_modules, tensorflow_networks
from chunkygan.checkpoint_files.content import Content, read_content
from chunkygan.checkpoint_files.pickle_names import Record
from chunkygan.checkpoint_files.stored import Array, Stored
from chunkygan.errors import WeightsError

States = dict[str, Stored]

KINDS = {
    "chunkygan_generator": "a generator of this project",
    "chunkygan_encoder": "an encoder of this project",
    "chunkygan_projection": "a projection of this project",
    "nvidia_stylegan2": "StyleGAN2 network pickle of NVIDIA's PyTorch code",
    "tensorflow_stylegan2": "StyleGAN2 network pickle of the TensorFlow era",
    "tuned_stylegan2": "StyleGAN2 tuned to a picture (PTI), saved as a whole module",
    "rosinality_stylegan2": "StyleGAN2 checkpoint of rosinality's code",
    "stylegan2_state": "StyleGAN2 state dict under NVIDIA's names",
    "psp_encoder": "checkpoint of the pSp family (pSp, e4e, ReStyle)",
    "hyperstyle": "HyperStyle checkpoint",
    "styleflow": "StyleFlow's attribute flow",
    "arcface_ir_se50": "ArcFace IR-SE50 identity network",
    "editgan_head": "DatasetGAN / EditGAN pixel classifier",
    "editgan_encoder": "EditGAN encoder",
    "styleclip_mapper": "StyleCLIP mapper",
    "directions": "latent directions or codes",
    "state_dict": "a state dict of a network that is not known here",
}
"""Kind -> what it is, in words."""

BESIDE = ("G_ema", "G")
CONTAINERS = ("g_ema", "params_ema", "state_dict", "net_state_dict", "model_state_dict", "model", "params", "g")
"""Keys under which common trainings put their state dict, the one to prefer first."""


@dataclass(frozen=True)
class Checkpoint:
    """A file that was recognised.

    Args:
        path: of the file.
        container: its layout in words.
        kind: a key of `KINDS`.
        states: part (``generator``, ``encoder``, ``network``, ...) -> its state dict, under the names of its origin.
        latent_avg: the mean code beside them.
        settings: what the file says of its generator beside the tensors: arguments of its component.
        options: of the training, where they are plain values.
        notes: further facts in words.
    """

    path: Path
    container: str
    kind: str
    states: dict[str, States]
    latent_avg: Stored | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is, in words."""
        return KINDS[self.kind]


def recognised(path: Path) -> Checkpoint:
    """What the file is; reads no tensor's numbers.

    Raises:
        WeightsError: missing, damaged, unsafe, or something that is known and not taken (StyleGAN 1 and 3, ...).
    """
    content = read_content(path)
    try:
        return _of_value(content)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:  # unusual values at known places
        raise WeightsError(f"{path} is damaged or no weight file: {error}") from error


def _of_value(content: Content) -> Checkpoint:
    value = content.value
    if isinstance(value, Record):
        return _of_object(value, content)
    if isinstance(value, (tuple, list)) and value and all(isinstance(part, Record) for part in value):
        return _of_tensorflow(value[-1], content)  # (G, D, Gs): the last is the averaged one
    if isinstance(value, (Stored, Array)):
        stored = value.stored if isinstance(value, Array) else value
        return _made(content, "directions", {"network": {"values": stored}} if stored else {})
    if not isinstance(value, dict):
        raise WeightsError(f"no weights: holds {described(value)}")
    for key in BESIDE:
        if isinstance(value.get(key), Record):
            return _of_object(value[key], content)
    if content.metadata.get("format", "").startswith("chunkygan."):
        return _of_own(value, content)
    return _of_map(value, content)


def _of_object(network: Record, content: Content) -> Checkpoint:
    if network.kind == "Network":
        return _of_tensorflow(network, content)
    state = nvidia_modules.state_of(network)
    _refuse(state)
    if "synthesis.b4.const" not in state:
        raise WeightsError(f"a {network.kind[:60]} of NVIDIA's code that is no StyleGAN2 generator")
    kind = "tuned_stylegan2" if content.container.startswith("torch") else "nvidia_stylegan2"
    settings, notes = nvidia_modules.generator_settings(network), {"layout": nvidia_modules.layout_of(network)}
    return _made(content, kind, {"generator": state}, settings=settings, notes=notes)


def _of_tensorflow(network: Record, content: Content) -> Checkpoint:
    if network.kind != "Network":
        raise WeightsError(f"no weights: holds {described(content.value)}")
    variables = tensorflow_networks.variables_of(network)
    if tensorflow_networks.is_stylegan1(variables):
        raise WeightsError(_not_taken("StyleGAN (the first)"))
    if not tensorflow_networks.is_stylegan2(variables):
        raise WeightsError("a TensorFlow network that is no StyleGAN2 generator")
    settings = tensorflow_networks.settings_of(network)
    return _made(content, "tensorflow_stylegan2", {"generator": variables}, settings=settings)


def _of_own(tensors: States, content: Content) -> Checkpoint:
    kind = content.metadata["format"].replace(".", "_")
    if kind == "chunkygan_encoder":
        tensors = dict(tensors)
        average = tensors.pop("latent_avg", None)
        return _made(content, kind, {"encoder": tensors}, latent_avg=average)
    if kind == "chunkygan_generator":
        return _made(content, kind, {"generator": tensors})
    if kind == "chunkygan_projection":
        return _made(content, kind, {"network": tensors})
    return _made(content, "state_dict", {"network": tensors})


def _of_map(value: dict[Any, Any], content: Content) -> Checkpoint:
    beside = {str(key): entry for key, entry in value.items() if isinstance(entry, Stored)}
    options = _plain(value.get("opts", value.get("args")))
    state, key = value, ""
    for key in CONTAINERS:
        if isinstance(value.get(key), dict):
            state = value[key]
            break
    states = as_state_dict(state)
    if states is None:
        raise WeightsError(f"no weights: holds {described(value)}")
    average = beside.get("latent_avg")
    if state is value:
        states = {name: entry for name, entry in states.items() if name != "latent_avg"} or states
    return _of_state(states, content, average, options)


def _of_state(state: States, content: Content, average: Stored | None, options: dict[str, Any]) -> Checkpoint:
    _refuse(state)
    common: dict[str, Any] = {"latent_avg": average, "options": options}
    parts = {prefix: _below(state, f"{prefix}.") for prefix in ("encoder", "decoder", "hypernet")}
    if parts["hypernet"]:
        states = {"hypernet": parts["hypernet"], "generator": parts["decoder"]}
        return _made(content, "hyperstyle", _present(states), **common)
    if parts["encoder"]:
        states = {"encoder": parts["encoder"], "generator": parts["decoder"]}
        return _made(content, "psp_encoder", _present(states), **common)
    if {"mean", "comp", "std"} <= set(state):
        return _made(content, "directions", {"network": state}, **common)
    part, kind = _PARTS.get(kind := _kind_of(state), "network"), kind
    return _made(content, kind, {part: state}, **common)


_MARKS: dict[str, tuple[str, ...]] = {
    "stylegan2_state": ("synthesis.b4.const", "synthesis.b4.conv1.affine.weight"),
    "rosinality_stylegan2": ("input.input", "conv1.conv.modulation.weight"),
    "styleflow": ("chain.1.odefunc.diffeq.layers.0._layer.weight",),
    "arcface_ir_se50": ("input_layer.0.weight", "body.0.res_layer.1.weight", "output_layer.3.weight"),
    "psp_encoder": ("body.0.", "styles.0."),
    "editgan_head": ("layers.0.weight", "layers.3.weight", "layers.6.weight"),
    "editgan_encoder": ("FPN_module.",),
    "styleclip_mapper": ("mapper.",),
}
"""Kind -> names, or beginnings of names with a dot at their end, that all must be there."""

_PARTS = {"stylegan2_state": "generator", "rosinality_stylegan2": "generator", "psp_encoder": "encoder"}


def _kind_of(state: Mapping[str, Any]) -> str:
    for kind, marks in _MARKS.items():
        if all(mark in state if mark[-1] != "." else any(n.startswith(mark) for n in state) for mark in marks):
            return kind
    if {"linear.weight", "input_layer.0.weight"} <= set(state):
        return "psp_encoder"  # those that predict one code
    return "state_dict"


def _refuse(state: Mapping[str, Any]) -> None:
    """Raises for networks that are known and not taken."""
    if any(name.startswith("synthesis.input.") for name in state):
        raise WeightsError(_not_taken("StyleGAN3"))
    if any(name.startswith(("g_synthesis.", "g_mapping.", "generator.progression.")) for name in state):
        raise WeightsError(_not_taken("StyleGAN (the first)"))
    if any(name.startswith(("final_linear.", "b4.fc.")) for name in state):
        raise WeightsError("a discriminator, without a generator beside it")


def _not_taken(name: str) -> str:
    return f"a {name} generator; its network is not part of this project, only StyleGAN2 is"


def _made(content: Content, kind: str, states: dict[str, States], **more: Any) -> Checkpoint:
    return Checkpoint(content.path, content.container, kind, states, metadata=content.metadata, **more)


def as_state_dict(content: Any) -> States | None:
    """Name -> tensor, a ``module.`` before every name dropped; None where it is something else."""
    if not isinstance(content, dict) or not content or not all(isinstance(v, Stored) for v in content.values()):
        return None
    return _below(content, "module.") if all(str(n).startswith("module.") for n in content) else _texts(content)


def _texts(content: Mapping[Any, Stored]) -> States:
    return {str(name): value for name, value in content.items()}


def _below(state: Mapping[Any, Stored], prefix: str) -> States:
    return {str(n)[len(prefix) :]: value for n, value in state.items() if str(n).startswith(prefix)}


def _present(states: dict[str, States]) -> dict[str, States]:
    return {part: state for part, state in states.items() if state}


def _plain(options: Any) -> dict[str, Any]:
    """Options of a training whose values are numbers and words."""
    options = options.state if isinstance(options, Record) else options
    if not isinstance(options, dict):
        return {}
    return {str(k): v for k, v in options.items() if isinstance(v, (bool, int, float, str, type(None)))}


def described(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Record):
        return f"an object {value.kind[:60]}"
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    return f"a dict with {', '.join(_entry(k, v) for k, v in list(value.items())[:8])}" if value else "an empty dict"


def _entry(key: Any, value: Any) -> str:
    kind = "tensor" if isinstance(value, Stored) else value.kind if isinstance(value, Record) else type(value).__name__
    return f"{re.sub(r'[^ -~]', '?', str(key))[:40]} ({kind[:40]})"


def names_in_words(names: Iterable[str], limit: int = 3) -> str:
    """Some names, and how many more there are."""
    known = sorted(names)
    more = f" and {len(known) - limit} more" if len(known) > limit else ""
    return ", ".join(known[:limit]) + more
