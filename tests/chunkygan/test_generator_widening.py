"""Generators with more channels than they were trained with: the same pictures, and room to learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chunkygan.build import create
from chunkygan.errors import ShapeError
from chunkygan.interfaces import Generator
from chunkygan.lightning.generator_training import first_generator
from chunkygan.lightning.generator_widening import widened

WIDE = [12, 8, 8]


def generator() -> Any:
    torch.manual_seed(0)
    options = {"resolution": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channels": [8, 8, 4]}
    made = create("generator", {"name": "stylegan2", **options})
    with torch.no_grad():
        for value in made.parameters():
            value.add_(0.3 * torch.randn_like(value))  # so that biases and strengths of noise are some
    return made


def drawn(network: Generator) -> torch.Tensor:
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    return network.synthesis(network.styles(network.mapping(z)), noise="const")


def test_a_wider_generator_draws_the_same() -> None:
    narrow = generator()
    wide = widened(narrow, WIDE)
    assert wide.config["channels"] == WIDE and wide.num_ws == narrow.num_ws
    torch.testing.assert_close(drawn(wide), drawn(narrow), atol=1e-5, rtol=0)


def test_new_channels_learn() -> None:
    """The weights that read them have a gradient from the first step, and make a difference after it."""
    wide = widened(generator(), WIDE).requires_grad_(True)
    before = drawn(wide)
    before.square().mean().backward()
    read = wide.synthesis_network.b8.conv0.weight  # (8, 12, 3, 3): of 12 channels, 4 are new
    assert not read[:, 8:].any() and float(read.grad[:, 8:].abs().min(dim=0).values.max()) > 0
    with torch.no_grad():
        for value in wide.parameters():
            if value.grad is not None:
                value -= 0.1 * value.grad
    wide.zero_grad()
    drawn(wide).square().mean().backward()
    filters = wide.synthesis_network.b4.conv1.weight  # now the new filters themselves
    assert float(filters.grad[8:].abs().max()) > 0


def test_the_one_it_came_from_is_left_as_it_is() -> None:
    narrow = generator()
    before = {name: value.clone() for name, value in narrow.state_dict().items()}
    with torch.no_grad():
        for value in widened(narrow, WIDE).parameters():
            value.zero_()
    assert all(torch.equal(value, before[name]) for name, value in narrow.state_dict().items())


@pytest.mark.parametrize("channels", [[8, 8], [8, 8, 2], [8, 8, 4, 4]])
def test_other_sizes_and_fewer_channels_are_refused(channels: list[int]) -> None:
    with pytest.raises(ShapeError, match="as many numbers as"):
        widened(generator(), channels)


def test_training_goes_on_from_a_start_with_more_channels() -> None:
    start = "procfaces_128_generator"
    same = first_generator(start, {})
    channels = [width + 2 for width in same.config["channels"]]
    wide = first_generator(start, {"channels": channels, "w_dim": 64})
    assert wide.config["channels"] == channels and wide.training and wide.w_dim == same.w_dim
    assert all(value.requires_grad for value in wide.parameters())
