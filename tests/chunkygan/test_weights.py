"""Weight files: found by name, checked, read without running anything, written whole."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path

import pytest
import torch

from chunkygan import weights
from chunkygan.errors import WeightsError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first folder of the search path; the working directory is empty."""
    found = tmp_path / "weights"
    found.mkdir()
    monkeypatch.setenv("CHUNKYGAN_CHECKPOINTS", str(found))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return found


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> weights.Weights:
    """A manifest of one entry, the SHA-256 of the file b"abc"."""
    entry = weights.Weights(
        name="tiny_net",
        file="tiny.safetensors",
        what="a tiny network",
        kind="generator",
        licence="MIT",
        page="https://example.org/tiny",
        sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )
    monkeypatch.setattr(weights, "manifest", lambda: {"tiny_net": entry})
    return entry


def test_shipped_manifest_reads() -> None:
    entries = weights.manifest()
    assert entries["procfaces_128_generator"].licence == "MIT"


def test_known_name_is_found_and_verified(folder: Path, known: weights.Weights) -> None:
    (folder / "tiny.safetensors").write_bytes(b"abc")
    assert weights.find("tiny_net") == folder / "tiny.safetensors"


def test_another_file_under_a_known_name_is_refused(folder: Path, known: weights.Weights) -> None:
    (folder / "tiny.safetensors").write_bytes(b"abd")
    with pytest.raises(WeightsError, match="is not the file that the manifest calls 'tiny_net': sha256"):
        weights.find("tiny_net")


def test_a_missing_file_says_what_where_and_whence(folder: Path, known: weights.Weights) -> None:
    with pytest.raises(WeightsError) as caught:
        weights.find("tiny_net")
    message = str(caught.value)
    for part in (
        "a tiny network",
        "tiny.safetensors",
        str(folder),
        "https://example.org/tiny",
        f"put it into {folder}",
    ):
        assert part in message


def test_a_file_in_the_search_path_is_found_by_its_own_name(folder: Path) -> None:
    (folder / "mine.pt").write_bytes(b"x")
    assert weights.find("mine.pt") == folder / "mine.pt"


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(b"x")
    assert weights.find(tmp_path / "mine.pt") == tmp_path / "mine.pt"


def test_working_folder_comes_before_what_ships(folder: Path, known: weights.Weights) -> None:
    Path("checkpoints").mkdir()
    Path("checkpoints/tiny.safetensors").write_bytes(b"abc")
    assert weights.find("tiny_net") == Path("checkpoints/tiny.safetensors").absolute()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny_nt", "did you mean 'tiny_net'"),
        ("no/such.pt", "no weight file 'no/such.pt'"),
        ("such.pt", "also looked for in"),
        (".", "is a folder"),
    ],
)
def test_unknown_names_are_explained(name: str, message: str, folder: Path, known: weights.Weights) -> None:
    with pytest.raises(WeightsError, match=message):
        weights.find(name)


def test_sha256_of_abc(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert weights.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")


def test_sha256_of_a_changed_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    before = weights.sha256(path)
    path.write_bytes(b"abcd")
    assert weights.sha256(path) != before


def test_safetensors_come_back_as_written(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    weights.write_safetensors(tmp_path / "a.safetensors", {"a": base, "view": base.T}, {"kind": "test"})
    metadata, tensors = weights.read_safetensors(tmp_path / "a.safetensors")
    assert metadata == {"kind": "test"}
    assert torch.equal(tensors["a"], base) and torch.equal(tensors["view"], base.T)
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_every_truncation_of_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights.write_safetensors(path, {"a": torch.ones(8)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="no whole safetensors file"):
            weights.read_safetensors(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n", b"<!DOCTYPE html><html>", b"PK\x03\x04broken", b"\x80\x02broken"]
)
def test_foreign_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.pt"):
        weights.read_state_dict(path)


def test_a_truncated_torch_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"a": torch.ones(1000)}, path)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(WeightsError, match=r"model\.pt"):
            weights.read_state_dict(path)


def test_containers_are_opened_and_what_lies_beside_comes_along(tmp_path: Path) -> None:
    path = tmp_path / "rosinality.pt"
    options = argparse.Namespace(size=32)
    torch.save(
        {"g_ema": {"module.a": torch.ones(1)}, "g": {}, "latent_avg": torch.zeros(3), "args": options, "step": 7}, path
    )
    assert set(weights.read_state_dict(path)) == {"a", "latent_avg"}


def test_a_state_dict_may_lie_in_safetensors(tmp_path: Path) -> None:
    weights.write_safetensors(tmp_path / "a.pt", {"a": torch.ones(1)})
    assert set(weights.read_state_dict(tmp_path / "a.pt")) == {"a"}


def test_a_file_without_state_dict_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"got a dict with epoch \(int\), loss \(float\)"):
        weights.read_state_dict(tmp_path / "a.pt")


class Canary:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("bare", [False, True], ids=["torch", "pickle"])
def test_code_in_a_file_is_never_run(legacy: bool, bare: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "evil.pt", tmp_path / "ran"
    if bare:
        path.write_bytes(pickle.dumps({"g_ema": Canary(mark)}, protocol=2 if legacy else 4))
    else:
        torch.save({"g_ema": {"a": Canary(mark)}}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        weights.read_state_dict(path)
    assert not mark.exists()


def test_what_a_file_asks_for_is_named(tmp_path: Path) -> None:
    torch.save({"a": Canary(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=r"asks for \w+\.mkdir, which could run code"):
        weights.read_state_dict(tmp_path / "evil.pt")


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot be written"):
        weights.write_safetensors(tmp_path / "file" / "a.safetensors", {"a": torch.ones(1)})
    assert os.listdir(tmp_path) == ["file"]
