"""Numbers in a file that are read when they are asked for. Imports torch only then."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chunkygan.checkpoint_files.pickle_machine import Damaged

if TYPE_CHECKING:
    from torch import Tensor

ITEM_SIZES = {
    "float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1,
    "bool": 1, "complex64": 8, "complex128": 16,
}  # fmt: skip
"""torch's name of a number's type -> bytes."""

MAX_DIMENSIONS = 16


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    Args:
        shape: of the tensor.
        dtype: torch's name of its type.
        load: reads it, to the CPU.
        origin: what several names of one tensor have in common.
    """

    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], Tensor] = field(repr=False, compare=False)
    origin: object = field(default=None, repr=False, compare=False)

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """In bytes."""
        return self.numel * ITEM_SIZES[self.dtype]

    def shadow(self) -> Tensor:
        """A tensor of its shape and type without numbers, on torch's meta device."""
        import torch

        return torch.empty(self.shape, dtype=getattr(torch, self.dtype), device="meta")


class Storage:
    """A run of numbers that tensors are views of.

    Args:
        dtype: torch's name of their type.
        count: how many.
        read: gives their bytes, little-endian; None: nobody has said yet where they lie.
    """

    def __init__(self, dtype: str, count: int, read: Callable[[], memoryview] | None = None) -> None:
        self.dtype, self.count, self.read = dtype, count, read
        self._numbers: Tensor | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * ITEM_SIZES[self.dtype]

    def numbers(self) -> Tensor:
        """(count,), read once."""
        import torch

        if self._numbers is None:
            view = self.read() if self.read is not None else None
            if view is None or len(view) < self.size:
                raise Damaged("a tensor's numbers are not in the file")
            dtype = getattr(torch, self.dtype)
            own = bytearray(view[: self.size])
            self._numbers = torch.frombuffer(own, dtype=dtype) if own else torch.empty(0, dtype=dtype)
        return self._numbers

    def view(self, offset: Any, shape: Any, stride: Any) -> Stored:
        """The tensor of that shape in it.

        Raises:
            Damaged: it would reach beyond the storage, or be larger than it.
        """
        sizes = (*_whole(shape), *_whole(stride))
        shape, stride = sizes[: len(sizes) // 2], sizes[len(sizes) // 2 :]
        (offset,) = _whole((offset,))
        if len(shape) != len(stride) or len(sizes) % 2 or len(shape) > MAX_DIMENSIONS:
            raise Damaged("a tensor with other strides than sizes")
        last = offset + sum((size - 1) * step for size, step in zip(shape, stride))
        if (math.prod(shape) and last >= self.count) or math.prod(shape) > self.count:
            raise Damaged(f"a tensor of shape {shape} in a storage of {self.count} numbers")
        return Stored(
            shape, self.dtype, lambda: self.numbers().as_strided(shape, stride, offset), (self, offset, shape)
        )


class Array:
    """A numpy array as pickles build it: made empty, then given its state."""

    def __init__(self) -> None:
        self.stored: Stored | None = None

    def set_state(self, state: Any) -> None:
        if self.stored is not None or not isinstance(state, tuple) or len(state) != 5:
            raise Damaged("an array with another state than numpy gives")
        _, shape, kind, column_major, data = state
        self.fill(shape, kind, data, column_major=bool(column_major))

    def fill(self, shape: Any, kind: Any, data: Any, *, column_major: bool) -> None:
        """Says what it holds; `kind` is a `NumberKind`."""
        if isinstance(data, str):  # written by Python 2
            data = data.encode("latin-1")
        if not isinstance(kind, NumberKind) or not isinstance(data, (bytes, memoryview)):
            raise Damaged("an array of something else than numbers")
        sizes = _whole(shape)
        count = math.prod(sizes)
        if count * ITEM_SIZES[kind.dtype] != len(data):
            raise Damaged(f"an array of shape {sizes} with {len(data)} bytes")
        order = sizes if column_major else sizes[::-1]
        steps = [math.prod(order[:i]) for i in range(len(order))]
        stride = steps if column_major else steps[::-1]
        storage = Storage(kind.dtype, count, lambda: kind.little(memoryview(data)))
        self.stored = storage.view(0, sizes, stride)


class NumberKind:
    """A numpy dtype of plain numbers.

    Args:
        text: such as ``"f4"`` or ``"<i8"``.
    """

    def __init__(self, text: str) -> None:
        self.big = text[:1] == ">"
        dtype = _NUMPY.get(text.lstrip("<>=|"))
        if dtype is None:
            raise Damaged(f"numbers of the kind {text[:20]!r}")
        self.dtype: str = dtype

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "=", "|") or any(state[2:5]):
            raise Damaged("numbers of a compound kind")
        self.big = state[1] == ">"

    def little(self, data: memoryview) -> memoryview:
        """The same numbers, little-endian."""
        size = ITEM_SIZES[self.dtype]
        if not self.big or size == 1:
            return data
        import numpy as np

        return memoryview(np.frombuffer(data, f">u{size}").astype(f"<u{size}").tobytes())


_NUMPY = {
    "f4": "float32", "f8": "float64", "f2": "float16", "i8": "int64", "i4": "int32", "i2": "int16", "i1": "int8",
    "u1": "uint8", "b1": "bool",
}  # fmt: skip


def _whole(sizes: Any) -> tuple[int, ...]:
    if not isinstance(sizes, (tuple, list)) or len(sizes) > MAX_DIMENSIONS:
        raise Damaged("sizes that are none")
    for size in sizes:
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 62:
            raise Damaged("sizes that are none")
    return tuple(sizes)
