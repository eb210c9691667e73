"""A domain's own perceptual network: what its file holds, and the distance made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from chunkygan.components.perceptual.domain_backbone import DomainBackbone, from_state, read_config
from chunkygan.components.perceptual.lpips import Lpips
from chunkygan.errors import ShapeError, WeightsError

WIDTHS = (4, 6, 8)


def backbone(seed: int = 0) -> DomainBackbone:
    """A small network with random values and heads."""
    rng = torch.Generator().manual_seed(seed)
    net = DomainBackbone(WIDTHS, shift=(0.1, 0.0, -0.1), scale=(0.5, 0.6, 0.7))
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng) * 0.3
    for head in net.heads:
        head.data = head.data.abs()
    return net


def pictures(n: int = 2, seed: int = 0, size: int = 16) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture
def file(tmp_path) -> Path:
    net = backbone()
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata=net.metadata("toy"))
    return tmp_path / "net.safetensors"


def test_one_tap_a_stage_each_half_the_size_of_the_one_before() -> None:
    shapes = [tuple(tap.shape) for tap in backbone().taps(pictures())]
    assert shapes == [(2, 4, 16, 16), (2, 6, 8, 8), (2, 8, 4, 4)]


def test_names_of_the_state_are_those_of_the_file_format() -> None:
    names = set(backbone().state_dict())
    convolutions = {f"stages.{k}.{i}.{part}" for k in range(3) for i in (0, 2) for part in ("weight", "bias")}
    assert names == convolutions | {"heads.0", "heads.1", "heads.2"}


def test_distance_follows_the_definition(file) -> None:
    net, x, y = backbone(), pictures(seed=1), pictures(seed=2)
    expected = torch.zeros(2)
    for a, b, head in zip(net.taps(x), net.taps(y), net.heads):
        unit_a, unit_b = (tap / (tap.square().sum(1, keepdim=True).sqrt() + 1e-10) for tap in (a, b))
        expected += ((unit_a - unit_b).square() * head.reshape(-1, 1, 1)).sum(1).mean((1, 2))
    perceptual = Lpips("toy", file)
    assert perceptual.name == "lpips_toy"
    assert torch.allclose(perceptual(x, y), expected, atol=1e-6)


def test_gradient_of_the_distance_is_right(file) -> None:
    perceptual = Lpips("toy", file).double()
    target = perceptual.features(pictures(1, seed=3, size=8).double())
    x = pictures(1, seed=4, size=8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda image: perceptual.distance(perceptual.features(image), target), (x,))


def test_gradient_is_finite_where_the_network_is_dead(file) -> None:
    perceptual = Lpips("toy", file)
    for parameter in perceptual.backbone.stages.parameters():
        parameter.data.zero_()
    x = pictures().requires_grad_()
    distance = perceptual(x, pictures(seed=2))
    distance.sum().backward()
    assert torch.equal(distance, torch.zeros(2))
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_half_precision_files_are_read_as_single(tmp_path) -> None:
    net = backbone().half()
    restored, name = from_state(net.metadata("toy"), net.state_dict())
    assert name == "toy"
    assert {parameter.dtype for parameter in restored.parameters()} == {torch.float32}


def test_settings_may_be_keys_of_their_own() -> None:
    direct = {key: json.dumps(value) for key, value in json.loads(backbone().metadata("toy")["config"]).items()}
    assert read_config(direct) == read_config(backbone().metadata("toy"))
    assert read_config({**direct, "net": "toy", "kind": "lpips_backbone"})["net"] == "toy"


def test_a_file_of_another_network_is_refused(file) -> None:
    with pytest.raises(WeightsError, match="net: toy"):
        Lpips("other", file)


def test_negative_heads_are_refused() -> None:
    net = backbone()
    net.heads[1].data[0] = -0.1
    with pytest.raises(WeightsError, match=">= 0"):
        from_state(net.metadata("toy"), net.state_dict())


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"config": "{"},
        {"config": "[1]"},
        {"config": '{"kind": "generator"}'},
        {"kind": "lpips_backbone", "net": "toy"},
    ],
)
def test_metadata_of_something_else_are_refused(metadata) -> None:
    with pytest.raises(WeightsError, match="metadata"):
        from_state(metadata, backbone().state_dict())


def test_tensors_that_do_not_fit_are_refused() -> None:
    state = backbone().state_dict()
    del state["heads.2"]
    with pytest.raises(WeightsError, match=r"heads\.2"):
        from_state(backbone().metadata("toy"), state)


def test_a_picture_smaller_than_the_last_tap_is_refused(file) -> None:
    with pytest.raises(ShapeError, match="at least 4 pixels"):
        Lpips("toy", file).features(torch.zeros(1, 3, 3, 8))
