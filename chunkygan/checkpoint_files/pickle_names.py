"""The names that a weight file may use, and what stands for each: only this project's own functions, which make data.

Every call makes a plain value, or notes where a tensor lies in the file. Nothing of torch, numpy or the standard
library is called by its name in a file: ``torch.storage._load_from_bytes``, for one, would read a pickle without any
restriction.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from chunkygan.checkpoint_files.pickle_machine import Damaged, Machine, Name, as_key
from chunkygan.checkpoint_files.stored import Array, NumberKind, Storage, Stored

PERSISTENCE_VERSION = 6


class Record:
    """An object of which only its class's name and its state are known.

    Args:
        kind: the name of its class, without the module.
        state: its attributes.
    """

    def __init__(self, kind: str, state: dict[str, Any] | None = None) -> None:
        self.kind = kind
        self.state: dict[str, Any] = state or {}

    def set_state(self, state: Any) -> None:
        if self.state or not isinstance(state, dict):
            raise Damaged(f"a {self.kind} with another state than a map")
        self.state = state


class Maker:
    """A name that makes a value of its arguments."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make

    def call(self, arguments: tuple[Any, ...], machine: Machine) -> Any:
        try:
            return self.make(machine, *arguments)
        except (TypeError, AttributeError) as error:  # too many arguments, or of another kind
            raise Damaged(f"a value made of other parts than usual: {str(error)[:120]}") from error


class Token(Maker):
    """A name that stands for itself: a dtype, or a storage's class."""

    def __init__(self, value: str) -> None:
        super().__init__(self._refuse)
        self.value = value

    def _refuse(self, machine: Machine, *arguments: Any) -> Any:
        raise Damaged(f"calls {self.value}")


def _module(machine: Machine, meta: Any) -> Record:
    """An object of NVIDIA's persistent classes: its class's name and its state; the program beside them is dropped."""
    if meta.get("type") != "class" or meta.get("version") != PERSISTENCE_VERSION:
        raise Damaged(f"an object of persistence version {meta.get('version')!r}; {PERSISTENCE_VERSION} is known")
    name, state = meta["class_name"], meta["state"]
    if not isinstance(name, str) or not isinstance(state, dict):
        raise Damaged("a persistent object without name or state")
    return Record(name, state)


def _map(machine: Machine, pairs: Any = ()) -> dict[Any, Any]:
    pairs = list(pairs.items()) if isinstance(pairs, dict) else pairs
    machine.spend(len(pairs))
    return {as_key(key): value for key, value in pairs}


def _set(machine: Machine, values: Any = ()) -> set[Any]:
    machine.spend(len(values))
    return set(map(as_key, values))


def _tensor(machine: Machine, storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Stored:
    if not isinstance(storage, Storage):
        raise Damaged("a tensor without storage")
    return storage.view(offset, shape, stride)


def _parameter(machine: Machine, data: Any, *rest: Any) -> Stored:
    if not isinstance(data, Stored):
        raise Damaged("a parameter without tensor")
    return data


def _encoded(machine: Machine, text: Any, encoding: Any = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise Damaged("bytes in an unusual encoding")
    machine.spend(len(text) // 64)
    return text.encode("latin-1")


def _kind(machine: Machine, text: Any, *rest: Any) -> NumberKind:
    return NumberKind(text)


def _scalar(machine: Machine, kind: Any, data: Any = b"") -> Any:
    data = data.encode("latin-1") if isinstance(data, str) else data
    form = {"float64": "d", "float32": "f", "int64": "q", "int32": "i", "bool": "?", "uint8": "B", "float16": "e"}
    if not isinstance(kind, NumberKind) or kind.dtype not in form:
        raise Damaged("a number of an unusual kind")
    return struct.unpack((">" if kind.big else "<") + form[kind.dtype], data)[0]


def _array(machine: Machine, *rest: Any) -> Array:
    return Array()


def _array_of_bytes(machine: Machine, data: Any, kind: Any, shape: Any, order: Any = "C") -> Array:
    array = Array()
    array.fill(shape, kind, data, column_major=order == "F")
    return array


def _path(machine: Machine, *parts: Any) -> str:
    return "/".join(part for part in parts if isinstance(part, str)).replace("//", "/")


def _record(kind: str) -> Maker:
    return Maker(lambda machine, *rest: Record(kind))


def _table() -> dict[str, Name]:
    table: dict[str, Maker] = {
        # NVIDIA's networks
        "torch_utils.persistence _reconstruct_persistent_obj": Maker(_module),
        "dnnlib.util EasyDict": Maker(_map),
        "dnnlib.tflib.network Network": _record("Network"),
        # Python's own values
        "collections OrderedDict": Maker(_map),
        "collections Counter": Maker(_map),
        "builtins set": Maker(_set),
        "__builtin__ set": Maker(_set),
        "argparse Namespace": _record("Namespace"),
        "_codecs encode": Maker(_encoded),
        # torch
        "torch._utils _rebuild_tensor": Maker(_tensor),
        "torch._utils _rebuild_tensor_v2": Maker(_tensor),
        "torch._utils _rebuild_parameter": Maker(_parameter),
        "torch._utils _rebuild_parameter_with_state": Maker(_parameter),
        "torch Size": Maker(lambda machine, sizes: tuple(sizes)),
        "torch device": Maker(lambda machine, *parts: ":".join(map(str, parts))),
        # numpy
        "numpy dtype": Maker(_kind),
        "numpy ndarray": Token("numpy.ndarray"),
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray scalar"] = Maker(_scalar)
        table[f"{core}.multiarray _reconstruct"] = Maker(_array)
        table[f"{core}.numeric _frombuffer"] = Maker(_array_of_bytes)
    for module in ("pathlib", "pathlib._local"):
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
            table[f"{module} {name}"] = Maker(_path)
    for name, dtype in STORAGES.items():
        table[f"torch {name}"] = Token(dtype)
    table["torch.storage UntypedStorage"] = Token("uint8")
    for dtype in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"):
        table[f"torch {dtype}"] = Token(dtype)
    return dict(table)


STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}  # fmt: skip
"""torch's class of a storage -> the type of its numbers."""

NAMES = _table()
"""``"module name"`` as a file says it -> what stands for it. `chunkygan.checkpoint_files.torch_layouts` adds one."""
