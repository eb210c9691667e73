"""HyperStyle's hypernetwork in files: its shape, told by its tensors, and its state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from chunkygan.checkpoint_files.encoder_states import EncoderConfig, Shaped
from chunkygan.checkpoint_files.generator_states import loaded
from chunkygan.checkpoint_files.recognition import recognised
from chunkygan.errors import WeightsError


@dataclass(frozen=True)
class RefinementConfig:
    """The part that predicts the change of one convolution.

    Args:
        kind: ``shared``: by the linear maps that several convolutions share; ``repeated``: one number for each pair of
            channels; ``separable``: products of two vectors at every place of the filter; ``to_rgb``: for toRGB layers.
        convs: channels of its own convolutions, the input's first.
    """

    kind: Literal["shared", "repeated", "separable", "to_rgb"]
    convs: tuple[int, ...]


@dataclass(frozen=True)
class HypernetworkConfig:
    """The shape of a hypernetwork.

    Args:
        body: of its convolutional body; heads and rows of it mean nothing here.
        refinements: index of a modulated convolution in forward order, toRGB included -> the part that changes it.
        shared: width of the code, of the rows and of the columns of the shared maps; None where there are none.
    """

    body: EncoderConfig
    refinements: dict[int, RefinementConfig]
    shared: tuple[int, int, int] | None

    @property
    def input_size(self) -> int:
        """Side of the pictures it sees: its body divides it by 16, the convolutions of its parts bring it to 1 or 2."""
        for part in self.refinements.values():
            halvings = len(part.convs) - 1
            if part.kind == "shared":
                return 16 << (halvings - 1)  # the first of them keeps the size
            return 16 << (halvings if part.kind == "to_rgb" else halvings + 1)
        return 256


def hypernetwork_config(state: Mapping[str, Shaped]) -> HypernetworkConfig:
    """The shape of a hypernetwork, told by its state dict.

    Raises:
        WeightsError: it is none that is known.
    """
    try:
        count = len({name.split(".")[1] for name in state if name.startswith("body.")})
        channels = [state[f"body.{i}.conv1.weight"].shape[0] for i in range(count)]
        widths = tuple(dict.fromkeys(channels))
        body = EncoderConfig(
            rows=0, body="resnet", inputs=state["conv1.weight"].shape[1], widths=widths,
            units=tuple(channels.count(width) for width in widths),
        )  # fmt: skip
        found = {int(m[1]) for name in state if (m := re.match(r"refinement_blocks\.(\d+)\.convs\.", name))}
        if not found or len(widths) != 4:
            raise KeyError("refinement_blocks" if not found else "four stages")
        shared = None
        if "shared_weight_hypernet.w1" in state:
            code = state["shared_weight_hypernet.w1"].shape[0]
            sides = (state["shared_weight_hypernet.w1"].shape[1], state["shared_weight_hypernet.w2"].shape[1] // code)
            shared = (code, *sides)
        return HypernetworkConfig(body, {j: _refinement(state, j) for j in sorted(found)}, shared)
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise WeightsError(f"no hypernetwork of HyperStyle: lacks {error}") from error


def read_hypernetwork(path: Path) -> tuple[dict[str, Tensor], HypernetworkConfig]:
    """State dict and shape of the hypernetwork in a HyperStyle checkpoint.

    The shared maps, which such files name once more under every part that uses them, are there once.

    Raises:
        WeightsError: missing, damaged, or no HyperStyle checkpoint.
    """
    checkpoint = recognised(path)
    if "hypernet" not in checkpoint.states:
        raise WeightsError(f"{path} holds no hypernetwork of HyperStyle: it is {checkpoint.title}")
    try:
        config = hypernetwork_config(checkpoint.states["hypernet"])
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    again = re.compile(r"refinement_blocks\.\d+\.hypernet\.")
    state = {name: value for name, value in loaded(checkpoint, "hypernet").items() if not again.match(name)}
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}, config


def _refinement(state: Mapping[str, Shaped], j: int) -> RefinementConfig:
    name = f"refinement_blocks.{j}"
    own = sorted(int(m[1]) for key in state if (m := re.fullmatch(rf"{name}\.convs\.(\d+)\.weight", key)))
    shapes = [state[f"{name}.convs.{i}.weight"].shape for i in own]
    convs = (shapes[0][1], *(shape[0] for shape in shapes))
    if f"{name}.linear.weight" in state:
        return RefinementConfig("shared", convs)
    if f"{name}.output.0.make_kernel_in.weight" in state:
        return RefinementConfig("separable", convs)
    if f"{name}.output.1.weight" in state:
        return RefinementConfig("repeated", convs)
    if f"{name}.output.0.weight" in state:
        return RefinementConfig("to_rgb", convs)
    raise KeyError(f"{name}.output")
