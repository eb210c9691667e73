"""Drawing chunks at a smaller size: the generator's partial sum, window by window."""

import pytest
import torch

from chunkygan.compositing import blend
from chunkygan.drawing import composite_of, cover_of_segments
from chunkygan.lightning.views import reduced
from chunkygan.spaces import batched_styles, latent_spaces
from chunkygan.types import Segments


@pytest.fixture
def styles(tiny):
    return tiny.styles(tiny.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(5))))


@pytest.mark.parametrize("size", [8, 16, 32])
@pytest.mark.parametrize("frugal", [False, True])
def test_a_small_composite_is_the_blend_of_partial_sums(tiny, halves, styles, size, frugal):
    segments = Segments(reduced(halves()[0], size), halves.names)
    found = composite_of(tiny, styles, segments, torch.zeros(1, 3, size, size), frugal=frugal, size=size)
    expected = blend(tiny.synthesis(styles, size=size), segments.masks)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_a_small_cover_costs_less(tiny, halves):
    segments = Segments(reduced(halves()[0], 16), halves.names)
    cover = cover_of_segments(tiny, segments, 16)
    assert all(window.bottom <= 16 and window.right <= 16 for window in cover.windows)
    whole = cover_of_segments(tiny, Segments(halves()[0], halves.names))
    cost = [
        sum(tiny.window_cost(window, size) for window in c.windows) for c, size in ((cover, 16), (whole, None))
    ]
    assert cost[0] < cost[1]


@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 3, 64, 32)])
def test_reducing_averages(shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    factor = shape[-2] // 16
    by_hand = images.unflatten(-1, (-1, factor)).mean(-1).unflatten(-2, (-1, factor)).mean(-2)
    torch.testing.assert_close(reduced(images, 16), by_hand)
    assert reduced(images, max(shape[-2:])) is images and reduced(images, None) is images


@pytest.mark.parametrize("names", [["w_plus"] * 3, ["w", "s", "w"], ["s", "w_plus", "w"]])
def test_codes_decoded_together_are_those_decoded_one_by_one(tiny, names):
    spaces = latent_spaces([{"name": name} for name in names], tiny)
    rng = torch.Generator().manual_seed(2)
    codes = [space.sample(1, rng=rng)[0] for space in spaces]
    alone = [torch.cat(layer) for layer in zip(*(s.to_styles(c[None]) for s, c in zip(spaces, codes)))]
    for found, expected in zip(batched_styles(spaces, codes), alone):
        torch.testing.assert_close(found, expected)
