"""Masks as tensors: always a partition of the picture, whatever was put in."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from chunkygan.errors import ShapeError
from chunkygan.masks import check_masks, feather, normalise, resize_masks, with_rest


def raw(n: int, h: int, w: int, seed: int) -> torch.Tensor:
    """Values in [0, 1], many of them 0, with sums below and above 1."""
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, h, w, generator=rng) * (torch.rand(n, h, w, generator=rng) > 0.6)


raw_masks = st.builds(raw, st.integers(1, 5), st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))


@settings(max_examples=40, deadline=None)
@given(raw_masks)
def test_normalised_masks_are_a_partition(masks: torch.Tensor) -> None:
    check_masks(normalise(masks), tolerance=1e-5)


@settings(max_examples=40, deadline=None)
@given(raw_masks, st.sampled_from([0.0, 0.01]))
def test_masks_with_their_rest_are_a_partition(masks: torch.Tensor, tolerance: float) -> None:
    out = with_rest(masks, tolerance=tolerance)
    assert len(out) == len(masks) + 1
    check_masks(out, tolerance=1e-5)


@settings(max_examples=20, deadline=None)
@given(raw_masks, st.floats(0, 9))
def test_feathered_masks_are_a_partition(masks: torch.Tensor, pixels: float) -> None:
    check_masks(feather(normalise(masks), pixels), tolerance=1e-5)


@settings(max_examples=20, deadline=None)
@given(raw_masks, st.integers(1, 20), st.integers(1, 20))
def test_resized_masks_are_a_partition(masks: torch.Tensor, h: int, w: int) -> None:
    out = resize_masks(normalise(masks), (h, w))
    assert out.shape == (len(masks), h, w)
    check_masks(out, tolerance=1e-5)


def test_resize_to_the_same_size_changes_nothing() -> None:
    masks = raw(2, 4, 5, 0)
    assert resize_masks(masks, (4, 5)) is masks


def test_shrinking_averages_instead_of_dropping_pixels() -> None:
    masks = torch.zeros(1, 8, 8)
    masks[0, :, ::2] = 1
    assert resize_masks(masks, (2, 2)).mean() == pytest.approx(0.5, abs=0.02)


def test_feather_agrees_with_scipy() -> None:
    masks = normalise(raw(3, 20, 17, 3)).double()
    out = feather(masks, 4.0)
    for mask, expected in zip(out, masks):
        blurred = gaussian_filter(expected.numpy(), sigma=2.0, radius=6, mode="nearest")
        torch.testing.assert_close(mask, torch.from_numpy(blurred), rtol=0, atol=1e-6)


def test_feather_reaches_three_standard_deviations_and_no_further() -> None:
    masks = torch.zeros(2, 1, 40)
    masks[0, :, :20] = 1
    masks[1, :, 20:] = 1
    out = feather(masks, 4.0)  # sigma 2, radius 6
    assert torch.equal(out[0, 0, :14], torch.ones(14)) and not out[0, 0, 26:].any()
    assert 0 < out[0, 0, 25] < out[0, 0, 20] < 0.5


@pytest.mark.parametrize("pixels", [0, 6e-229, 0.1])
def test_feather_of_hardly_a_pixel_changes_nothing(pixels: float) -> None:
    masks = raw(2, 4, 5, 0)
    assert feather(masks, pixels) is masks


@pytest.mark.parametrize("pixels", [-1.0, math.nan, math.inf, 1e30])
def test_feather_refuses_what_is_no_width(pixels: float) -> None:
    with pytest.raises(ShapeError, match="feather"):
        feather(torch.ones(1, 4, 4), pixels)


def test_overlap_is_shared_in_proportion() -> None:
    out = with_rest(torch.tensor([[[0.9]], [[0.6]]]))
    torch.testing.assert_close(out.flatten(), torch.tensor([0.6, 0.4, 0.0]))


def test_a_small_left_over_counts_as_rounding() -> None:
    out = with_rest(torch.tensor([[[0.498]], [[0.5]]]), tolerance=0.004)
    assert float(out[2]) == 0 and float(out.sum()) == pytest.approx(1)


def test_where_nothing_is_the_first_chunk_gets_all() -> None:
    out = normalise(torch.tensor([[[0.0, 0.2]], [[0.0, 0.6]]]))
    torch.testing.assert_close(out, torch.tensor([[[1.0, 0.25]], [[0.0, 0.75]]]))


def test_the_largest_deviation_and_its_place_are_told() -> None:
    masks = torch.full((2, 20, 50), 0.5)
    masks[0, 12, 40] = 0.81
    masks[0, 3, 3] = 0.6
    with pytest.raises(ShapeError, match=r"masks must sum to 1 at every pixel; largest deviation 0\.31 at \(12, 40\)"):
        check_masks(masks)


@pytest.mark.parametrize(("value", "said"), [(math.nan, "nan"), (-0.5, r"-0\.5"), (1.5, r"1\.5"), (math.inf, "inf")])
def test_a_value_outside_zero_to_one_is_told_with_chunk_and_place(value: float, said: str) -> None:
    masks = torch.full((1, 2, 6, 7), 0.5)
    masks[0, 1, 4, 5] = value
    with pytest.raises(ShapeError, match=rf"chunk 'eyes' has {said} at \(4, 5\)"):
        check_masks(masks, names=("skin", "eyes"))


def test_masks_without_a_pixel_are_refused() -> None:
    with pytest.raises(ShapeError, match="no 0"):
        check_masks(torch.zeros(0, 4, 4))
