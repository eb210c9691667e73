"""Formula weights for the published networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor


def formula(shape: tuple[int, ...], k: float) -> Tensor:
    """Reproducible numbers in [0, 1): the fraction of sin(12.9898 i + 78.233 k) 43758.5453, i the flat index."""
    i = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return ((12.9898 * i + 78.233 * k).sin() * 43758.5453).frac().remainder(1).reshape(shape)


def formula_state(net: str) -> dict[str, Tensor]:
    """A torchvision state dict (``features.*``) whose values come from `formula`."""
    from chunkygan.components.perceptual.published_backbone import PUBLISHED, _build

    state = {}
    empty = _build(PUBLISHED[net].builder).state_dict()
    shapes = {name.split(".", 1)[1]: tensor.shape for name, tensor in empty.items()}
    for k, name in enumerate(name for name in shapes if name.endswith("weight")):
        bias = name.replace("weight", "bias")
        fan_in = shapes[name][1:].numel()
        state["features." + name] = ((formula(shapes[name], k) - 0.5) * (24 / fan_in) ** 0.5).float()
        state["features." + bias] = ((formula(shapes[bias], k + 0.5) - 0.5) * 0.2).float()
    return state


@pytest.fixture(scope="session")
def formula_head() -> Callable[[int, int], Tensor]:
    """(k, width) -> (width,) head of tap k, non-negative."""
    return lambda k, width: (0.3 * formula((width,), 100 + k)).float()


@pytest.fixture(scope="session")
def formula_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """net -> file of `formula_state`, written once."""
    folder = tmp_path_factory.mktemp("formula")

    def file(net: str) -> Path:
        path = folder / f"{net}.pth"
        if not path.exists():
            torch.save(formula_state(net), path)
        return path

    return file
