"""StyleFlow's attribute flow in files: its shape, told by its tensors, its attributes, and its state."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from chunkygan.checkpoint_files.encoder_states import Shaped
from chunkygan.checkpoint_files.generator_states import loaded
from chunkygan.checkpoint_files.recognition import recognised
from chunkygan.errors import WeightsError
from chunkygan.tensor_files import write_safetensors

KIND = "styleflow"
_LAYERS = "chain.1.odefunc.diffeq.layers."

_RANGES = {
    "gender": (0.0, 1.0), "glasses": (0.0, 1.0), "yaw": (-20.0, 20.0), "pitch": (-20.0, 20.0), "baldness": (0.0, 1.0),
    "beard": (0.0, 1.0), "age": (0.0, 65.0), "smile": (0.0, 1.0),
}  # fmt: skip
"""Attributes of the public flow in their order -> their range: shares, degrees, and years."""

_ROWS = {
    "gender": (0, 8), "glasses": (2, 4), "yaw": (0, 4), "pitch": (0, 4), "baldness": (0, 6), "beard": (5, 10),
    "age": (4, 8), "smile": (4, 6), **{f"light_{i}": (7, 12) for i in range(9)},
}  # fmt: skip
"""Attributes of the public flow -> the rows of W+ that it moves."""


@dataclass(frozen=True)
class FlowConfig:
    """What a flow is for.

    Args:
        w_dim: width of W.
        hidden: widths of its layers.
        names: of the attributes, in order.
        units: by how much strength 1 changes each attribute: one standard deviation over the domain.
        rows: attribute -> first and last + 1 of the rows of W+ that an edit of it moves; those not named move all.
        classifier: component spec of what tells the attributes of a picture; None: nothing does.
        generator_sha256: of the generator's weight file; None where the flow's file does not say.
        ranges: attribute -> least and greatest value; those not named may have any.
    """

    w_dim: int
    hidden: tuple[int, ...]
    names: tuple[str, ...]
    units: tuple[float, ...]
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    classifier: dict[str, Any] | None = None
    generator_sha256: str | None = None
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)


def public_attributes() -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and units of the public flow's attributes: nine of light, then eight of the face.

    Its files do not say how they spread. The units are those of an even spread over the range, width / sqrt(12), and
    0.3 for coefficients of light; both our choice.

    Source: RameenAbdal/StyleFlow.
    """
    units = [0.3] * 9 + [(most - least) / math.sqrt(12) for least, most in _RANGES.values()]
    return (*(f"light_{i}" for i in range(9)), *_RANGES), tuple(units)


def flow_config(state: Mapping[str, Shaped], metadata: Mapping[str, str]) -> FlowConfig:
    """What a flow is for, told by its tensors and, where this project wrote it, its metadata.

    Raises:
        WeightsError: no flow, or one that does not name its attributes and has other than the public 17.
    """
    try:
        count = len({name.split(".")[5] for name in state if name.startswith(_LAYERS)})
        outputs = [state[f"{_LAYERS}{i}._layer.weight"].shape[0] for i in range(count)]
        w_dim = state[f"{_LAYERS}0._layer.weight"].shape[1]
        attributes = state[f"{_LAYERS}0._hyper_gate.weight"].shape[1] - 1
    except (KeyError, IndexError) as error:
        raise WeightsError(f"no flow of StyleFlow: lacks {error}") from error
    shape: dict[str, Any] = {"w_dim": w_dim, "hidden": tuple(outputs[:-1])}
    if "config" in metadata:
        return _told(metadata["config"], shape, attributes)
    names, units = public_attributes()
    if attributes != len(names):
        raise WeightsError(
            f"the flow is conditioned on {attributes} attributes and does not name them; the public one has 17"
        )
    return FlowConfig(**shape, names=names, units=units, rows=dict(_ROWS), ranges=dict(_RANGES))


def read_flow(path: Path) -> tuple[dict[str, Tensor], FlowConfig]:
    """State dict and purpose of a flow, of the public layout or written by `write_flow`.

    Raises:
        WeightsError: missing, damaged, no flow, or numbers that are not finite.
    """
    checkpoint = recognised(path)
    if checkpoint.kind != KIND:
        raise WeightsError(f"{path} holds no flow of StyleFlow: it is {checkpoint.title}")
    try:
        config = flow_config(checkpoint.states["network"], checkpoint.metadata)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    state = {name: value.float() for name, value in loaded(checkpoint, "network").items()}
    odd = next((name for name, value in state.items() if not bool(value.isfinite().all())), None)
    if odd is not None:
        raise WeightsError(f"{path}: the flow's tensor {odd} holds numbers that are not finite")
    return state, config


def write_flow(path: Path, state: Mapping[str, Tensor], config: FlowConfig) -> Path:
    """Writes a flow with what it is for; returns the path.

    Raises:
        WeightsError: it cannot be written.
    """
    about = {key: value for key, value in asdict(config).items() if key not in ("w_dim", "hidden", "ranges")}
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_safetensors(path, tensors, {"config": json.dumps({"kind": KIND, **about})})
    return path


def _told(text: str, shape: dict[str, Any], attributes: int) -> FlowConfig:
    try:
        about = json.loads(text)
        names, units = _words(about["names"]), tuple(float(unit) for unit in about["units"])
        rows = {str(name): (int(first), int(end)) for name, (first, end) in (about.get("rows") or {}).items()}
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"its metadata 'config' is damaged: {error}") from error
    if len(names) != attributes or len(units) != attributes or not all(0 < u < math.inf for u in units):
        raise WeightsError(
            f"its metadata tells {len(names)} attributes, {len(units)} units above 0; its tensors are for {attributes}"
        )
    classifier, digest = about.get("classifier"), about.get("generator_sha256")
    return FlowConfig(
        **shape, names=names, units=units, rows=rows,
        classifier=classifier if isinstance(classifier, dict) and "name" in classifier else None,
        generator_sha256=digest if isinstance(digest, str) and digest else None,
    )  # fmt: skip


def _words(value: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("names must be a list of words")
    return tuple(value)
