"""What the distances of a generator's training hold against a picture, and what they let pass."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.lightning.generator_losses import (
    part_weights,
    pyramid_distance,
    shrink,
    texture_distance,
)

ONES = torch.ones(1, 1, 64, 64)


def stripes(shift: int) -> Tensor:
    """(1, 3, 64, 64): strands of six pixels, moved across by so many."""
    return torch.sin((torch.arange(64) + shift) * torch.pi / 3).expand(1, 3, 64, 64).contiguous()


def edge(at: int) -> Tensor:
    """(1, 3, 64, 64): dark left of a column and bright from there on."""
    return torch.where(torch.arange(64) < at, -0.5, 0.5).expand(1, 3, 64, 64).contiguous()


def blurred(image: Tensor, size: int = 7) -> Tensor:
    return F.avg_pool2d(F.pad(image, (size // 2,) * 4, mode="replicate"), size, 1)


def test_the_surroundings_of_a_heavy_class_weigh_as_it_does():
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, 4, 4] = 1
    weights = part_weights(labels, torch.tensor([1.0, 5.0]), reach=3)
    assert float(weights.mean()) == pytest.approx(1)
    assert float(weights[0, 0, 3, 5] / weights[0, 0, 0, 0]) == pytest.approx(5)


def test_pyramid_distance_of_a_constant_offset_is_that_offset():
    a = torch.zeros(1, 3, 16, 16)
    assert float(pyramid_distance(a + 0.25, a, torch.ones(1, 1, 16, 16))) == pytest.approx(0.25)


def test_shrink_averages():
    assert shrink(torch.arange(16.0).reshape(1, 1, 4, 4), 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_texture_misses_no_difference_that_is_none():
    assert float(texture_distance(stripes(0), stripes(0), ONES)) == 0


@pytest.mark.parametrize("pictures", [stripes, edge])
def test_texture_forgives_what_is_misplaced_and_not_what_is_blurred(pictures):
    """The difference of pixels is the other way round: to it a blur is better than the right thing in a wrong place."""
    wanted, moved = pictures(32), pictures(35)
    soft = blurred(wanted)
    assert float(texture_distance(moved, wanted, ONES)) < 0.8 * float(texture_distance(soft, wanted, ONES))
    assert float(pyramid_distance(moved, wanted, ONES)) > 1.5 * float(pyramid_distance(soft, wanted, ONES))


def test_texture_tells_directions_apart():
    across = stripes(0)
    assert float(texture_distance(across.mT, across, ONES)) > float(texture_distance(blurred(across), across, ONES)) / 2


def test_texture_counts_places_by_their_weight():
    half = torch.where(torch.arange(64) < 24, 2.0, 0.0).expand(1, 1, 64, 64)
    wanted = stripes(0)
    left, right = wanted.clone(), wanted.clone()
    left[..., :16], right[..., -8:] = 0, 0
    assert float(texture_distance(right, wanted, half)) < 1e-6
    assert float(texture_distance(left, wanted, half)) > float(texture_distance(left, wanted, ONES))


@pytest.mark.parametrize("size", [4, 8, 16])
def test_small_pictures_have_texture_as_far_as_there_are_pixels(size):
    wanted = stripes(0)[..., :size, :size]
    assert float(texture_distance(torch.zeros_like(wanted), wanted, ONES[..., :size, :size])) > 0.1


def test_the_slope_of_texture_is_finite_where_nothing_varies():
    flat = torch.zeros(1, 3, 64, 64, requires_grad=True)
    texture_distance(flat, stripes(0), ONES).backward()
    assert bool(flat.grad.isfinite().all())
