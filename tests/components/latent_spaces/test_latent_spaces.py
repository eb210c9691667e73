"""W, W+ and S: how they nest, and the way back from styles."""

import pytest
import torch

from chunkygan.components.latent_spaces.s import S
from chunkygan.components.latent_spaces.w import W
from chunkygan.components.latent_spaces.w_plus import WPlus

SPACES = [W, WPlus, S]


def codes(space, n=3):
    return space.sample(n, rng=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("kind", SPACES)
def test_the_mean_code_draws_the_mean_picture(tiny, kind):
    space = kind(tiny)
    mean = tiny.styles(tiny.w_avg.expand(1, tiny.num_ws, -1))
    for got, expected in zip(space.to_styles(space.mean()[None]), mean):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("kind", SPACES)
def test_samples_draw_what_the_mapping_network_means(tiny, kind):
    z = torch.randn(3, 16, generator=torch.Generator().manual_seed(7))
    for got, expected in zip(kind(tiny).to_styles(codes(kind(tiny))), tiny.styles(tiny.mapping(z))):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("kind", SPACES)
def test_from_styles_undoes_to_styles_up_to_what_no_layer_reads(tiny, kind):
    space = kind(tiny)
    styles = space.to_styles(codes(space))
    again = space.to_styles(space.from_styles(styles))
    for got, expected in zip(again, styles):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_from_styles_of_w_is_the_least_squares_solution(tiny):
    space = W(tiny)
    styles = S(tiny).to_styles(S(tiny).mean() + torch.randn(1, *S(tiny).code_shape) * 0.3)
    best = space.from_styles(styles)

    def miss(code):
        return sum((a - b).square().sum() for a, b in zip(space.to_styles(code), styles))

    for _ in range(20):
        assert miss(best) <= miss(best + 0.01 * torch.randn_like(best)) + 1e-5


@pytest.mark.parametrize("kind", SPACES)
def test_a_direction_of_w_moves_every_space_alike(tiny, kind):
    space, step = kind(tiny), torch.randn(16)
    start = W(tiny).sample(1, rng=torch.Generator().manual_seed(3))
    expected = tiny.styles((start + 0.5 * step)[:, None].expand(-1, tiny.num_ws, -1))
    code = space.from_styles(W(tiny).to_styles(start))
    moved = space.move(code, space.direction(step), 0.5)
    for got, wanted in zip(space.to_styles(moved), expected):
        torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", SPACES)
def test_scale_is_the_spread_of_samples(tiny, kind):
    space = kind(tiny)
    measured = codes(space, 3000).std(0)
    torch.testing.assert_close(space.scale().expand(space.code_shape), measured, rtol=0.15, atol=1e-3)


def test_code_shapes_follow_the_generator(tiny):
    assert W(tiny).code_shape == (16,)
    assert WPlus(tiny).code_shape == (8, 16)
    assert S(tiny).code_shape == (24 + 24 + 24 * 3 + 24 + 16 + 16 + 16 + 8 + 8,)
