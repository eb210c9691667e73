"""Pickles read as data: a machine for the operations that weight files need, and no other.

Nothing is imported or called on a file's word. A name in the file (``torch._utils _rebuild_tensor_v2``) is looked up in
a table of this project's own functions (`chunkygan.checkpoint_files.pickle_names`), and a name that is not in it ends
the reading. Long byte strings stay where they are, as views of the file, so that a tensor's numbers are read only when
it is asked for. Work and memory are bounded by the file's size and by `MAX_OPERATIONS`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Protocol

MAX_OPERATIONS = 300_000
"""A full training's checkpoint has some ten thousand."""

LONG = 4096  # bytes from which on a byte string is left in the file
_KEYS = (str, int, float, bytes, type(None))  # whose hashes cannot be made to collide
_MARK = object()
_STOP = ord(".")


class Damaged(ValueError):
    """The bytes are no pickle that a weight file would hold."""


class Forbidden(ValueError):
    """The file names something that is not in the table."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class Name(Protocol):
    """What stands in for a class or function that a file names."""

    def call(self, arguments: tuple[Any, ...], machine: Machine) -> Any:
        """The value of the name called with these arguments."""


class HasState(Protocol):
    """A value that takes a state, once."""

    def set_state(self, state: Any) -> None: ...


class Machine:
    """One pickle after another in a buffer.

    Args:
        data: the whole file, or the part of it that holds pickles.
        names: ``"module name"`` -> what stands for it.
        persistent: gives the value of a persistent id (torch keeps storages so).
        position: where the first pickle starts.
        fuel: operations it may use.
    """

    def __init__(
        self,
        data: memoryview,
        names: Mapping[str, Name],
        persistent: Callable[[Any], Any] | None = None,
        *,
        position: int = 0,
        fuel: int = MAX_OPERATIONS,
    ) -> None:
        self.data, self.names, self.persistent, self.position, self.fuel = data, names, persistent, position, fuel
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value of the pickle at `position`, which moves behind it.

        Raises:
            Damaged, Forbidden: it cannot be read, or may not.
        """
        self.stack, self.memo = [], {}
        data, end, operations = self.data, len(self.data), _OPERATIONS
        while self.position < end:
            code = data[self.position]
            self.position += 1
            self.fuel -= 1
            if self.fuel < 0:
                break
            if code == _STOP:
                return self._pop()
            operation = operations.get(code)
            if operation is None:
                raise Damaged(f"no weight file needs the operation {bytes([code])!r} of byte {self.position - 1}")
            operation(self)
        self.spend(0)
        raise Damaged("ends without an end")

    def spend(self, amount: int) -> None:
        """Counts work; raises `Damaged` where there is more of it than any weight file needs."""
        self.fuel -= amount
        if self.fuel < 0:
            raise Damaged("more operations than any weight file needs")

    def _take(self, count: int) -> memoryview:
        start, end = self.position, self.position + count
        if end > len(self.data):
            raise Damaged(f"ends at byte {len(self.data)}, where {count} bytes from {start} on were announced")
        self.position = end
        return self.data[start:end]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        text = bytes(self.data[self.position : self.position + 256])
        end = text.find(b"\n")
        if end < 0:
            raise Damaged("a name without end")
        self.position += end + 1
        return text[:end].decode("utf-8")

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Damaged("takes a value that is not there")
        return self.stack.pop()

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Damaged("takes a value that is not there")
        return self.stack[-1]

    def _since_mark(self) -> list[Any]:
        values: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is _MARK:
                return values[::-1]
            values.append(value)
        raise Damaged("lacks a mark")

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    # Each of the following is one operation, or a family of them.

    def _version(self) -> None:
        if self._take(1)[0] > 5:
            raise Damaged("a pickle of an unknown version")

    def _bytes(self, form: str) -> None:
        view = self._take(self._number(form))
        self._push(view if len(view) > LONG else bytes(view))

    def _text(self, form: str, encoding: str = "utf-8") -> None:
        self._push(str(self._take(self._number(form)), encoding))

    def _long(self, form: str) -> None:
        count = self._number(form)
        if not 0 <= count <= 16:
            raise Damaged("a whole number of more than 16 bytes")
        self._push(int.from_bytes(self._take(count), "little", signed=True))

    def _tuple(self, count: int | None) -> None:
        values = self._since_mark() if count is None else [self._pop() for _ in range(count)][::-1]
        self._push(tuple(values))

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise Damaged("appends to what is no list")
        target.extend(values)

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(values) % 2:
            raise Damaged("sets items of what is no map")
        target.update((as_key(key), value) for key, value in zip(values[::2], values[1::2]))

    def _add_items(self) -> None:
        values, target = self._since_mark(), self._top()
        if not isinstance(target, set):
            raise Damaged("adds to what is no set")
        target.update(map(as_key, values))

    def _set_item(self) -> None:
        value = self._pop()
        key = self._pop()
        self._set_items([key, value])

    def _dict(self) -> None:
        values = self._since_mark()
        self._push({})
        self._set_items(values)

    def _name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Damaged("a name that is no text")
        found = self.names.get(f"{module} {name}")
        if found is None:
            raise Forbidden(f"{module}.{name}"[:120])
        self._push(found)

    def _stack_name(self) -> None:
        name = self._pop()
        self._name(self._pop(), name)

    def _call(self) -> None:
        arguments = self._pop()
        self._push(self._called(self._pop(), arguments))

    def _called(self, name: Any, arguments: Any) -> Any:
        if not hasattr(name, "call") or not isinstance(arguments, tuple):
            raise Damaged("calls what is no name of the table")
        return name.call(arguments, self)

    def _new(self) -> None:
        options = self._pop()
        if options != {}:
            raise Damaged("makes an object with named arguments")
        self._call()

    def _build(self) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, dict):  # attributes of an OrderedDict or EasyDict, which nothing needs
            return
        if not hasattr(target, "set_state"):
            raise Damaged("sets the state of what has none")
        target.set_state(state)

    def _put(self, index: int) -> None:
        self.memo[index] = self._top()

    def _get(self, index: int) -> None:
        if index not in self.memo:
            raise Damaged("recalls a value that was never kept")
        self._push(self.memo[index])

    def _persistent(self) -> None:
        key = self._pop()
        if self.persistent is None:
            raise Damaged("refers to a storage outside")
        self._push(self.persistent(key))


