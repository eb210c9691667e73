"""ArcFace against recorded numbers of another implementation (its widths divided by 16)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from chunkygan.components.identity.arcface import ArcFace, ArcFaceNetwork, face_of
from chunkygan.errors import WeightsError

TINY = {"widths": (4, 8, 16, 32), "reduction": 4}


@pytest.fixture(scope="module")
def recorded(fixtures: Path) -> dict[str, Tensor]:
    with np.load(fixtures / "arcface_tiny.npz", allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture
def recorded_file(recorded, tmp_path) -> Path:
    state = {name.removeprefix("param/"): value for name, value in recorded.items() if name.startswith("param/")}
    torch.save(state, tmp_path / "arcface.pth")
    return tmp_path / "arcface.pth"


@pytest.fixture
def random_file(tmp_path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(ArcFaceNetwork(**TINY).state_dict(), tmp_path / "random.pth")
    return tmp_path / "random.pth"


def test_recorded_embeddings_come_out(recorded, recorded_file) -> None:
    embedded = ArcFace(recorded_file, **TINY).embed(recorded["in/x"])
    assert torch.allclose(embedded, recorded["out/feat"], atol=2e-5, rtol=1e-4)
    assert (embedded[0] @ embedded[1]).item() == pytest.approx(recorded["out/cos"].item(), abs=2e-5)


def test_recorded_faces_are_cut_out(recorded) -> None:
    assert torch.allclose(face_of(recorded["in/x"][:1]), recorded["out/pooled_first"], atol=1e-6)


def test_larger_portraits_are_averaged_down_first() -> None:
    small = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(face_of(large), face_of(small), atol=1e-6)


def test_smaller_portraits_are_taken_too(random_file) -> None:
    embedded = ArcFace(random_file, **TINY).embed(torch.zeros(2, 3, 64, 64))
    assert torch.allclose(embedded.norm(dim=1), torch.ones(2))


def test_files_without_counters_are_taken(random_file) -> None:
    state = torch.load(random_file, weights_only=True)
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, random_file)
    assert ArcFace(random_file, **TINY).name == "identity_arcface"


def test_it_stays_in_evaluation_mode(random_file) -> None:
    identity = torch.nn.Sequential(ArcFace(random_file, **TINY)).train()[0]
    assert not any(module.training for module in identity.modules())


def test_weights_of_another_network_are_refused(random_file, tmp_path) -> None:
    with pytest.raises(WeightsError, match="not the weights of ArcFace"):
        ArcFace(random_file)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="missing or unknown"):
        ArcFace(tmp_path / "other.pth", **TINY)


def test_the_full_network_has_the_size_of_the_published_one() -> None:
    with torch.device("meta"):
        state = ArcFaceNetwork().state_dict()
    assert len(state) == 397
    assert sum(value.numel() for value in state.values()) == 43_824_118
