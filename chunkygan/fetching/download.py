"""Weights of the manifest from where their publishers keep them: whole and checked, or not at all.

Imports nothing that could reach a network before `fetch` is called.
"""

from __future__ import annotations

import bz2
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from chunkygan.domain import Domain, domain_names, load_domain
from chunkygan.errors import WeightsError
from chunkygan.fetching.http import BLOCK, Listener, Resuming
from chunkygan.files import atomic_write
from chunkygan.weights import Weights, manifest, recorded_sha256, search_path, sha256, sum_file, verified
from chunkygan.wording import did_you_mean

_BACKBONES = {"alex": "lpips_alexnet", "vgg": "lpips_vgg16", "squeeze": "lpips_squeezenet1_1"}
"""What `lpips` takes from torch's cache or the search path where a domain names its net alone."""


def wanted(names: list[str]) -> list[Weights]:
    """The entries that names of the manifest and of domains mean, each once, what ships left out.

    Raises:
        WeightsError: no such name, or an entry that only a person can get.
        RecipeError: a domain's file has mistakes.
    """
    entries, found = manifest(), []
    for name in names:
        if name in entries:
            if not entries[name].url:
                raise WeightsError(f"'{name}' is not fetched: get it from {entries[name].origin}")
            found.append(entries[name])
        elif name in domain_names() or name.endswith((".yaml", ".yml")):
            found += [entries[part] for part in weights_of(load_domain(name)) if entries[part].url]
        else:
            known = [*(entry.name for entry in entries.values() if entry.url), *domain_names()]
            near = did_you_mean(name, known)
            raise WeightsError(f"no weights or domain '{name}'{near}; `chunkygan fetch --list` shows all")
    return list(dict.fromkeys(found))


def weights_of(domain: Domain) -> list[str]:
    """The names of the manifest that a domain's parts need."""
    entries = manifest()
    specs = [spec for spec in domain.parts.values() if spec]
    named = [str(spec["weights"]) for spec in specs if spec.get("weights")]
    nets = [str(spec.get("net", "squeeze")) for spec in specs if spec["name"] == "lpips" and not spec.get("weights")]
    return [name for name in [*named, *(_BACKBONES.get(net, "") for net in nets)] if name in entries]


def fetch_folder() -> Path:
    """Where fetched files go: the first folder of ``$CHUNKYGAN_CHECKPOINTS``, ``./checkpoints`` where there is one, or
    the user's cache."""
    folders = search_path()
    here = Path("checkpoints").absolute()
    return folders[0] if os.environ.get("CHUNKYGAN_CHECKPOINTS") else here if here.is_dir() else folders[-1]


def present(entry: Weights) -> Path | None:
    """The entry's file where `chunkygan.weights.find` finds it; None where it is missing."""
    return next((folder / entry.file for folder in search_path() if (folder / entry.file).is_file()), None)


def fetch(
    entry: Weights,
    folder: Path,
    *,
    listener: Listener | None = None,
    timeout: float = 30.0,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """The entry's file in a folder: the one that is there if it is the right one, or downloaded.

    Interrupted, what came is kept under a hidden name beside it, and the next call goes on from there.

    Args:
        listener: told bytes and total.
        timeout: seconds without a byte, after which a connection is given up and tried again.
        pause: waits so many seconds between two connections.

    Raises:
        WeightsError: the server cannot be reached, has another file, or one with another sum than the manifest says; a
            file of that name that is another one is there already. Nothing is changed then.
    """
    target = folder / entry.file
    if target.exists():
        return _recorded(verified(target, entry), entry)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _locked(entry, target, listener, timeout, pause)
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be written: {error.strerror or error}; name another with --to") from error


def _locked(
    entry: Weights, target: Path, listener: Listener | None, timeout: float, pause: Callable[[float], None]
) -> Path:
    """Downloads while no other process downloads the same file."""
    from filelock import FileLock, Timeout

    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WeightsError(f"{target}: another process is fetching it") from error
    try:
        return _downloaded(entry, target, listener, timeout, pause)
    finally:
        with suppress(OSError):  # where open files cannot be removed it stays, and does no harm
            Path(lock.lock_file).unlink()
        lock.release()


def _downloaded(
    entry: Weights, target: Path, listener: Listener | None, timeout: float, pause: Callable[[float], None]
) -> Path:
    packed = target.with_name(f"{target.name}.{entry.packed}") if entry.packed else target
    part = packed.with_name(f".{packed.name}.part")
    size = None if entry.packed else entry.size
    download = Resuming(part, size=size, listener=listener, timeout=timeout, pause=pause)
    resumed = part.exists()
    try:
        _placed(entry, packed, download)
    except _WrongFile:
        if not resumed:
            raise
        _placed(entry, packed, download)  # what an earlier process left may have been of another file
    return _recorded(_unpacked(packed, target, entry) if entry.packed else target, entry)


class _WrongFile(WeightsError):
    """A whole file whose sum is not the manifest's."""


def _placed(entry: Weights, path: Path, download: Resuming) -> None:
    """The downloaded file under its name, if its sum is the right one."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    known = None if entry.packed or entry.sha256 is None else f"sha256:{entry.sha256}"
    manager = pooch.create(path=path.parent, base_url="", registry={path.name: known}, urls={path.name: entry.url})
    try:
        manager.fetch(path.name, downloader=download)
    except ValueError as error:  # the sum
        raise _WrongFile(
            f"{entry.url}: the file there is not the one that the manifest calls '{entry.name}' "
            f"(sha256 {entry.sha256}); nothing was kept. It may have been replaced: see {entry.page}"
        ) from error


def _unpacked(packed: Path, target: Path, entry: Weights) -> Path:
    """The file that a compressed one holds; the compressed one is removed, whatever is in it."""
    try:
        atomic_write(target, lambda file: _unpack(packed, file, entry), error=WeightsError)
        return target
    finally:
        packed.unlink(missing_ok=True)


def _unpack(packed: Path, file: BinaryIO, entry: Weights) -> None:
    import hashlib

    digest, length = hashlib.sha256(), 0
    try:
        with bz2.open(packed) as content:
            while block := content.read(BLOCK):
                digest.update(block)
                length += len(block)
                if entry.size is not None and length > entry.size:
                    break
                file.write(block)
    except (OSError, EOFError) as error:
        raise WeightsError(f"{entry.url}: no whole {entry.packed} file ({error}); nothing was kept") from error
    if entry.sha256 not in (None, digest.hexdigest()) or entry.size not in (None, length):
        raise WeightsError(f"{entry.url}: holds another file than the manifest's '{entry.name}'; nothing was kept")


def _recorded(path: Path, entry: Weights) -> Path:
    """The path, after its sum was written beside it where the manifest has none."""
    if entry.sha256 is None and recorded_sha256(path) is None:
        line = f"{sha256(path)}  {path.name}\n"
        atomic_write(sum_file(path), lambda file: file.write(line.encode()), error=WeightsError)
    return path


def as_row(entry: Weights) -> tuple[str, dict[str, Any]]:
    """Name and facts of an entry, as `chunkygan fetch --list` shows them."""
    size = "size not known" if entry.size is None else f"{entry.size / 1e6:,.0f} MB"
    checked = "sha256 known" if entry.sha256 else "sha256 not known: recorded on first use"
    return entry.name, {"what": entry.what, "size": size, "sum": checked, "licence": entry.licence, "page": entry.page}
