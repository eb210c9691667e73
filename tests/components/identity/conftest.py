"""Where real weights and recorded numbers lie; tests that need them are skipped where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[4] / "shared"


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real weights and photographs."""
    folder = Path(os.environ.get("CHUNKYGAN_REALDATA", SHARED / "realdata"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; name the folder in CHUNKYGAN_REALDATA")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of recorded numbers of other implementations."""
    folder = Path(os.environ.get("CHUNKYGAN_FIXTURES", SHARED / "fixtures"))
    if not folder.is_dir():
        pytest.skip(f"no recorded numbers at {folder}; name the folder in CHUNKYGAN_FIXTURES")
    return folder
