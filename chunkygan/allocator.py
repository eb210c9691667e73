"""The C library's allocator, told to keep what is freed for the next step instead of returning it to the system.

A step frees and asks for the same large tensors over and over. glibc maps anything beyond 32 MB afresh each time, and
the system clears every page of it: at 1024 pixels that is up to two fifths of a step (docs/speed.md).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Numbers of glibc's malloc.h."""

MOST = 2**31 - 1
"""Bytes: the largest threshold that `mallopt` takes."""


def keep_freed_memory() -> bool:
    """Sets the allocator of this process; False where it cannot be set, or somebody has.

    Variables such as ``MALLOC_TRIM_THRESHOLD_`` or ``GLIBC_TUNABLES`` go first: whoever sets them knows why.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    mallopt = _function("mallopt")
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, MOST))


def give_back() -> None:
    """Returns what was freed to the system after all, where it is to be counted; nothing where that cannot be asked."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _function(name: str) -> Callable[..., int] | None:
    """A function of glibc; None with another C library."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
