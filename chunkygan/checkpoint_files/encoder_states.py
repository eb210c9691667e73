"""Encoders of the pSp family in files: their shape, told by their tensors, and their state."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor

from chunkygan.checkpoint_files.generator_states import loaded
from chunkygan.checkpoint_files.recognition import Checkpoint, recognised
from chunkygan.errors import WeightsError
from chunkygan.tensor_files import write_safetensors

FORMAT, VERSION = "chunkygan.encoder", 1


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder.

    Args:
        rows: of the codes it predicts.
        style_dim: width of a row.
        body: residual units with squeeze-and-excite, without, or those of ResNet.
        head: ``pyramid``: a head a row on three resolutions; ``flat``: a head a row on the last; ``w``: one code for
            all rows; ``w_plus``: one linear layer for all rows.
        progressive: rows after the first are differences from it (e4e); None: the file does not tell.
        inputs: channels; 6 where the current reconstruction comes beside the picture (ReStyle).
        input_size: side of the pictures it sees.
        units, widths: residual units and channels of the four stages.
        reduction: of the squeeze-and-excite layers.
    """

    rows: int
    style_dim: int = 512
    body: Literal["ir_se", "ir", "resnet"] = "ir_se"
    head: Literal["pyramid", "flat", "w", "w_plus"] = "pyramid"
    progressive: bool | None = None
    inputs: int = 3
    input_size: int = 256
    units: tuple[int, ...] = (3, 4, 14, 3)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    reduction: int = 16


class Shaped(Protocol):
    """Anything with a shape: a tensor, or one that is still in a file."""

    @property
    def shape(self) -> Any: ...


def encoder_config(state: Mapping[str, Shaped], *, rows: int = 0, progressive: bool | None = None) -> EncoderConfig:
    """The shape of an encoder, told by its state dict.

    Args:
        rows: what to assume where one code serves all rows.

    Raises:
        WeightsError: it is none that is known.
    """
    try:
        body: Any = "resnet" if "bn1.weight" in state else "ir_se" if _has(state, r".*\.fc1\.weight") else "ir"
        first, conv = ("conv1", "conv1") if body == "resnet" else ("input_layer.0", "res_layer.1")
        count = len({name.split(".")[1] for name in state if name.startswith("body.")})
        channels = [state[f"body.{i}.{conv}.weight"].shape[0] for i in range(count)]
        widths = tuple(dict.fromkeys(channels))
        units = tuple(channels.count(width) for width in widths)
        squeeze = state["body.0.res_layer.5.fc1.weight"].shape[0] if body == "ir_se" else 1
        head, found, dim, size = _head(state, rows, widths[-1])
        return EncoderConfig(
            rows=found, style_dim=dim, body=body, head=head, progressive=progressive,
            inputs=state[f"{first}.weight"].shape[1], input_size=size, units=units, widths=widths,
            reduction=max(widths[0] // squeeze, 1),
        )  # fmt: skip
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise WeightsError(f"no encoder of the pSp family: lacks {error}") from error


def read_encoder(path: Path, *, rows: int = 0) -> tuple[dict[str, Tensor], EncoderConfig, Tensor | None]:
    """State dict, shape and mean code (rows or 1, style_dim) of the encoder in a file.

    Args:
        rows: what to assume where one code serves all rows.

    Raises:
        WeightsError: missing, damaged, or no encoder of the pSp family.
    """
    checkpoint = recognised(path)
    if "encoder" not in checkpoint.states:
        raise WeightsError(f"{path} holds no encoder of the pSp family: it is {checkpoint.title}")
    config = config_in(checkpoint, rows=rows)
    average = None if checkpoint.latent_avg is None else checkpoint.latent_avg.load().float()
    if average is not None and (average.shape[-1] != config.style_dim or average.ndim > 3):
        raise WeightsError(f"{path}: its mean code has the shape {tuple(average.shape)}")
    state = {name: value.float() if value.is_floating_point() else value for name, value in _state(checkpoint).items()}
    return state, config, None if average is None else average.reshape(-1, config.style_dim)


def config_in(checkpoint: Checkpoint, *, rows: int = 0) -> EncoderConfig:
    """The shape of the encoder in a recognised file."""
    try:
        if checkpoint.kind == "chunkygan_encoder":
            values = json.loads(checkpoint.metadata["config"])
            values.update({key: tuple(values[key]) for key in ("units", "widths")})
            return EncoderConfig(**values)
        kind = str(checkpoint.options.get("encoder_type") or "")
        progressive = bool(re.search("Progressive|Encoder4Editing", kind)) if kind else None
        return encoder_config(checkpoint.states["encoder"], rows=rows, progressive=progressive)
    except (WeightsError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{checkpoint.path}: {error}") from error


def write_encoder(
    path: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    config: EncoderConfig,
    average: Tensor | None = None,
    **notes: str,
) -> None:
    """Writes an encoder as safetensors, its shape in the metadata, the mean code beside its tensors.

    Raises:
        WeightsError: the file cannot be written.
    """
    tensors = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    if average is not None:
        tensors["latent_avg"] = average
    about = {"format": FORMAT, "format_version": str(VERSION), **notes}
    write_safetensors(path, tensors, {**about, "config": json.dumps(asdict(config))})


def _state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return loaded(checkpoint, "encoder")


def _has(state: Mapping[str, Any], pattern: str) -> bool:
    return any(re.fullmatch(pattern, name) for name in state)


def _head(state: Mapping[str, Shaped], rows: int, width: int) -> tuple[Any, int, int, int]:
    """Kind of head, rows, width of a row, and side of the input."""
    if "styles.0.linear.weight" in state:
        found = len({name.split(".")[1] for name in state if name.startswith("styles.")})
        halvings = sum(bool(re.fullmatch(r"styles\.0\.convs\.\d+\.weight", name)) for name in state)
        kind = "pyramid" if "latlayer1.weight" in state else "flat"
        return kind, found, state["styles.0.linear.weight"].shape[0], 16 << halvings
    outputs = state["linear.weight"].shape[0]
    if "output_layer_2.3.weight" in state:
        return "w_plus", outputs // width, width, 256
    return "w", rows or 1, outputs, 256
