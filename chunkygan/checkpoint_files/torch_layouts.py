"""The two layouts of ``torch.save``: a zip archive, and before it a row of pickles with the storages behind them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

from chunkygan.checkpoint_files.pickle_machine import MAX_OPERATIONS, Damaged, Machine, Name
from chunkygan.checkpoint_files.pickle_names import NAMES, STORAGES, Maker, Token
from chunkygan.checkpoint_files.stored import ITEM_SIZES, Storage

OLD_MAGIC = 0x1950A86A20F9469CFC6C
OLD_HEAD = b"\x80\x02\x8a\x0a" + OLD_MAGIC.to_bytes(10, "little")
"""How a file of the old layout begins."""


def read_pickle(data: memoryview) -> Any:
    """The content of a plain pickle, in which torch puts each storage as a byte string of its old layout.

    Raises:
        Damaged, Forbidden: it cannot be read, or may not.
    """
    return Machine(data, {**NAMES, "torch.storage _load_from_bytes": Maker(_storage_of_bytes)}).run()


def _storage_of_bytes(machine: Machine, data: Any) -> Storage:
    machine.spend(50)  # what the pickles of one storage take
    found = read_old_layout(memoryview(data), names=_STORAGE_NAMES, fuel=1000)
    if not isinstance(found, Storage):
        raise Damaged("bytes that hold no storage")
    return found


_STORAGE_NAMES = {f"torch {name}": NAMES[f"torch {name}"] for name in STORAGES}


def read_old_layout(data: memoryview, *, names: Mapping[str, Name] = NAMES, fuel: int = MAX_OPERATIONS) -> Any:
    """The content of a file from before torch 1.6, or of a byte string inside a pickle.

    Raises:
        Damaged, Forbidden: it cannot be read, or may not.
    """
    storages: dict[str, Storage] = {}
    machine = Machine(data, names, lambda key: _storage(key, storages, None), fuel=fuel)
    if machine.run() != OLD_MAGIC or machine.run() != 1001:
        raise Damaged("no torch file of the old layout")
    system = machine.run()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Damaged("written on a big-endian machine")
    content, keys = machine.run(), machine.run()
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise Damaged("lists other storages than it uses")
    position = machine.position
    for key in keys:
        storage = storages[str(key)]
        count = struct.unpack_from("<q", data, position)[0] if position + 8 <= len(data) else -1
        start, end = position + 8, position + 8 + storage.size
        if count != storage.count or end > len(data):
            raise Damaged(f"storage {str(key)[:40]} of {storage.count} numbers is not whole")
        storage.read = lambda start=start, end=end: data[start:end]
        position = end
    return content


def read_zip_layout(data: memoryview) -> Any:
    """The content of a torch archive; its entries are checked against their checksums when they are read.

    Raises:
        Damaged, Forbidden: it cannot be read, or may not.
    """
    entries = _entries(data)
    pickles = [name for name in entries if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise Damaged("an archive without data.pkl, or with several")
    folder = pickles[0].removesuffix("data.pkl")
    order = entries.get(f"{folder}byteorder")
    if order is not None and bytes(order.read(data)) != b"little":
        raise Damaged("written on a big-endian machine")
    storages: dict[str, Storage] = {}
    return Machine(
        entries[pickles[0]].read(data), NAMES, lambda key: _storage(key, storages, (data, entries, folder))
    ).run()


class _Entry:
    """Where a file lies in an archive that was stored without compression."""

    def __init__(self, start: int, size: int, checksum: int) -> None:
        self.start, self.size, self.checksum = start, size, checksum

    def read(self, data: memoryview) -> memoryview:
        view = data[self.start : self.start + self.size]
        if zlib.crc32(view) != self.checksum:
            raise Damaged("an entry's checksum differs: the file was damaged")
        return view


def _entries(data: memoryview) -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    try:
        infos = zipfile.ZipFile(Reader(data)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError) as error:
        raise Damaged(f"no whole archive: {error}") from error
    if any(info.filename.rpartition("/")[2] == "constants.pkl" for info in infos):
        raise Damaged("a TorchScript archive, which is a program; save its state dict and use that")
    total = 0
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise Damaged(f"its entry {info.filename[:60]} is compressed, which torch never does")
        names = data[info.header_offset + 26 : info.header_offset + 30]
        if len(names) < 4 or info.header_offset < 0:
            raise Damaged("an entry outside the file")
        start = info.header_offset + 30 + sum(struct.unpack("<HH", names))
        total += info.file_size
        if start + info.file_size > len(data) or total > len(data) or info.filename in found:
            raise Damaged(f"its entry {info.filename[:60]} overlaps others or the end of the file")
        found[info.filename] = _Entry(start, info.file_size, info.CRC)
    return found


class Reader(io.RawIOBase):
    """A file of a view, without a copy of it."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.position = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = max(0, offset + (0, self.position, len(self.data))[whence])
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        end = len(self.data) if size is None or size < 0 else self.position + size
        view = bytes(self.data[self.position : end])
        self.position += len(view)
        return view


def _storage(
    key: Any, storages: dict[str, Storage], archive: tuple[memoryview, dict[str, _Entry], str] | None
) -> Storage:
    """The storage of a persistent id ``("storage", class, key, device, count, ...)``."""
    if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage" or not isinstance(key[1], Token):
        raise Damaged("refers to something else than a storage")
    if len(key) == 6 and key[5] is not None:
        raise Damaged("a storage that is a part of another")
    name, count = str(key[2])[:100], key[4]
    if not isinstance(count, int) or count < 0 or key[1].value not in ITEM_SIZES:
        raise Damaged("a storage without size")
    if name not in storages:
        storages[name] = storage = Storage(key[1].value, count)
        if archive is not None:
            _place(storage, name, *archive)
    return storages[name]


def _place(storage: Storage, name: str, data: memoryview, entries: dict[str, _Entry], folder: str) -> None:
    entry = entries.get(f"{folder}data/{name}")
    if entry is None or entry.size != storage.size:
        raise Damaged(f"storage {name[:40]} of {storage.count} numbers is not whole")
    storage.read = lambda: entry.read(data)
