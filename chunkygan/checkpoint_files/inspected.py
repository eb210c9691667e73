"""A weight file in a few facts, without its numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chunkygan.checkpoint_files.encoder_states import config_in
from chunkygan.checkpoint_files.generator_states import generator_of
from chunkygan.checkpoint_files.recognition import KINDS, Checkpoint, recognised
from chunkygan.weights import sha256


@dataclass(frozen=True)
class Inspected:
    """What is in a file.

    Args:
        kind: a key of `chunkygan.checkpoint_files.recognition.KINDS`.
        container: the file's layout in words.
        size: in bytes.
        sha256: in hexadecimal.
        parts: what it holds (``generator``, ``encoder``, ...) -> how many tensors that is.
        values: how many numbers, those under several names once.
        resolution: (height, width) in pixels of a generator's pictures.
        z_dim, w_dim: widths of its latent and of W.
        rows: of W+, or of what an encoder predicts.
        classes: of a conditional generator, or of a segmentation head.
        widths: channels, lowest resolution first; of an encoder's stages.
        conv_clamp, half_blocks: of a generator; None where the file does not tell.
        details: further facts, in words.
    """

    path: Path
    kind: str
    container: str
    size: int
    sha256: str
    parts: dict[str, int]
    values: int
    resolution: tuple[int, int] | None = None
    z_dim: int | None = None
    w_dim: int | None = None
    rows: int | None = None
    classes: int | None = None
    widths: tuple[int, ...] | None = None
    conv_clamp: float | None = None
    half_blocks: int | None = None
    details: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is, in words."""
        return KINDS[self.kind]

    def lines(self) -> list[tuple[str, str]]:
        """Label and text of every fact that is known, in order."""
        facts: list[tuple[str, Any]] = [
            ("kind", f"{self.kind}: {self.title}"),
            ("container", self.container),
            ("resolution", self.resolution and " x ".join(map(str, self.resolution))),
            ("z, w", self.z_dim and f"{self.z_dim}, {self.w_dim}"),
            ("rows", self.rows),
            ("classes", self.classes),
            ("widths", self.widths and " ".join(map(str, self.widths))),
            ("conv_clamp", self.conv_clamp),
            ("half_blocks", self.half_blocks),
            *self.details.items(),
            ("holds", ", ".join(f"{part} ({count} tensors)" for part, count in self.parts.items())),
            ("values", f"{self.values:,}"),
            ("size", f"{self.size:,} bytes"),
            ("sha256", self.sha256),
        ]
        return [(label, str(text)) for label, text in facts if text is not None]


def inspected(path: str | os.PathLike[str]) -> Inspected:
    """What is in a file: read from its headers and pickles; the numbers stay where they are.

    Raises:
        WeightsError: missing, damaged, unsafe, or something that is known and not taken.
    """
    path = Path(path)
    checkpoint = recognised(path)
    tensors = [value for state in checkpoint.states.values() for value in state.values()]
    origins = {value.origin or id(value): value.numel for value in tensors}
    return Inspected(
        path=path, kind=checkpoint.kind, container=checkpoint.container, size=path.stat().st_size,
        sha256=sha256(path), parts={part: len(state) for part, state in checkpoint.states.items()},
        values=sum(origins.values()), **_facts(checkpoint),
    )  # fmt: skip


def _facts(checkpoint: Checkpoint) -> dict[str, Any]:
    facts: dict[str, Any] = {"details": dict(checkpoint.notes)}
    if "generator" in checkpoint.states:
        facts |= _of_generator(checkpoint)
    if "encoder" in checkpoint.states:
        facts["details"] |= _of_encoder(checkpoint)
    if checkpoint.latent_avg is not None:
        facts["details"]["mean code"] = _shape(checkpoint.latent_avg.shape)
    network = checkpoint.states.get("network", {})
    if checkpoint.kind == "editgan_head":
        facts["classes"] = network["layers.6.weight"].shape[0]
        facts["details"]["inputs"] = f"{network['layers.0.weight'].shape[1]} channels of features"
    elif checkpoint.kind in ("directions", "state_dict", "styleflow", "styleclip_mapper", "editgan_encoder"):
        first = list(network.items())[:4]
        more = ", ..." if len(network) > 4 else ""
        facts["details"]["tensors"] = ", ".join(f"{name} {_shape(value.shape)}" for name, value in first) + more
    return facts


def _of_generator(checkpoint: Checkpoint) -> dict[str, Any]:
    _, config = generator_of(checkpoint, shadow=True)
    channels, const = config["channels"], config["const_size"]
    levels = len(channels) - 1
    return {
        "resolution": (const[0] << levels, const[1] << levels), "z_dim": config["z_dim"], "w_dim": config["w_dim"],
        "rows": 2 * len(channels), "classes": config["c_dim"], "widths": tuple(channels),
        "conv_clamp": config.get("conv_clamp"), "half_blocks": config.get("half_blocks"),
    }  # fmt: skip


def _of_encoder(checkpoint: Checkpoint) -> dict[str, str]:
    config = config_in(checkpoint)
    kind = str(checkpoint.options.get("encoder_type") or "") or {True: "progressive", False: "plain"}.get(
        config.progressive is True, ""
    )
    body = f"{config.body} body of {sum(config.units)} units, widths {' '.join(map(str, config.widths))}"
    inputs = f"{config.inputs} channels of {config.input_size} pixels"
    return {"encoder": f"{kind}: {body}; head {config.head}; {inputs}; {config.rows} rows of {config.style_dim}"}


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
