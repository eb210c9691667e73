"""The Frechet distance of pooled features against a slow formula, and what it says of equal and of unlike sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from chunkygan.frechet import PooledTaps, frechet_distance, frechet_metric, frechet_name, to_levels
from chunkygan.interfaces import Perceptual


class Toy(Perceptual):
    """Two feature maps of random filters."""

    name = "lpips_toy"

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.register_buffer("filters", torch.randn(4, 3, 3, 3, generator=rng))

    def features(self, images: Tensor) -> list[Tensor]:
        first = torch.nn.functional.conv2d(images, self.filters).relu()
        return [first, images.square()]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return torch.stack([(x - y).square().mean((1, 2, 3)) for x, y in zip(a, b)]).sum(0)


def pictures(n: int, seed: int, shift: float = 0.0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    base = torch.rand(n, 3, 1, 1, generator=rng) - 0.5
    return to_levels(base + 0.5 * (torch.rand(n, 3, 8, 8, generator=rng) - 0.5) + shift)


def by_hand(a: Tensor, b: Tensor) -> float:
    """With scipy's matrix root, in double precision."""
    linalg = pytest.importorskip("scipy.linalg")
    features = PooledTaps(Toy(), (8, 8))
    x, y = (features(images).double().numpy() for images in (a, b))
    root = linalg.sqrtm(np.cov(x.T) @ np.cov(y.T))
    apart = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return float(apart + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * np.real(root)))


def test_it_is_the_formula_with_a_matrix_root():
    a, b = pictures(60, 0), pictures(80, 1, 0.2)
    found = frechet_distance(a.split(7), b.split(33), Toy(), (8, 8))
    assert found == pytest.approx(by_hand(a, b), rel=1e-3)


def test_a_set_is_at_no_distance_from_itself():
    a = pictures(60, 0)
    assert frechet_distance([a], [a], Toy(), (8, 8)) == pytest.approx(0, abs=1e-5)


def test_unlike_sets_are_farther_apart_than_two_draws_of_one():
    a, other, unlike = pictures(200, 0), pictures(200, 1), pictures(200, 2, 0.3)
    floor, far = (frechet_distance([x], [a], Toy(), (8, 8)) for x in (other, unlike))
    assert 0 < floor < far / 5


def test_real_pictures_are_kept_when_the_drawn_ones_are_forgotten():
    metric, a, b = frechet_metric(Toy(), (8, 8)), pictures(40, 0), pictures(40, 1)
    metric.update(a, real=True)
    metric.update(b, real=False)
    first = float(metric.compute())
    metric.reset()
    metric.update(b, real=False)
    assert float(metric.compute()) == first


def test_pooled_taps_are_means_over_the_picture():
    net, a = Toy(), pictures(3, 0)
    pooled = PooledTaps(net, (8, 8))
    assert pooled.num_features == 7
    torch.testing.assert_close(pooled(a)[:, 4:], a.square().mean((2, 3)))


def test_its_name_is_the_networks():
    assert frechet_name(Toy()) == "frechet_toy"


def test_the_taps_of_a_published_form_are_not_scaled_by_heads(tmp_path):
    from chunkygan.components.perceptual.domain_backbone import DomainBackbone
    from chunkygan.components.perceptual.lpips import Lpips
    from chunkygan.weights import write_safetensors

    net = DomainBackbone((4, 8))
    write_safetensors(tmp_path / "net.safetensors", net.state_dict(), net.metadata("toy"))
    lpips, images = Lpips("toy", tmp_path / "net.safetensors"), pictures(2, 0)
    for found, wanted in zip(lpips.taps(images), net.taps(images)):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert PooledTaps(lpips, (8, 8)).num_features == 12
