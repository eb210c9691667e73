"""Writing a file whole or not at all."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from chunkygan.errors import ChunkyGANError


def atomic_write(
    path: str | os.PathLike[str],
    writer: Callable[[BinaryIO], object],
    *,
    error: type[ChunkyGANError] = ChunkyGANError,
) -> Path:
    """The path, after `writer` has filled it: the whole file is there, or what was there before.

    The bytes go to a temporary file in the same folder (made if it is missing), which is renamed when they are on
    the disk. Interrupted, out of space or refused: the temporary file is removed and the old file stays.

    Args:
        path: an existing file is replaced.
        writer: called once with a binary file.
        error: the class to raise.

    Raises:
        ChunkyGANError: (or `error`) the file cannot be written; with the path and the system's reason.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise error(f"{path}: cannot be written, since something that is no plain file has this name; choose another")
    part = path.parent / f".{uuid.uuid4().hex[:12]}.part"  # short: the name may be of the longest that is allowed
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "xb") as file:
            writer(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as problem:
        reason = problem.strerror or str(problem) or type(problem).__name__
        raise error(f"{path}: cannot be written: {reason}; {_remedy(problem)}") from problem
    finally:
        try:
            part.unlink(missing_ok=True)  # gone already after the rename
        except OSError:
            pass
    return path


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """The path, after a value was written to it as indented JSON, whole or not at all.

    Raises:
        ChunkyGANError: the file cannot be written, or JSON has no form for the value (NaN and infinity included).
    """
    try:
        text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    except (TypeError, ValueError) as problem:
        raise ChunkyGANError(f"{path}: cannot be written as JSON: {problem}") from problem
    return atomic_write(path, lambda file: file.write(text.encode()))


def _remedy(problem: OSError) -> str:
    """What the user can do about a failed write."""
    if isinstance(problem, PermissionError):
        return "choose a folder that you may write to"
    if isinstance(problem, (NotADirectoryError, FileExistsError)):
        return "a part of this path is a file, not a folder; choose another folder"
    return "free some space there, or choose another folder"
