"""Files in the layouts of others, written here: modules of their names exist only while one is written."""

from __future__ import annotations

import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SOURCE = "import os\nos.mkdir('ran')\nclass Generator: pass\n" * 50
"""The program that rides along in every object; running it would leave a folder."""


def _reconstruct_persistent_obj(meta: Any) -> Any:
    raise AssertionError("a reader must not call this")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent:
    """Pickles as an object of NVIDIA's persistent classes does."""

    def __init__(self, class_name: str, state: dict[str, Any]) -> None:
        self.class_name, self.state = class_name, state

    def __reduce__(self) -> Any:
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name, "state": self.state}
        return _reconstruct_persistent_obj, (meta,)


class EasyDict(dict):  # type: ignore[type-arg]
    """Pickles as NVIDIA's dictionary of options does."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


EasyDict.__module__ = "dnnlib.util"


class Network:
    """Pickles as a network of the TensorFlow era does."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


Network.__module__ = "dnnlib.tflib.network"

_THEIRS = {
    "torch_utils.persistence": {"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
    "dnnlib.util": {"EasyDict": EasyDict},
    "dnnlib.tflib.network": {"Network": Network},
}


@contextmanager
def their_modules() -> Iterator[None]:
    """Modules of these names, for the pickler to find."""
    names = [".".join(name.split(".")[: i + 1]) for name in _THEIRS for i in range(name.count(".") + 1)]
    made = {name: types.ModuleType(name) for name in names}
    for name, content in _THEIRS.items():
        made[name].__dict__.update(content)
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            sys.modules.pop(name, None)


BUFFERS = ("w_avg", "noise_const", "resample_filter")


def nvidia_network(
    state: Mapping[str, torch.Tensor], *, clamp: float | None = None, multiplier: float = 0.01, flat: bool = False,
    class_name: str = "Generator", half: int = 0, **options: Any,
) -> Persistent:  # fmt: skip
    """A tree of persistent objects with these tensors."""
    tree: dict[str, Any] = {}
    for name, value in state.items():
        node = tree
        *path, last = name.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    blocks = sorted({int(name.split(".")[1][1:]) for name in state if name.startswith("synthesis.b")})
    halves = {f"b{size}" for size in (blocks[-half:] if half else [])}
    network = _node(tree, class_name, clamp, multiplier, halves)
    synthesis = EasyDict(channel_base=512, conv_clamp=clamp)
    kwargs = dict(mapping_kwargs=EasyDict(num_layers=2), **(synthesis if flat else {"synthesis_kwargs": synthesis}))
    network.state.update(_init_args=(), _init_kwargs=EasyDict(kwargs), z_dim=64, weight_gain=np.float64(0.5), **options)
    return network


def _node(tree: Mapping[str, Any], name: str, clamp: float | None, multiplier: float, halves: set[str]) -> Persistent:
    parameters: Any = OrderedDict(
        (k, torch.nn.Parameter(v)) for k, v in tree.items() if torch.is_tensor(v) and k not in BUFFERS
    )
    parameters["absent"] = None
    buffers = OrderedDict((k, v) for k, v in tree.items() if torch.is_tensor(v) and k in BUFFERS)
    children = OrderedDict(
        (k, _node(v, k, clamp, multiplier, halves)) for k, v in tree.items() if not torch.is_tensor(v)
    )
    state: dict[str, Any] = dict(
        training=False, _parameters=parameters, _buffers=buffers, _modules=children,
        _non_persistent_buffers_set=set(), _forward_hooks=OrderedDict(), use_fp16=name in halves,
    )  # fmt: skip
    if name.startswith(("conv", "torgb")):
        state.update(conv_clamp=clamp, activation="lrelu")
    if name.startswith("fc"):
        state.update(bias_gain=multiplier, weight_gain=np.float64(multiplier))
    return Persistent(name, state)


class Writers:
    """What the tests write files with."""

    nvidia_network = staticmethod(nvidia_network)
    Network = Network
    EasyDict = EasyDict

    @staticmethod
    def pickled(value: Any, path: Path, protocol: int = 3) -> Path:
        """The file of a plain pickle, as NVIDIA's trainings write it."""
        with their_modules():
            path.write_bytes(pickle.dumps(value, protocol=protocol))
        return path

    @staticmethod
    def saved(value: Any, path: Path) -> Path:
        """The file of ``torch.save``, as PTI writes it."""
        with their_modules():
            torch.save(value, path)
        return path


@pytest.fixture(scope="session")
def writers() -> Writers:
    return Writers()


class Reference:
    """The numbers of a reference network: its state, and what it draws."""

    def __init__(self, path: Path) -> None:
        self.numbers = np.load(path, allow_pickle=False)
        self.state = {
            name.removeprefix("param/"): torch.from_numpy(self.numbers[name])
            for name in self.numbers.files
            if name.startswith("param/")
        }
        clamp = float(self.numbers["cfg/conv_clamp"]) if "cfg/conv_clamp" in self.numbers.files else -1
        self.clamp = clamp if clamp > 0 else None

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.numbers[name])


@pytest.fixture(scope="session")
def reference(tests_data: Path) -> Callable[[str], Reference]:
    """A reference network by the name of its file in tests/data."""
    return lambda name: Reference(tests_data / f"{name}.npz")
