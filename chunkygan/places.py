"""Where the files that ship lie: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

import os
from pathlib import Path

import chunkygan


def shipped(folder: str) -> Path:
    """The folder ``recipes`` or ``checkpoints`` that came with the project.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for base in chunkygan.__path__:
        path = Path(base) / folder
        if path.is_dir():
            return path
    raise FileNotFoundError(f"this installation of chunkygan has no folder '{folder}'; install it again")


def shown(path: Path) -> str:
    """A path as messages show it: relative where it lies below the working directory."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if relative.startswith("..") else relative
