"""A small perceptual network that a domain trains for itself, in the form LPIPS uses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.errors import WeightsError

KIND = "lpips_backbone"


class DomainBackbone(nn.Module):
    """Stages of two 3x3 convolutions with ReLU, halved between stages by averaging; one tap after each stage.

    State: ``stages.{k}.{0|2}.{weight|bias}`` and ``heads.{k}``, (C_k,), what a difference in each channel weighs;
    a distance takes square roots of the heads, so whoever trains them keeps them non-negative.

    Args:
        widths: channels of each stage.
        shift: three numbers taken from the channels of a picture in [-1, 1] before the first stage.
        scale: three numbers that divide the channels after that.

    Attributes:
        min_size: the smallest side, in pixels, that reaches the last tap.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 48, 64, 96),
        shift: Sequence[float] = (0.0, 0.0, 0.0),
        scale: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.min_size = 2 ** (len(self.widths) - 1)
        self.stages = nn.ModuleList(_stage(c_in, c_out) for c_in, c_out in zip((3, *self.widths), self.widths))
        self.heads = nn.ParameterList([nn.Parameter(torch.ones(width)) for width in self.widths])
        self.register_buffer("shift", torch.tensor(shift).reshape(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(scale).reshape(3, 1, 1), persistent=False)

    def taps(self, x: Tensor) -> list[Tensor]:
        """Activations after each stage, (n, C_k, h / 2^k, w / 2^k), of pictures (n, 3, h, w) in [-1, 1]."""
        x = (x - self.shift) / self.scale
        found = []
        for k, stage in enumerate(self.stages):
            x = stage(x if k == 0 else F.avg_pool2d(x, 2))
            found.append(x)
        return found

    def forward(self, x: Tensor) -> list[Tensor]:
        """The same as `taps`."""
        return self.taps(x)

    def metadata(self, net: str) -> dict[str, str]:
        """What the header of a safetensors file with this module's state must hold; `net` names the distance."""
        config = {
            "kind": KIND,
            "widths": list(self.widths),
            "shift": [round(v, 6) for v in self.shift.flatten().tolist()],
            "scale": [round(v, 6) for v in self.scale.flatten().tolist()],
            "net": net,
        }
        return {"config": json.dumps(config)}


def _stage(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(), nn.Conv2d(c_out, c_out, 3, padding=1), nn.ReLU()
    )


def read_config(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The settings that a file's metadata hold: under one JSON key ``config``, or as keys of their own.

    Raises:
        WeightsError: the metadata are no JSON, or are not those of a perceptual backbone.
    """
    try:
        config = json.loads(metadata["config"]) if "config" in metadata else {k: _value(metadata[k]) for k in metadata}
    except json.JSONDecodeError as error:
        raise WeightsError(f"metadata key 'config' is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise WeightsError(f"metadata key 'config' must hold an object; got {config!r}")
    missing = [key for key in ("widths", "shift", "scale", "net") if key not in config]
    if config.get("kind") != KIND or missing:
        raise WeightsError(
            f"metadata must say kind {KIND!r} and widths, shift, scale, net; "
            f"got kind {config.get('kind')!r}, missing: {', '.join(missing) or 'nothing'}"
        )
    return config


def _value(text: Any) -> Any:
    """A metadata value, JSON where it is JSON: ``"[16, 32]"`` is a list, ``"procfaces"`` stays text."""
    try:
        return json.loads(text)
    except (TypeError, json.JSONDecodeError):
        return text


def from_state(metadata: Mapping[str, str], state: Mapping[str, Tensor]) -> tuple[DomainBackbone, str]:
    """The backbone of a file's metadata and tensors (any float type), in float32, and the name of its distance.

    Raises:
        WeightsError: metadata or tensors are not those of a perceptual backbone, or a head is negative.
    """
    config = read_config(metadata)
    backbone = DomainBackbone(config["widths"], config["shift"], config["scale"])
    try:
        backbone.load_state_dict({name: value.float() for name, value in state.items()})
    except RuntimeError as error:
        raise WeightsError(f"tensors do not fit widths {config['widths']}: {error}") from error
    if any(bool((head < 0).any()) for head in backbone.heads):
        raise WeightsError("heads of a perceptual backbone must be >= 0; clamp them when training")
    return backbone, str(config["net"])
