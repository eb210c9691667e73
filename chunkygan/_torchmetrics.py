"""Imports torchmetrics without what it does not need, which is a good part of a command's start.

Where scipy is installed, torchmetrics imports `scipy.signal` only to give an old name, ``hamming``, back to another
package: about a second on a slow machine. Import this module before torchmetrics and before ``pytorch_lightning``,
which imports it; importing it does the work.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from chunkygan._torchvision import ensure_importable


@contextmanager
def stand_in(package: str, name: str, **attributes: Any) -> Iterator[None]:
    """In place of a package's module that nobody has imported is one with these attributes, while the context lasts.

    Does nothing where the package is not installed.
    """
    full = f"{package}.{name}"
    if full in sys.modules or find_spec(package) is None:
        yield
        return
    parent, module = importlib.import_module(package), ModuleType(full)
    vars(module).update(attributes)
    sys.modules[full] = module
    setattr(parent, name, module)
    try:
        yield
    finally:
        if sys.modules.get(full) is module:
            del sys.modules[full]
        if vars(parent).get(name) is module:
            delattr(parent, name)


def import_lean() -> None:
    """Imports torchmetrics; does nothing where it is imported already."""
    ensure_importable()  # torchmetrics imports torchvision where it is installed
    with stand_in("scipy", "signal", hamming=None):
        importlib.import_module("torchmetrics")


import_lean()
