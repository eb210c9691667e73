"""StyleGAN2 from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan import weights as weight_files
from chunkygan.checkpoint_files.generator_states import generator_of
from chunkygan.checkpoint_files.recognition import recognised
from chunkygan.checkpoint_files.stylegan2_names import State
from chunkygan.components.generators.stylegan2 import StyleGAN2
from chunkygan.errors import ShapeError, WeightsError
from chunkygan.sampling import mean_w

MAX_PIXELS = 8192
"""The longest side of a picture for which a file's generator is made."""


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
        weights: a name from the weights manifest, or a file: this project's safetensors, a network pickle of
            NVIDIA's (PyTorch or TensorFlow), a checkpoint of rosinality's code or of the pSp family, a tuned generator
            of PTI, or a bare state dict. None: random weights.
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
    state, config = generator_of(recognised(path))
    config.update(overrides)
    expected = _expected(path, config)
    known_average = "mapping.w_avg" in state
    _complete(state, expected)
    _check_state(path, state, expected)
    generator = StyleGAN2(**config)
    generator.load_state_dict({name: value.float() for name, value in state.items()})
    generator.requires_grad_(False).eval()
    if not known_average:
        generator.map.w_avg.copy_(mean_w(generator))
    return generator


def _expected(path: Path, config: dict[str, Any]) -> dict[str, Tensor]:
    """The public state of such a network on the meta device, so that a file's word alone takes no memory."""
    try:
        size = max(int(config["const_size"][0]), int(config["const_size"][1])) << (len(config["channels"]) - 1)
        if not 0 < size <= MAX_PIXELS:
            raise ShapeError(f"pictures of {size} pixels; at most {MAX_PIXELS} are known")
        with torch.device("meta"):
            return StyleGAN2(**config).public_state_dict()
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, ShapeError) as error:
        raise WeightsError(f"{path}: no StyleGAN2 can be made of its configuration: {error}") from error


def _complete(state: dict[str, Tensor], expected: State) -> None:
    """Fills in what rosinality's files may leave out: noise maps, of a fixed seed; a mean, which is replaced later."""
    rng = torch.Generator().manual_seed(0)
    for name, value in expected.items():
        if name.endswith("noise_const") and name not in state:
            state[name] = torch.randn(value.shape, generator=rng)
    state.setdefault("mapping.w_avg", torch.zeros(expected["mapping.w_avg"].shape))


def _check_state(path: Path, state: State, expected: State) -> None:
    state = {name: value for name, value in state.items() if not name.endswith("resample_filter")}
    missing = sorted(set(expected) - set(state))
    foreign = sorted(set(state) - set(expected))
    shapes = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    for what, names in (("lacks", missing), ("has unknown", foreign), ("has another shape of", shapes)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise WeightsError(f"{path}: the generator {what} {', '.join(names[:3])}{more}")
    odd = [name for name, value in state.items() if not value.isfinite().all()]
    if odd:
        raise WeightsError(f"{path}: {odd[0]} holds numbers that are not finite; the file is damaged")
