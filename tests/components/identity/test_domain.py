"""A domain's identity network: its file, its name, its mistakes."""

from __future__ import annotations

import pytest
import torch

from chunkygan.components.identity.domain import KIND, DomainIdentity
from chunkygan.errors import ComponentError, WeightsError
from chunkygan.network_file import write_network

CONFIG = {"dimensions": 8, "size": 32, "widths": [4, 8]}


def test_a_file_gives_back_the_network_under_its_name(tmp_path):
    made = DomainIdentity("toys", config=CONFIG)
    path = write_network(tmp_path / "i.safetensors", KIND, {"net": "toys", **CONFIG}, made.network)
    read = DomainIdentity("toys", path)
    images = torch.rand(2, 3, 40, 40)
    assert read.name == "identity_toys"
    torch.testing.assert_close(read.embed(images), made.embed(images), atol=1e-2, rtol=0)


def test_a_network_of_another_name_is_refused(tmp_path):
    made = DomainIdentity("toys", config=CONFIG)
    path = write_network(tmp_path / "i.safetensors", KIND, {"net": "toys", **CONFIG}, made.network)
    with pytest.raises(WeightsError, match="identity_toys; identity_cats was asked for"):
        DomainIdentity("cats", path)


def test_weights_or_config_must_be_named():
    with pytest.raises(ComponentError, match="one of weights and config"):
        DomainIdentity("toys")
