"""Weight files by name: what the manifest knows, where they are looked for, whether they are the right ones.

Imports no torch; `read_safetensors`, `read_state_dict` and `write_safetensors` import it when they are called.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from chunkygan.errors import WeightsError
from chunkygan.places import shipped, shown
from chunkygan.tensor_files import read_safetensors, read_state_dict, write_safetensors
from chunkygan.wording import did_you_mean

__all__ = [
    "Weights",
    "find",
    "is_present",
    "manifest",
    "read_safetensors",
    "read_state_dict",
    "recorded_sha256",
    "search_path",
    "sha256",
    "sum_file",
    "verified",
    "write_safetensors",
]


@dataclass(frozen=True)
class Weights:
    """One entry of the manifest.

    Args:
        name: what a recipe calls it.
        file: its file name in any folder of `search_path`.
        what: one line.
        kind: the registry kind that reads it.
        licence: of the weights; may restrict their use.
        page: where it comes from; empty for what ships.
        url: what `chunkygan fetch` reads; empty where a person must go to `page`.
        packed: how the file at `url` is compressed, ``bz2`` or not at all; size and sum are of what comes out.
        size: in bytes; None where it is not known.
        sha256: None where it is not known; then the sum of the first download is recorded beside the file, and
            checked from then on.
    """

    name: str
    file: str
    what: str
    kind: str
    licence: str
    page: str = ""
    url: str = ""
    packed: str = ""
    size: int | None = None
    sha256: str | None = None

    @property
    def origin(self) -> str:
        """Where to get it, in words."""
        return self.page or "a new installation of chunkygan"

    @property
    def remedy(self) -> str:
        """How to get it, in words."""
        return f"`chunkygan fetch {self.name}` gets it from {self.origin}" if self.url else f"get it from {self.origin}"


def is_present(entry: Weights) -> bool:
    """Whether its file is in one of the folders of `search_path`; its content is not looked at."""
    return any((folder / entry.file).is_file() for folder in search_path())


def manifest() -> dict[str, Weights]:
    """Name -> entry of the manifest that ships.

    Raises:
        WeightsError: the manifest is not what it should be.
    """
    path = shipped("checkpoints") / "manifest.yaml"
    raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    allowed = {field.name for field in fields(Weights)} - {"name"}
    entries = {}
    for name, values in raw.items():
        unknown = set(values) - allowed
        if unknown:
            raise WeightsError(f"{shown(path)}: {name}: no key {sorted(unknown)}; allowed are {sorted(allowed)}")
        entries[name] = Weights(name=name, **values)
    return entries


def search_path() -> list[Path]:
    """The folders in which weight files are looked for, first match wins.

    ``$CHUNKYGAN_CHECKPOINTS`` (several, separated as in ``$PATH``), ``./checkpoints``, the folder that ships, and the
    user's cache.
    """
    given = os.environ.get("CHUNKYGAN_CHECKPOINTS", "")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = [Path(folder).expanduser() for folder in given.split(os.pathsep) if folder]
    folders += [Path("checkpoints"), shipped("checkpoints"), cache / "chunkygan"]
    return list(dict.fromkeys(folder.absolute() for folder in folders))


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """The file that a manifest name, a file name in the search path, or a path stands for.

    Raises:
        WeightsError: there is no such file (says where it was looked for, where to get it, where to put it), or it is
            not the one the manifest describes.
    """
    text = os.fspath(name_or_path)
    known = manifest()
    if text in known:
        return verified(_find_known(known[text]), known[text])
    path = Path(text).expanduser()
    if path.is_file():
        return path
    is_bare = path.name == text and bool(path.suffix)
    for folder in search_path() if is_bare else ():
        if (folder / path).is_file():
            return folder / path
    if path.is_dir():
        raise WeightsError(f"weights '{text}' is a folder; name a file in it")
    if path.suffix or path.name != text:
        where = f"; also looked for in {_listed(search_path())}" if is_bare else ""
        raise WeightsError(f"no weight file '{text}'{where}")
    raise WeightsError(
        f"no weights '{text}': neither a file nor a name of the manifest; "
        f"names are {', '.join(sorted(known)) or 'none'}{did_you_mean(text, known)}"
    )


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file in hexadecimal; a file that has not changed is read once per process.

    Raises:
        WeightsError: it cannot be read.
    """
    path = Path(path)
    try:
        status = path.stat()
        return _sha256(path.absolute(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return _digest(file)


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _find_known(entry: Weights) -> Path:
    folders = search_path()
    for folder in folders:
        if (folder / entry.file).is_file():
            return folder / entry.file
    raise WeightsError(
        f"weights '{entry.name}' ({entry.what}) are missing: no file {entry.file} in {_listed(folders)}; "
        f"{entry.remedy}, or put it into {folders[0]} (licence: {entry.licence})"
    )


def verified(path: Path, entry: Weights) -> Path:
    """The path, if the file there is the one that the manifest describes, or the one that was fetched first.

    Raises:
        WeightsError: it is another one.
    """
    expected = entry.sha256 or recorded_sha256(path)
    if expected is None:
        return path
    came = sha256(path)
    if came != expected.lower():
        whose = "the manifest calls" if entry.sha256 else "was fetched as"
        raise WeightsError(
            f"{path} is not the file that {whose} '{entry.name}': sha256 {came}, expected {expected}; it is damaged or "
            "was replaced. Move it away and get it again, or name your own file by its path"
        )
    return path


def sum_file(path: Path) -> Path:
    """Where the sum of a file is recorded that the manifest knows none of; `sha256sum --check` reads it."""
    return path.with_name(f"{path.name}.sha256")


def recorded_sha256(path: Path) -> str | None:
    """The sum that was recorded when a file was fetched; None where there is none."""
    try:
        words = sum_file(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0].lower() if words and len(words[0]) == 64 else None


def _listed(folders: list[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
