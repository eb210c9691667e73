"""Masks refined by what chunks draw: nearer to the picture, never farther, smooth, and no chunk vanishes."""

import pytest
import torch

from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.compositing import blend
from chunkygan.editing.mask_refining import _slope, refine_masks, refined_masks
from chunkygan.errors import ShapeError
from chunkygan.masks import check_masks, feather
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments


def halves(edge, size=32):
    masks = torch.zeros(2, size, size)
    masks[0, :, :edge], masks[1, :, edge:] = 1, 1
    return masks


@pytest.fixture
def images():
    """Two pictures that differ everywhere."""
    dark = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 - 0.8
    return torch.stack([dark, -dark])


def distance(images, target, masks):
    return float((blend(images, masks) - target).square().mean())


def test_a_soft_border_that_lies_wrong_moves_to_where_the_pictures_meet(images):
    truth, start = halves(18), feather(halves(15), 8.0)
    target = blend(images, truth)
    made = refined_masks(images, target, start, steps=60)
    check_masks(made, tolerance=1e-5)
    assert distance(images, target, made) < 0.2 * distance(images, target, start)
    assert ((made.argmax(0) != truth.argmax(0)).sum() < 0.2 * (start.argmax(0) != truth.argmax(0)).sum()).item()


def test_the_slope_is_the_derivative_by_the_logarithms(images):
    target = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logs = torch.randn(2, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    shown = torch.rand(32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    masks = logs.softmax(0)
    error = (shown * (blend(images.double(), masks) - target)).square().sum() / 2 / 3
    (expected,) = torch.autograd.grad(error, logs)
    torch.testing.assert_close(_slope(images.double(), target, masks, shown).detach(), expected)


def test_masks_stay_where_they_are_0_or_nothing_comes_nearer(images):
    hard = halves(15)
    target = blend(images, halves(18))
    torch.testing.assert_close(refined_masks(images, target, hard), hard)  # nothing to move: all is 0 or 1
    soft = feather(halves(15), 8.0)
    assert torch.equal(refined_masks(images, blend(images, soft), soft), soft)
    made = refined_masks(images, target, soft)
    assert torch.equal(made == 0, soft == 0)


def test_what_is_kept_of_the_photo_moves_no_mask(images):
    soft = feather(halves(15), 8.0)
    static = torch.zeros(32, 32)
    static[:16] = 1
    made = refined_masks(images, blend(images, halves(18)), soft, static=static, smooth=0)
    torch.testing.assert_close(made[:, :16], soft[:, :16])
    assert not torch.allclose(made[:, 16:], soft[:, 16:], atol=0.05)


def test_no_chunk_loses_more_than_its_share(images):
    soft = feather(halves(4), 8.0)
    made = refined_masks(images, images[1:], soft, steps=200, keep=0.0)
    assert made[0].mean() < 0.6 * soft[0].mean()
    assert refined_masks(images, images[1:], soft, steps=200, keep=0.8)[0].mean() >= 0.799 * soft[0].mean()


def test_sizes_that_do_not_agree_are_refused(images):
    with pytest.raises(ShapeError, match="masks must have shape"):
        refined_masks(images, images[:1], halves(4, 16))


def test_a_projection_comes_nearer_and_its_own_masks_come_back(tiny):
    rng = torch.Generator().manual_seed(3)
    codes = tuple(WPlus(tiny).sample(2, rng=rng))
    true = Segments(halves(18), ("left", "right"))
    made = Projection(torch.zeros(1, 3, 32, 32), Codes(codes, ({"name": "w_plus"},) * 2), true, tiny)
    start = Projection(made.render(), made.codes, Segments(feather(halves(15), 8.0), true.names), tiny)
    refined = refine_masks(start)
    errors = [float((p.render() - p.target).square().mean()) for p in (start, refined)]
    assert errors[1] < 0.8 * errors[0]
    assert torch.equal(refined.with_masks(None).masks, start.masks)
