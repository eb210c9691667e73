"""What a weight file holds, as plain values with `Stored` tensors in them; the layout shows in the first bytes."""

from __future__ import annotations

import json
import mmap
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chunkygan.checkpoint_files.pickle_machine import Damaged, Forbidden
from chunkygan.checkpoint_files.stored import Array, NumberKind, Storage, Stored
from chunkygan.errors import WeightsError

_SAFE_KINDS = {
    "F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class Content:
    """The content of one file.

    Args:
        path: of the file.
        container: its layout in words.
        value: maps, lists, numbers, texts, `Stored` tensors, and `Record` objects.
        metadata: of a safetensors file.
    """

    path: Path
    container: str
    value: Any
    metadata: dict[str, str]


def read_content(path: str | os.PathLike[str]) -> Content:
    """What is in a file: safetensors, a numpy array, a torch archive, an old torch file or a plain pickle.

    Nothing in the file is run, and no tensor's numbers are read before they are asked for.

    Raises:
        WeightsError: it is missing, damaged, of another kind, or asks for more than data.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weight file '{path}'")
    try:
        data = _mapped(path)
        container, value, metadata = _read(data)
        return Content(path, container, value, metadata)
    except Forbidden as error:
        raise WeightsError(
            f"{path} holds more than tensors and plain values: it asks for {error.name}, which could run code, and was "
            "not opened. Save only its state dict where you trust it, and use that"
        ) from error
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # whatever a damaged file makes of the reader
        raise WeightsError(f"{path} is damaged or no weight file: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says, in one line of reasonable length."""
    text = (str(error).strip() or type(error).__name__).partition("\n")[0][:200]
    return f"lacks {text}" if isinstance(error, KeyError) else text


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise Damaged("it is empty")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _read(data: memoryview) -> tuple[str, Any, dict[str, str]]:
    from chunkygan.checkpoint_files import torch_layouts

    head = bytes(data[:64])
    if head[:2] == b"PK":
        return "torch archive", torch_layouts.read_zip_layout(data), {}
    if head.startswith(torch_layouts.OLD_HEAD):
        return "torch file of the old layout", torch_layouts.read_old_layout(data), {}
    if head[:1] == b"\x80" and 2 <= head[1] <= 5:
        return "pickle", torch_layouts.read_pickle(data), {}
    if head[:6] == b"\x93NUMPY":
        return "numpy array", _read_numpy(data), {}
    if len(head) > 8 and head[8:9] == b"{":
        metadata, tensors = _read_safetensors(data)
        return "safetensors", tensors, metadata
    raise Damaged(_foreign(head))


def _foreign(head: bytes) -> str:
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page; the download went wrong"
    if text.startswith(b"version https://git-lfs"):
        return "it is a pointer of git-lfs; fetch the file itself"
    if head[257:262] == b"ustar":
        return "it is a tar archive; unpack it"
    if head.startswith(b"\x89HDF"):
        return "it is an HDF5 file, which is not known here"
    if head.startswith(b"\x1f\x8b"):
        return "it is compressed with gzip; unpack it"
    return f"no known layout begins with {head[:8]!r}"


def _read_safetensors(data: memoryview) -> tuple[dict[str, str], dict[str, Stored]]:
    (size,) = struct.unpack("<Q", data[:8])
    if size > len(data) - 8 or size > 100 << 20:
        raise Damaged("no whole safetensors file: its header reaches beyond the end")
    header = json.loads(bytes(data[8 : 8 + size]))
    start, tensors, end = 8 + size, {}, 0
    metadata = header.pop("__metadata__", None) or {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        shape = tuple(entry["shape"])
        dtype = _SAFE_KINDS.get(entry["dtype"])
        if dtype is None:
            raise Damaged(f"numbers of the kind {entry['dtype']!r}")
        tensors[name] = _dense(data, dtype, shape, start + first, start + last)
        end = max(end, start + last)
    if end != len(data) and header:
        raise Damaged(f"no whole safetensors file: {len(data)} bytes, {end} announced")
    return {str(key): str(value) for key, value in metadata.items()}, tensors


_NUMPY_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?\w+)', 'fortran_order': (True|False), 'shape': \(((?:\d+,? ?)*)\),? ?\}\s*"
)


def _read_numpy(data: memoryview) -> Stored:
    wide = data[6] > 1  # version 1 has a header of at most 64 KiB
    start = 12 if wide else 10
    (size,) = struct.unpack("<I" if wide else "<H", data[8:start])
    header = _NUMPY_HEADER.fullmatch(bytes(data[start : start + min(size, 4096)]))
    if header is None:
        raise Damaged("a numpy array of something else than plain numbers")
    shape = tuple(int(length) for length in re.findall(rb"\d{1,18}", header[3]))
    array = Array()
    array.fill(shape, NumberKind(header[1].decode()), data[start + size :], column_major=header[2] == b"True")
    assert array.stored is not None
    return array.stored


def _dense(data: memoryview, dtype: str, shape: tuple[int, ...], start: int, end: int) -> Stored:
    count = 1
    stride: list[int] = []
    for size in reversed(shape):
        stride.insert(0, count)
        count *= size
    storage = Storage(dtype, count, lambda: data[start:end])
    if not 8 <= start <= end <= len(data) or storage.size != end - start:
        raise Damaged("no whole safetensors file: a tensor lies outside it")
    return storage.view(0, shape, stride)
