"""State dicts of StyleGAN2 under the names of others, and what they tell about the network.

Nothing is flipped or scaled between NVIDIA's and rosinality's layouts: parameters are renamed and reshaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chunkygan.errors import WeightsError

State = Mapping[str, Tensor]


def is_nvidia(state: State) -> bool:
    """Whether a state dict has NVIDIA's names for StyleGAN2."""
    return "synthesis.b4.const" in state and "synthesis.b4.torgb.weight" in state


def is_rosinality(state: State) -> bool:
    """Whether a state dict has rosinality's names."""
    return "input.input" in state and "conv1.conv.modulation.weight" in state


def config_of(state: State) -> dict[str, Any]:
    """The constructor's arguments that a state dict with NVIDIA's names tells.

    It cannot tell the clamp, the mapping's learning-rate multiplier, or which blocks ran in half precision.

    Raises:
        WeightsError: an architecture other than skip, or a resampling filter other than [1, 3, 3, 1].
    """
    blocks = sorted({int(m[1]) for name in state if (m := re.match(r"synthesis\.b(\d+)\.", name))})
    if any(f"synthesis.b{size}.torgb.weight" not in state for size in blocks):
        raise WeightsError(
            "a StyleGAN2 of architecture 'orig' (toRGB in the last block only); only 'skip' is known here"
        )
    if any(name.endswith(".skip.weight") for name in state):
        raise WeightsError("a StyleGAN2 of architecture 'resnet'; only 'skip' is known here")
    _check_filters(state)
    const = state["synthesis.b4.const"]
    layers = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in state)
    w_dim, c_dim = state["synthesis.b4.conv1.affine.weight"].shape[1], 0
    inputs = state["mapping.fc0.weight"].shape[1]
    if "mapping.embed.weight" in state:
        c_dim = state["mapping.embed.weight"].shape[1]
        inputs -= w_dim
    return dict(
        resolution=const.shape[1] << (len(blocks) - 1), z_dim=inputs, w_dim=w_dim, c_dim=c_dim, mapping_layers=layers,
        channels=[state[f"synthesis.b{size}.conv1.weight"].shape[0] for size in blocks],
        const_size=list(const.shape[1:]),
    )  # fmt: skip


def from_rosinality(state: State, w_avg: Tensor | None) -> dict[str, Tensor]:
    """The same network under NVIDIA's names; stored noise maps are kept where there are any.

    Args:
        w_avg: (w_dim,), the checkpoint's ``latent_avg``; None leaves ``mapping.w_avg`` out.

    Source: rosinality/stylegan2-pytorch, whose Generator pSp, e4e, ReStyle and HyperStyle copy.
    """
    out: dict[str, Tensor] = {"synthesis.b4.const": state["input.input"][0]}
    if w_avg is not None:
        out["mapping.w_avg"] = w_avg.reshape(-1, w_avg.shape[-1])[0]
    for name, value in state.items():
        if match := re.fullmatch(r"style\.(\d+)\.(weight|bias)", name):
            out[f"mapping.fc{int(match[1]) - 1}.{match[2]}"] = value
    levels = 1 + sum(bool(re.fullmatch(r"to_rgbs\.\d+\.bias", name)) for name in state)
    out |= _conv(state, "conv1", "synthesis.b4.conv1", 0) | _torgb(state, "to_rgb1", "synthesis.b4.torgb")
    for level in range(1, levels):
        block, k = f"synthesis.b{4 << level}", level - 1
        out |= _conv(state, f"convs.{2 * k}", f"{block}.conv0", 2 * k + 1)
        out |= _conv(state, f"convs.{2 * k + 1}", f"{block}.conv1", 2 * k + 2)
        out |= _torgb(state, f"to_rgbs.{k}", f"{block}.torgb")
    return out


def _conv(state: State, theirs: str, ours: str, noise: int) -> dict[str, Tensor]:
    out = _modulated(state, theirs, ours)
    out[f"{ours}.bias"] = state[f"{theirs}.activate.bias"]
    out[f"{ours}.noise_strength"] = state[f"{theirs}.noise.weight"].reshape(())
    if (stored := state.get(f"noises.noise_{noise}")) is not None:
        out[f"{ours}.noise_const"] = stored[0, 0]
    return out


def _torgb(state: State, theirs: str, ours: str) -> dict[str, Tensor]:
    return {**_modulated(state, theirs, ours), f"{ours}.bias": state[f"{theirs}.bias"].reshape(3)}


def _modulated(state: State, theirs: str, ours: str) -> dict[str, Tensor]:
    return {
        f"{ours}.weight": state[f"{theirs}.conv.weight"][0],
        f"{ours}.affine.weight": state[f"{theirs}.conv.modulation.weight"],
        f"{ours}.affine.bias": state[f"{theirs}.conv.modulation.bias"],
    }


def _check_filters(state: State) -> None:
    for name, value in state.items():
        if name.endswith("resample_filter"):
            taps = value.new_tensor([1, 3, 3, 1]) / 8
            if value.shape != (4, 4) or not value.allclose(taps[:, None] * taps, atol=1e-4):
                raise WeightsError(f"{name}: a resampling filter other than [1, 3, 3, 1] is not known here")
