"""StyleGAN2 from files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from chunkygan import weights as weight_files
from chunkygan.components.generators.stylegan2 import StyleGAN2
from chunkygan.components.generators.stylegan2_names import (
    State,
    config_of,
    from_rosinality,
    is_nvidia,
    is_rosinality,
)
from chunkygan.errors import WeightsError
from chunkygan.generator_file import FORMAT
from chunkygan.sampling import mean_w


def stylegan2(
    weights: str | None = None,
    *,
    resolution: int | None = None,
    z_dim: int | None = None,
    w_dim: int | None = None,
    c_dim: int | None = None,
    mapping_layers: int | None = None,
    mapping_lr_multiplier: float | None = None,
    channel_base: int | None = None,
    channel_max: int | None = None,
    channels: Sequence[int] | None = None,
    conv_clamp: float | None = None,
    const_size: Sequence[int] | None = None,
    half_blocks: int | None = None,
    half_dtype: str | None = None,
) -> StyleGAN2:
    """A StyleGAN2 generator: from a weight file, or fresh with random weights.

    Args:
        weights: a name from the weights manifest, or a file: this project's safetensors, or a state dict with
            NVIDIA's or rosinality's names. None: random weights.
        conv_clamp, mapping_lr_multiplier, half_blocks, half_dtype: what a bare state dict cannot tell.

    The other arguments describe a fresh network; with a weight file they are read from it. All are explained at
    `chunkygan.components.generators.stylegan2.StyleGAN2`.

    Raises:
        WeightsError: the file is missing, damaged, or holds something else.
        ShapeError: a resolution that cannot be.
    """
    given = {key: value for key, value in locals().items() if key != "weights" and value is not None}
    if weights is None:
        return StyleGAN2(**given)
    return read_generator(weight_files.find(weights), **given)


def read_generator(path: Path, **overrides: Any) -> StyleGAN2:
    """The generator in a file, frozen and in evaluation mode; overrides replace what the file tells or leaves open.

    Raises:
        WeightsError: missing, damaged, or no StyleGAN2.
    """
    state, config = _read(path)
    generator = StyleGAN2(**{**config, **overrides})
    expected = generator.public_state_dict()
    for name, value in expected.items():  # rosinality's files may leave out noise maps and the average
        if name.endswith("noise_const"):
            state.setdefault(name, value)
    known_average = "mapping.w_avg" in state
    state.setdefault("mapping.w_avg", expected["mapping.w_avg"])
    _check_state(path, state, expected)
    generator.load_state_dict({name: value.float() for name, value in state.items()})
    generator.requires_grad_(False).eval()
    if not known_average:
        generator.map.w_avg.copy_(mean_w(generator))
    return generator


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State under NVIDIA's names, and configuration."""
    if path.suffix == ".safetensors":
        metadata, tensors = weight_files.read_safetensors(path)
        if metadata.get("format") == FORMAT:
            return dict(tensors), json.loads(metadata["config"])
        state: State = tensors
    else:
        state = weight_files.read_state_dict(path)
    try:
        if is_rosinality(state):
            state = from_rosinality(state, state.get("latent_avg"))
        if is_nvidia(state):
            return dict(state), config_of(state)
    except KeyError as error:
        raise WeightsError(f"{path}: looks like a StyleGAN2 generator but has no tensor {error}") from error
    raise WeightsError(
        f"{path}: no StyleGAN2 generator under NVIDIA's or rosinality's names; first: {sorted(state)[:3]}"
    )


def _check_state(path: Path, state: State, expected: State) -> None:
    state = {name: value for name, value in state.items() if not name.endswith("resample_filter")}
    missing = sorted(set(expected) - set(state))
    foreign = sorted(set(state) - set(expected))
    shapes = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    for what, names in (("lacks", missing), ("has unknown", foreign), ("has another shape of", shapes)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise WeightsError(f"{path}: the generator {what} {', '.join(names[:3])}{more}")
