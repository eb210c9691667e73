"""Eq. 1 and Eq. 3 against cases worked by hand, loops, and numerical gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkygan.compositing import blend, blend_windows, effective_masks, keep_static
from chunkygan.errors import ShapeError
from chunkygan.types import Window
from chunkygan.windows import windows_of

sizes = st.integers(1, 7)


def random_masks(n: int, h: int, w: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, h, w, generator=rng, dtype=torch.float64).add(0.01).softmax(0)


def random_images(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def two_islands(h: int = 9, w: int = 11) -> tuple[torch.Tensor, list[Window | None]]:
    """Three masks that sum to 1: two small ones and what is left."""
    masks = torch.zeros(3, h, w, dtype=torch.float64)
    masks[0, 1:4, 2:5] = 0.75
    masks[1, 3:8, 4:10] = 0.25
    masks[2] = 1 - masks[:2].sum(0)
    return masks, windows_of(masks)


@settings(max_examples=30, deadline=None)
@given(n=sizes, h=sizes, w=sizes, seed=st.integers(0, 1000))
def test_blend_of_equal_images_is_that_image(n: int, h: int, w: int, seed: int) -> None:
    image = random_images(3, h, w, seed=seed)
    out = blend(image.expand(n, 3, h, w), random_masks(n, h, w, seed))
    torch.testing.assert_close(out, image.unsqueeze(0))


@settings(max_examples=30, deadline=None)
@given(n=sizes, h=sizes, w=sizes, seed=st.integers(0, 1000))
def test_blend_lies_between_the_images(n: int, h: int, w: int, seed: int) -> None:
    images = random_images(n, 3, h, w, seed=seed)
    out = blend(images, random_masks(n, h, w, seed))[0]
    assert bool((out <= images.amax(0) + 1e-12).all() and (out >= images.amin(0) - 1e-12).all())


def test_blend_agrees_with_a_loop_over_chunks_and_pixels() -> None:
    images, masks = random_images(3, 3, 4, 5), random_masks(3, 4, 5)
    expected = torch.zeros(1, 3, 4, 5, dtype=torch.float64)
    for i in range(3):
        for y in range(4):
            for x in range(5):
                expected[0, :, y, x] += masks[i, y, x] * images[i, :, y, x]
    torch.testing.assert_close(blend(images, masks), expected)


def test_blend_with_hard_masks_copies_pixels_bit_for_bit() -> None:
    images = random_images(2, 3, 6, 6)
    masks = torch.zeros(2, 6, 6, dtype=torch.float64)
    masks[0, :, :3] = 1
    masks[1, :, 3:] = 1
    out = blend(images, masks)[0]
    assert torch.equal(out[:, :, :3], images[0, :, :, :3])
    assert torch.equal(out[:, :, 3:], images[1, :, :, 3:])


def test_blend_of_one_chunk_is_its_image_bit_for_bit() -> None:
    image = random_images(1, 3, 5, 5)
    assert torch.equal(blend(image, torch.ones(1, 5, 5, dtype=torch.float64)), image)


@pytest.mark.parametrize("shared", [True, False])
def test_blend_of_a_batch_is_the_batch_of_blends(shared: bool) -> None:
    images = random_images(2, 3, 3, 4, 5)
    masks = torch.stack([random_masks(3, 4, 5, seed) for seed in (1, 2)])
    if shared:
        masks = masks[:1]
    expected = torch.cat([blend(images[i], masks[0 if shared else i]) for i in range(2)])
    torch.testing.assert_close(blend(images, masks[0] if shared else masks), expected)


@pytest.mark.parametrize(
    ("images", "masks"),
    [((3, 3, 4, 4), (2, 4, 4)), ((3, 3, 4, 4), (3, 4, 5)), ((3, 1, 4, 4), (3, 4, 4)), ((2, 3, 3, 4, 4), (5, 3, 4, 4))],
)
def test_blend_refuses_shapes_that_do_not_agree(images: tuple[int, ...], masks: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"masks|images"):
        blend(torch.zeros(images), torch.zeros(masks))


def test_blend_gradients() -> None:
    images, masks = random_images(2, 3, 3, 2).requires_grad_(), random_masks(2, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(blend, (images, masks))


def test_blend_windows_equals_the_full_blend() -> None:
    masks, windows = two_islands()
    images = random_images(3, 3, 9, 11)
    crops = [image[(..., *window.slices)].unsqueeze(0) for image, window in zip(images, windows) if window]
    torch.testing.assert_close(blend_windows(crops, masks, windows), blend(images, masks), rtol=0, atol=1e-15)


def test_blend_windows_leaves_out_chunks_without_a_window() -> None:
    masks, windows = two_islands()
    masks = torch.cat([masks, torch.zeros_like(masks[:1])])
    images = random_images(3, 3, 9, 11)
    crops: list[torch.Tensor | None] = [image[(..., *w.slices)] for image, w in zip(images, windows) if w]
    out = blend_windows([*crops, None], masks, [*windows, None])
    torch.testing.assert_close(out, blend(images, masks[:3]))


def test_blend_windows_without_any_window_is_zero() -> None:
    out = blend_windows([None], torch.zeros(1, 4, 5), [None])
    assert out.shape == (1, 3, 4, 5) and not out.any()


def test_blend_windows_gradients() -> None:
    masks, windows = two_islands(5, 6)
    crops = [random_images(1, 3, *w.size).requires_grad_() for w in windows if w]
    masks.requires_grad_()
    assert torch.autograd.gradcheck(lambda m, *c: blend_windows(c, m, windows), (masks, *crops), fast_mode=True)


def test_blend_windows_gradients_of_overlapping_crops_of_either_shape_and_their_own_gradients() -> None:
    masks, windows = random_masks(2, 5, 6).requires_grad_(), [Window(0, 1, 4, 5), Window(2, 0, 5, 6)]
    crops = [random_images(1, 3, 4, 4).requires_grad_(), random_images(3, 3, 6).requires_grad_()]

    def squared(m: torch.Tensor, *c: torch.Tensor) -> torch.Tensor:
        return blend_windows(c, m, windows).square()

    assert torch.autograd.gradcheck(squared, (masks, *crops), fast_mode=True)
    assert torch.autograd.gradgradcheck(squared, (masks, *crops), fast_mode=True)


def test_blend_windows_gives_each_crop_its_mask_times_the_gradient() -> None:
    masks, windows = two_islands()
    crops = [torch.zeros(1, 3, *w.size, dtype=torch.float64, requires_grad=True) for w in windows if w]
    weight = random_images(1, 3, 9, 11)
    (blend_windows(crops, masks, windows) * weight).sum().backward()
    for crop, mask, window in zip(crops, masks, windows):
        assert window is not None and crop.grad is not None
        torch.testing.assert_close(crop.grad, (mask * weight)[(..., *window.slices)])


def test_blend_windows_refuses_a_crop_of_another_size() -> None:
    masks, windows = two_islands()
    crops = [torch.zeros(1, 3, 2, 2, dtype=torch.float64)] * 3
    with pytest.raises(ShapeError, match=r"crops\[0\] must have shape \(1, 3, 3, 3\); got \(1, 3, 2, 2\)"):
        blend_windows(crops, masks, windows)


def test_blend_windows_refuses_another_number_of_crops() -> None:
    masks, windows = two_islands()
    with pytest.raises(ShapeError, match="got 1 crops, 3 masks, 3 windows"):
        blend_windows([None], masks, windows)


def test_keep_static_keeps_the_image_bit_for_bit_where_static_is_one() -> None:
    composite, image = random_images(1, 3, 4, 4, seed=2), random_images(1, 3, 4, 4, seed=3)
    static = torch.zeros(4, 4, dtype=torch.float64)
    static[:2] = 1
    out = keep_static(composite, image, static)
    assert torch.equal(out[:, :, :2], image[:, :, :2])
    assert torch.equal(out[:, :, 2:], composite[:, :, 2:])


def test_keep_static_by_hand() -> None:
    out = keep_static(torch.full((1, 3, 1, 1), -1.0), torch.full((1, 3, 1, 1), 1.0), torch.full((1, 1), 0.25))
    assert out.flatten().tolist() == [-0.5, -0.5, -0.5]


def test_keep_static_without_static_is_the_composite() -> None:
    composite = random_images(1, 3, 4, 4)
    assert keep_static(composite, composite, None) is composite


def test_keep_static_refuses_another_size() -> None:
    x = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ShapeError, match="static"):
        keep_static(x, x, torch.zeros(4, 5))
    with pytest.raises(ShapeError, match="image"):
        keep_static(x, torch.zeros(1, 3, 5, 4), torch.zeros(4, 4))


def test_effective_masks_and_static_sum_to_one() -> None:
    masks, static = random_masks(3, 4, 5), random_masks(2, 4, 5)[0]
    torch.testing.assert_close(effective_masks(masks, static).sum(0) + static, torch.ones_like(static))


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5)])
def test_eq_3_is_eq_1_with_effective_masks_plus_the_static_image(shape: tuple[int, ...]) -> None:
    masks, images, image = random_masks(3, 4, 5), random_images(3, 3, 4, 5), random_images(1, 3, 4, 5, seed=9)
    static = random_masks(2, 4, 5)[0].reshape(shape)
    direct = keep_static(blend(images, masks), image, static)
    torch.testing.assert_close(blend(images, effective_masks(masks, static)) + static * image, direct)


def test_effective_masks_of_a_batch() -> None:
    masks = torch.stack([random_masks(3, 4, 5, s) for s in (1, 2)])
    static = random_masks(2, 4, 5)
    out = effective_masks(masks, static)
    torch.testing.assert_close(out[1], effective_masks(masks[1], static[1]))


def test_effective_masks_refuses_another_size() -> None:
    with pytest.raises(ShapeError, match="static"):
        effective_masks(torch.zeros(2, 4, 4), torch.zeros(5, 4))


def test_half_precision_crops_are_added_up_in_the_masks_precision() -> None:
    masks, windows = two_islands()
    crops = [torch.rand(1, 3, *w.size).half() for w in windows if w]
    out = blend_windows(crops, masks.float(), windows)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, blend_windows([c.float() for c in crops], masks.float(), windows))
