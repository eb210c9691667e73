"""MobileFaceNet: its layout, and with public weights who is who."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from chunkygan.components.identity.mobilefacenet import MobileFaceNet, MobileFaceNetwork
from chunkygan.errors import ShapeError, WeightsError


@pytest.fixture(scope="module")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights."""
    path = tmp_path_factory.mktemp("weights") / "random.ckpt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save({"epoch": 1, "net_state_dict": MobileFaceNetwork().state_dict()}, path)
    return path


def pictures(n: int = 2, size: int = 128, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_embeddings_are_unit_vectors_at_any_size(random_file) -> None:
    identity = MobileFaceNet(random_file)
    for size in (64, 128, 300):
        embedded = identity.embed(pictures(size=size))
        assert embedded.shape == (2, 128)
        assert torch.allclose(embedded.norm(dim=1), torch.ones(2))


def test_a_picture_is_at_distance_zero_from_itself(random_file) -> None:
    assert MobileFaceNet(random_file)(pictures(), pictures()).abs().max() < 1e-6


def test_it_is_frozen_and_stays_in_evaluation_mode(random_file) -> None:
    identity = torch.nn.Sequential(MobileFaceNet(random_file)).train()[0]
    assert not any(parameter.requires_grad for parameter in identity.parameters())
    assert not any(module.training for module in identity.modules())


def test_gradients_reach_the_pictures(random_file) -> None:
    x = pictures(1).requires_grad_()
    MobileFaceNet(random_file)(x, pictures(1, seed=1)).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0


def test_the_crop_decides_what_is_looked_at(random_file) -> None:
    left_half = MobileFaceNet(random_file, crop=(0.0, 0.0, 0.5, 1.0))
    changed = pictures()
    changed[..., 70:] = 0
    assert torch.allclose(left_half.embed(pictures()), left_half.embed(changed), atol=1e-6)


def test_a_crop_that_is_no_box_is_refused(random_file) -> None:
    with pytest.raises(ShapeError, match="left, top, right, bottom"):
        MobileFaceNet(random_file, crop=(0.9, 0.1, 0.1, 0.9))


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="not the weights of MobileFaceNet"):
        MobileFaceNet(tmp_path / "other.pth")


@pytest.mark.realdata
def test_real_weights_know_a_person_from_others(realdata) -> None:
    identity = MobileFaceNet(realdata / "identity" / "mobilefacenet_068.ckpt")
    faces = torch.cat([read(path) for path in sorted((realdata / "faces").glob("*.png"))])
    with torch.no_grad():
        embedded, moved, small = identity.embed(faces), identity.embed(jittered(faces)), identity.embed(reduced(faces))
    others = (embedded @ embedded.T)[~torch.eye(len(faces), dtype=torch.bool)]
    assert (embedded * moved).sum(1).min() > 0.8
    assert (embedded * small).sum(1).min() > 0.98  # 128 pixels tell the same as 1024
    assert others.mean() < 0.3
    assert others.max() < (embedded * moved).sum(1).min()


def jittered(faces: Tensor) -> Tensor:
    """Faces turned by 1.8 degrees, enlarged by 3 % and moved by 2-3 %."""
    turn = torch.tensor([[0.97, 0.03, 0.02], [-0.03, 0.97, -0.02]]).expand(len(faces), -1, -1)
    grid = F.affine_grid(turn, list(faces.shape), align_corners=False)
    return F.grid_sample(faces, grid, padding_mode="reflection", align_corners=False)


def reduced(faces: Tensor) -> Tensor:
    return F.interpolate(faces, (128, 128), mode="area")


def read(path: Path) -> Tensor:
    """(1, 3, h, w) in [-1, 1]."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
