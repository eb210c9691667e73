"""A mapping network that is taught what its latents stand for, and layers that keep their styles."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from chunkygan._torchvision import ensure_importable

ensure_importable()

from chunkygan.build import create  # noqa: E402
from chunkygan.components.datasets.procfaces import ProcFaces  # noqa: E402
from chunkygan.lightning import mapping_training  # noqa: E402
from chunkygan.lightning.mapping_training import Traits, carry_styles, teach  # noqa: E402


class Mixtures:
    """Tells of latents what no linear map of them tells: absolute values of mixtures."""

    def traits_of(self, z: Tensor) -> Tensor:
        turn, _ = torch.linalg.qr(torch.randn(z.shape[1], 6, generator=torch.Generator().manual_seed(3)))
        direction = z * z.square().mean(1, keepdim=True).rsqrt()
        return (direction @ turn[:, :3]).abs() + 10


def generator():
    torch.manual_seed(0)
    options = {"resolution": 8, "z_dim": 8, "w_dim": 24, "mapping_layers": 3, "channels": [8, 8]}
    return create("generator", {"name": "stylegan2", "mapping_lr_multiplier": 1.0, **options})


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_training, "SAMPLED", 2000)


def told(network, traits: Traits, seed: int = 9) -> float:
    """Share of the traits' variance that codes of latents nobody has seen do not tell."""
    z = torch.randn(1000, network.z_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return float(traits.loss(network.map(z, None), z))


def test_codes_tell_linearly_what_latents_do_not(few: None) -> None:
    network = generator()
    traits = Traits(Mixtures(), network.map, seed=0)
    assert told(network, traits) > 0.6
    teach(network, traits, 0, steps=400, batch=128)
    assert told(network, traits) < 0.15


def test_a_readout_begins_as_good_as_codes_allow(few: None) -> None:
    """Codes that are the traits themselves are read at once, so going on moves none of them."""

    class Plain(torch.nn.Module):
        z_dim = 8

        def forward(self, z: Tensor, c: None) -> Tensor:
            return Mixtures().traits_of(z) @ torch.randn(3, 24, generator=torch.Generator().manual_seed(3))

    traits, z = Traits(Mixtures(), Plain(), seed=0), torch.randn(1000, 8, generator=torch.Generator().manual_seed(9))
    assert float(traits.loss(Plain()(z, None), z).detach()) < 1e-3


def test_styles_are_carried_over_to_codes_that_mean_the_same(few: None) -> None:
    """Of a mapping whose codes are a linear change of the old ones, the least squares are exact."""
    network = generator()
    before = copy.deepcopy(network.map)
    z = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    wanted = network.styles(network.mapping(z))

    class Turned(torch.nn.Module):
        def forward(self, z: Tensor, c: None) -> Tensor:
            return before(z, c).flip(1) * 3 + 1

    network.map = Turned()
    carry_styles(network, before, seed=2)
    for found, style in zip(network.styles(network.map(z, None)[:, None].repeat(1, network.num_ws, 1)), wanted):
        torch.testing.assert_close(found, style, atol=2e-2, rtol=0)


def test_a_ridge_makes_styles_gentle_where_codes_hardly_vary(few: None) -> None:
    """Codes of the mapping keep their styles; a step of one where they vary by a hundredth no longer changes them."""
    network, plain = generator().requires_grad_(False), generator().requires_grad_(False).map

    class Flat(torch.nn.Module):
        def forward(self, z: Tensor, c: None) -> Tensor:
            return plain(z, c) * torch.where(torch.arange(24) < 4, 0.01, 1.0)

    network.map = Flat()
    ws = network.map(torch.randn(200, 8, generator=torch.Generator().manual_seed(1)), None)

    def styles(codes: Tensor) -> Tensor:
        return torch.cat(network.styles(codes[:, None].repeat(1, network.num_ws, 1)), 1)

    before, steep = styles(ws), (styles(ws + 1.0 * (torch.arange(24) < 4)) - styles(ws)).abs().mean()
    carry_styles(network, network.map, seed=2, ridge=3e-3)
    assert float((styles(ws) - before).abs().mean()) < 0.02 * float(before.std(0).mean())
    assert float((styles(ws + 1.0 * (torch.arange(24) < 4)) - styles(ws)).abs().mean()) < 0.1 * float(steep)


def test_faces_tell_hues_as_points_of_a_circle() -> None:
    faces = ProcFaces(count=64)
    z = faces.latents(range(64))
    traits, values = faces.traits_of(z), dict(zip(faces.parameter_names, faces.parameters_of(z).T))
    assert traits.shape == (64, len(faces.parameter_names) + 4)
    assert float(traits[:, : len(faces.parameter_names)].abs().max()) <= 1
    angle = torch.atan2(traits[:, -1], traits[:, -3]) / (2 * torch.pi)
    torch.testing.assert_close(angle % 1, values["cloth_hue"], atol=1e-4, rtol=0)
    age = traits[:, faces.parameter_names.index("age")]
    torch.testing.assert_close(18 + (age + 1) * 31, values["age"], atol=1e-3, rtol=0)
