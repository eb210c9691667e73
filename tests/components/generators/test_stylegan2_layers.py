"""Cutting, scaling and padding in one pass against one after the other, and rectangles that need no further cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from chunkygan.components.generators.stylegan2 import StyleGAN2
from chunkygan.components.generators.stylegan2_layers import Area, placed
from chunkygan.components.generators.stylegan2_regions import plan, upsampling_input
from chunkygan.types import Window


def random(*shape: int, seed: int) -> torch.Tensor:
    value = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return value.contiguous(memory_format=torch.channels_last)


def one_after_the_other(x: torch.Tensor, scale: torch.Tensor, have: Area, wanted: Area) -> torch.Tensor:
    """Negative padding cuts."""
    (top, bottom), (left, right) = ((h[0] - w[0], w[1] - h[1]) for h, w in zip(have, wanted))
    return F.pad(x * scale, (left, right, top, bottom))


AREAS = {
    "the same": ((0, 5), (2, 6)),
    "cut": ((1, 4), (3, 6)),
    "padded": ((-1, 6), (1, 7)),
    "cut at one end, padded at the other": ((-2, 3), (3, 8)),
    "padded along one axis only": ((-1, 6), (2, 6)),
}


@pytest.mark.parametrize("wanted", AREAS.values(), ids=AREAS.keys())
def test_placed_is_scaling_cutting_and_padding_with_first_and_second_derivatives(wanted: Area) -> None:
    have = (0, 5), (2, 6)
    x, scale = random(2, 3, 5, 4, seed=0).requires_grad_(), random(2, 3, 1, 1, seed=1).requires_grad_()
    torch.testing.assert_close(
        placed(x, scale, have, wanted), one_after_the_other(x, scale, have, wanted), atol=0, rtol=0
    )
    assert torch.autograd.gradcheck(lambda *of: placed(*of, have, wanted), (x, scale))
    assert torch.autograd.gradgradcheck(lambda *of: placed(*of, have, wanted), (x, scale))
    with torch.no_grad():
        assert torch.equal(placed(x, scale, have, wanted), one_after_the_other(x, scale, have, wanted))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 63), st.integers(1, 64))
def test_upsampling_gives_what_the_convolution_after_it_reads_and_at_most_a_pixel_more(first: int, n: int) -> None:
    for regions in plan((4, 8, 16, 32, 64), (first, min(first + n, 64)))[1:]:
        needed = max(regions.features[0] - 1, 0), min(regions.features[1] + 1, regions.length)
        assert 0 <= needed[0] - regions.middle[0] <= 1 and 0 <= regions.middle[1] - needed[1] <= 1
        assert regions.middle[0] % 2 == regions.middle[1] % 2 == 0
        low, high = upsampling_input(regions.middle)
        assert regions.inputs == (max(low, 0), min(high, regions.length // 2))


class Copied(TorchDispatchMode):
    """Counts the numbers of feature maps that are padded, or whose gradients are put back where they were cut from."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        copying = torch.ops.aten.slice_backward, torch.ops.aten.constant_pad_nd
        if func.overloadpacket in copying and found.ndim == 4 and found.shape[1] > 3:
            self.numbers += found.numel()
        return found


@pytest.mark.parametrize("window", [Window(0, 0, 17, 32), Window(8, 9, 21, 20), Window(15, 11, 32, 32)])
def test_features_of_a_window_are_copied_neither_there_nor_back(tiny: StyleGAN2, window: Window) -> None:
    ws = tiny.mapping(torch.randn(1, tiny.z_dim, generator=torch.Generator().manual_seed(0)))
    with Copied() as copied:
        tiny.synthesis(tiny.styles(ws.requires_grad_()), window=window).sum().backward()
    assert copied.numbers == 0