def as_key(value: Any) -> Any:
    """The value, if it may be the key of a map.

    Raises:
        Damaged: it is of a kind that could be made to collide with others.
    """
    if not isinstance(value, _KEYS):
        raise Damaged(f"a map's key of the kind {type(value).__name__}")
    return value


_OPERATIONS: dict[int, Callable[[Machine], Any]] = {
    0x80: Machine._version,
    0x95: lambda m: m._number("<Q"),  # FRAME: a hint only
    ord("N"): lambda m: m._push(None),
    0x88: lambda m: m._push(True),
    0x89: lambda m: m._push(False),
    ord("J"): lambda m: m._push(m._number("<i")),
    ord("K"): lambda m: m._push(m._number("<B")),
    ord("M"): lambda m: m._push(m._number("<H")),
    0x8A: lambda m: m._long("<B"),
    0x8B: lambda m: m._long("<i"),
    ord("G"): lambda m: m._push(m._number(">d")),
    ord("X"): lambda m: m._text("<I"),
    0x8C: lambda m: m._text("<B"),
    0x8D: lambda m: m._text("<Q"),
    ord("T"): lambda m: m._text("<I", "latin-1"),  # what Python 2 wrote
    ord("U"): lambda m: m._text("<B", "latin-1"),
    ord("B"): lambda m: m._bytes("<I"),
    ord("C"): lambda m: m._bytes("<B"),
    0x8E: lambda m: m._bytes("<Q"),
    0x96: lambda m: m._bytes("<Q"),
    ord("]"): lambda m: m._push([]),
    ord("}"): lambda m: m._push({}),
    ord(")"): lambda m: m._push(()),
    0x8F: lambda m: m._push(set()),
    ord("("): lambda m: m._push(_MARK),
    ord("0"): lambda m: m._pop(),
    ord("1"): lambda m: m._since_mark(),
    ord("2"): lambda m: m._push(m._top()),
    ord("t"): lambda m: m._tuple(None),
    0x85: lambda m: m._tuple(1),
    0x86: lambda m: m._tuple(2),
    0x87: lambda m: m._tuple(3),
    ord("l"): lambda m: m._push(m._since_mark()),
    ord("d"): Machine._dict,
    ord("a"): lambda m: m._append([m._pop()]),
    ord("e"): lambda m: m._append(m._since_mark()),
    ord("s"): Machine._set_item,
    ord("u"): lambda m: m._set_items(m._since_mark()),
    0x90: Machine._add_items,
    0x91: lambda m: m._push(frozenset(map(as_key, m._since_mark()))),
    ord("c"): lambda m: m._name(m._line(), m._line()),
    0x93: Machine._stack_name,
    ord("R"): Machine._call,
    0x81: Machine._call,  # NEWOBJ: the table knows what a class makes
    0x92: Machine._new,
    ord("b"): Machine._build,
    ord("q"): lambda m: m._put(m._number("<B")),
    ord("r"): lambda m: m._put(m._number("<I")),
    0x94: lambda m: m._put(len(m.memo)),
    ord("h"): lambda m: m._get(m._number("<B")),
    ord("j"): lambda m: m._get(m._number("<I")),
    ord("Q"): Machine._persistent,
}
