"""A file is there whole, or what was there before."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from chunkygan.errors import ChunkyGANError, ImageError
from chunkygan.files import atomic_write, write_json


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def fill_up(file: BinaryIO) -> None:
    """A writer whose disk is full half-way."""
    file.write(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_file_holds_what_the_writer_wrote(tmp_path: Path) -> None:
    path = atomic_write(tmp_path / "a.bin", lambda file: file.write(b"whole"))
    assert path.read_bytes() == b"whole" and names(tmp_path) == ["a.bin"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    assert atomic_write(tmp_path / "x" / "y" / "a", lambda file: file.write(b"1")).read_bytes() == b"1"


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old and longer")
    assert atomic_write(tmp_path / "a", lambda file: file.write(b"new")).read_bytes() == b"new"


def test_the_new_file_has_the_rights_that_files_here_have(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    path = atomic_write(tmp_path / "a", lambda file: file.write(b"1"))
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ChunkyGANError, match=r"a: cannot be written: No space left on device; free some space"):
        atomic_write(tmp_path / "a", fill_up)
    assert (tmp_path / "a").read_bytes() == b"old" and names(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing_and_goes_through(tmp_path: Path, kind: type[BaseException]) -> None:
    def writer(file: BinaryIO) -> None:
        file.write(b"half")
        raise kind

    with pytest.raises(kind):
        atomic_write(tmp_path / "a", writer)
    assert names(tmp_path) == []


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ChunkyGANError, match="choose a folder that you may write to"):
            atomic_write(tmp_path / "a", lambda file: file.write(b"1"))
    finally:
        tmp_path.chmod(0o700)


def test_a_refusal_by_the_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ChunkyGANError, match="Permission denied; choose a folder that you may write to"):
        atomic_write(tmp_path / "a", lambda file: file.write(b"1"))
    assert names(tmp_path) == []


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ChunkyGANError, match="a part of this path is a file"):
        atomic_write(tmp_path / "file" / "a", lambda file: file.write(b"1"))


def test_a_folder_of_that_name_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ChunkyGANError, match="no plain file has this name"):
        atomic_write(tmp_path / "a", lambda file: file.write(b"1"))
    assert (tmp_path / "a").is_dir()


def test_the_longest_name_that_is_allowed_can_be_written(tmp_path: Path) -> None:
    assert atomic_write(tmp_path / ("n" * 255), lambda file: file.write(b"1")).is_file()


def test_the_error_is_of_the_class_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        atomic_write(tmp_path / "a", fill_up, error=ImageError)


def test_json_comes_back(tmp_path: Path) -> None:
    value = {"l2": 0.25, "names": ["Auge", "Öhr"], "steps": 3}
    path = write_json(tmp_path / "metrics.json", value)
    assert json.loads(path.read_text(encoding="utf-8")) == value


@pytest.mark.parametrize("value", [{"l2": math.nan}, {"l2": math.inf}, {"x": object()}])
def test_what_json_has_no_form_for_is_refused_before_anything_is_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(ChunkyGANError, match=r"metrics\.json: cannot be written as JSON"):
        write_json(tmp_path / "metrics.json", value)
    assert names(tmp_path) == []
