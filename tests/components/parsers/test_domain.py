"""A domain's parser: its file, its sizes, its mistakes."""

from __future__ import annotations

import pytest
import torch

from chunkygan.components.parsers.domain import KIND, DomainParser
from chunkygan.errors import ComponentError, ShapeError
from chunkygan.network_file import write_network

CONFIG = {"classes": ["background", "face", "hair"], "widths": [4, 8, 8]}


def test_a_file_gives_back_the_network(tmp_path):
    made = DomainParser(config=CONFIG)
    read = DomainParser(write_network(tmp_path / "p.safetensors", KIND, CONFIG, made.network))
    images = torch.rand(2, 3, 32, 48)
    assert read.classes == ("background", "face", "hair")
    torch.testing.assert_close(read(images), made(images), atol=2e-2, rtol=1e-2)


def test_logits_have_the_pictures_size():
    made = DomainParser(config=CONFIG)
    assert made(torch.zeros(1, 3, 16, 64)).shape == (1, 3, 16, 64)
    assert made.labels(torch.zeros(1, 3, 16, 64)).shape == (1, 16, 64)


def test_sides_must_be_multiples_of_what_the_network_halves():
    with pytest.raises(ShapeError, match="multiples of 8"):
        DomainParser(config=CONFIG)(torch.zeros(1, 3, 36, 32))


def test_weights_or_config_must_be_named():
    with pytest.raises(ComponentError, match="one of weights and config"):
        DomainParser()
