"""A domain's attribute network: its file, its units, its mistakes."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from chunkygan.components.classifiers.domain import KIND, DomainClassifier
from chunkygan.components.classifiers.residual_trunk import resized
from chunkygan.errors import ComponentError, ShapeError, WeightsError
from chunkygan.network_file import write_network

CONFIG = {"names": ["age", "smile"], "size": 32, "widths": [4, 8]}


def test_a_file_gives_back_the_network(tmp_path):
    made = DomainClassifier(config=CONFIG)
    made.network.mean.copy_(torch.tensor([40.0, 0.5]))
    path = write_network(tmp_path / "a.safetensors", KIND, CONFIG, made.network)
    read = DomainClassifier(path)
    images = torch.rand(2, 3, 48, 48)
    assert read.names == ("age", "smile")
    torch.testing.assert_close(read(images), made(images), atol=2e-2, rtol=1e-2)


def test_attributes_are_in_their_units():
    made = DomainClassifier(config=CONFIG)
    images = torch.rand(1, 3, 32, 32)
    plain = made(images)
    made.network.mean.copy_(torch.tensor([40.0, 0.5]))
    made.network.spread.copy_(torch.tensor([10.0, 0.1]))
    torch.testing.assert_close(made(images), plain * torch.tensor([10.0, 0.1]) + torch.tensor([40.0, 0.5]))


@pytest.mark.parametrize("side", [16, 32, 100])
def test_pictures_of_any_size_are_looked_at_at_one(side):
    assert resized(torch.ones(1, 3, side, side), 32).shape == (1, 3, 32, 32)


def test_weights_and_config_exclude_each_other():
    with pytest.raises(ComponentError, match="one of weights and config"):
        DomainClassifier()
    with pytest.raises(ComponentError, match="one of weights and config"):
        DomainClassifier("a.safetensors", CONFIG)


def test_another_network_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="must hold the weights of attribute_network"):
        DomainClassifier(tmp_path / "other.safetensors")


def test_tensors_that_do_not_fit_are_refused(tmp_path):
    made = DomainClassifier(config=CONFIG)
    path = write_network(tmp_path / "a.safetensors", KIND, {**CONFIG, "widths": [4, 16]}, made.network)
    with pytest.raises(WeightsError, match="do not fit"):
        DomainClassifier(path)


def test_pictures_must_have_three_channels():
    with pytest.raises(ShapeError, match="images"):
        DomainClassifier(config=CONFIG)(torch.zeros(1, 1, 32, 32))
