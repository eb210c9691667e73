"""Bounding boxes of masks against a loop over pixels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkygan.errors import ShapeError
from chunkygan.types import Window
from chunkygan.windows import Cover, cover_of, windows_of


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


def area(window: Window) -> float:
    """Of a picture of 64 x 64, plus a rim of 2 pixels and a price for each window."""
    return (window.size[0] + 4) * (window.size[1] + 4) + 20


def drawn(cover: Cover, chunk: int, size: int = 64) -> torch.Tensor:
    """How often each pixel of a chunk is drawn."""
    times = torch.zeros(size, size)
    for window, owner in zip(cover.windows, cover.owners):
        if owner == chunk:
            times[window.slices] += 1
    return times


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_a_cover_holds_every_used_pixel_once_and_costs_no_more_than_boxes(seed: int, blobs: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.zeros(64, 64)
    for _ in range(blobs):
        y, x, h, w = torch.randint(0, 40, (4,), generator=rng).tolist()
        mask[y : y + h // 2 + 1, x : x + w // 2 + 1] = 0.3
    cover = cover_of(mask[None], area)
    times = drawn(cover, 0)
    assert bool((times[mask > 0] == 1).all()) and float(times.max()) <= 1
    assert sum(map(area, cover.windows)) <= area(windows_of(mask[None])[0]) + 1e-9
    for window in cover.windows:  # none has an edge at which nothing is used
        assert windows_of(mask[window.slices][None]) == [Window(0, 0, *window.size)]


def test_a_ring_becomes_bars() -> None:
    ring = torch.ones(64, 64)
    ring[9:54, 9:54] = 0  # at multiples of the 3 pixels of a cell
    cover = cover_of(torch.stack([ring, 1 - ring]), area)
    assert cover.owners.count(0) == 4 and cover.owners.count(1) == 1
    assert bool((drawn(cover, 0) == ring).all())


def test_an_empty_mask_is_drawn_nowhere_and_a_full_one_whole() -> None:
    cover = cover_of(torch.stack([torch.zeros(64, 64), torch.ones(64, 64)]), area)
    assert cover == Cover((Window(0, 0, 64, 64),), (1,))
