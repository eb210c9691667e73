"""Bounding boxes of masks against a loop over pixels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkygan.errors import ShapeError
from chunkygan.types import Window
from chunkygan.windows import windows_of


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.8]))
def test_windows_agree_with_a_loop_over_pixels(h: int, w: int, seed: int, threshold: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    masks = torch.rand(2, h, w, generator=rng) * (torch.rand(2, h, w, generator=rng) > 0.7)
    for mask, window in zip(masks, windows_of(masks, threshold)):
        places = [(y, x) for y in range(h) for x in range(w) if mask[y, x] > threshold]
        if not places:
            assert window is None
            continue
        rows, columns = [y for y, _ in places], [x for _, x in places]
        assert window == Window(min(rows), min(columns), max(rows) + 1, max(columns) + 1)


def test_the_window_of_a_full_mask_is_the_picture() -> None:
    assert windows_of(torch.ones(1, 4, 6)) == [Window(0, 0, 4, 6)]


def test_the_slightest_share_counts_at_threshold_zero() -> None:
    masks = torch.zeros(1, 5, 5)
    masks[0, 4, 0] = 1e-30
    assert windows_of(masks) == [Window(4, 0, 5, 1)]


def test_windows_of_masks_with_gradients() -> None:
    assert windows_of(torch.ones(1, 2, 2, requires_grad=True)) == [Window(0, 0, 2, 2)]


def test_masks_of_another_rank_are_refused() -> None:
    with pytest.raises(ShapeError, match="masks must have shape"):
        windows_of(torch.ones(4, 4))
