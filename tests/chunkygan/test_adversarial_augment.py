"""Adaptive augmentation: what each change keeps, that gradients pass, and that the probability finds its target."""

from __future__ import annotations

import math

import pytest
import torch

from chunkygan.lightning.adversarial_augment import GROUPS, adapted, augment
from chunkygan.lightning.adversarial_augment_colour import colour_changes, recolour
from chunkygan.lightning.adversarial_augment_geometry import blit, geometry, scaling, shifting, turning, warp
from chunkygan.lightning.adversarial_chance import Chance, rng_of


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 6, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=rng(9)) * 2 - 1


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def test_at_probability_0_the_pictures_themselves_come_back():
    images = pictures()
    assert augment(images, 0.0, rng()) is images
    assert augment(images, 1.0, rng(), groups=()) is images


@pytest.mark.parametrize("groups", [(name,) for name in GROUPS] + [GROUPS])
@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_every_group_changes_pictures_and_keeps_their_shape(groups, size):
    images = pictures(6, *size)
    changed = augment(images, 1.0, rng(), groups)
    assert changed.shape == images.shape and bool(changed.isfinite().all())
    assert (changed - images).abs().amax((1, 2, 3)).max() > 0.1


def test_blitted_pictures_hold_only_values_that_were_there():
    images = pictures()
    for image, changed in zip(images, augment(images, 1.0, rng(), ("blit",))):
        assert torch.isin((changed * 1000).round(), (image * 1000).round()).float().mean() > 0.99
    assert changed.abs().max() <= 1 + 1e-4


def test_moved_pictures_stay_in_range_but_for_the_overshoot_of_bicubic_sampling():
    smooth = torch.nn.functional.interpolate(pictures(8, 4, 4), (32, 32), mode="bilinear")
    assert augment(smooth, 1.0, rng(), ("geometry",)).abs().max() <= 1.05


@pytest.mark.parametrize("groups", [(name,) for name in GROUPS])
def test_gradients_pass_through_every_group(groups):
    images = pictures(2, 6, 6).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment(x, 1.0, rng(3), groups), images, fast_mode=True)


def test_a_change_applies_as_often_as_its_probability_says():
    images = pictures(1, 4, 4).expand(4000, -1, -1, -1)
    for groups, share in ((("colour",), 1 - 0.8**4 * 0.9), (("geometry",), 1 - 0.8**4)):
        changed = (augment(images, 0.2, rng(), groups) - images).abs().amax((1, 2, 3)) > 1e-4
        assert float(changed.float().mean()) == pytest.approx(share, abs=0.03)


def test_whole_pixel_moves_are_exact():
    image = pictures(1)
    torch.testing.assert_close(warp(image, scaling(tensor(-1), tensor(1))), image.flip(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(warp(image, turning(tensor(0), tensor(1))), image.rot90(1, (2, 3)), atol=1e-4, rtol=0)
    moved = warp(image, shifting(tensor(3), tensor(0)))  # read three pixels to the right
    torch.testing.assert_close(moved[..., :-3], image[..., 3:], atol=1e-4, rtol=0)
    torch.testing.assert_close(moved[..., -3:], image[..., -3:].flip(3), atol=1e-4, rtol=0)  # mirrored


def test_a_scaling_of_a_slope_is_a_slope():
    slope = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    found = warp(slope, scaling(tensor(0.5), tensor(0.5)))
    torch.testing.assert_close(found, slope * 0.5, atol=5e-3, rtol=0)  # torch's cubic is not quite linear


def test_quarter_turns_are_left_out_where_a_picture_is_not_square():
    moves = blit(Chance(200, 1.0, rng()), (12, 20))
    assert float(moves[:, 0, 1].abs().max()) == 0
    assert float(blit(Chance(200, 1.0, rng()), (16, 16))[:, 0, 1].abs().max()) == 1


def test_geometry_without_a_shift_keeps_the_area_but_for_the_scale():
    moves = geometry(Chance(500, 1.0, rng()), (16, 16))
    scale = torch.linalg.det(moves[:, :2, :2]).sqrt().log2()
    assert float(scale.std()) == pytest.approx(0.2, rel=0.15)


def test_grey_stays_grey_under_hue_and_saturation_and_colour_is_affine():
    changes = colour_changes(Chance(50, 1.0, rng()))
    grey = changes[:, :3] @ torch.tensor([0.3, 0.3, 0.3, 1.0])
    torch.testing.assert_close(grey, grey.mean(1, keepdim=True).expand(-1, 3), atol=1e-5, rtol=0)
    a, b = pictures(50), pictures(50).flip(0)
    mixed = recolour(0.5 * a + 0.5 * b, changes)
    torch.testing.assert_close(mixed, 0.5 * recolour(a, changes) + 0.5 * recolour(b, changes), atol=1e-5, rtol=1e-4)


def test_a_full_turn_of_hue_keeps_lengths():
    chance = Chance(40, 1.0, rng())
    linear = colour_changes(chance)[:, :3, :3]
    grey = torch.ones(3) / math.sqrt(3)
    along = (linear @ grey).norm(dim=1)
    assert bool((along > 0.1).all())  # contrast only, mirrored or not


def test_the_probability_moves_towards_the_target():
    assert adapted(0.1, 0.9, 0.6, 64, 640) == pytest.approx(0.2)
    assert adapted(0.1, 0.3, 0.6, 32, 640) == pytest.approx(0.05)
    assert adapted(0.1, 0.6, 0.6, 32, 640) == 0.1
    assert adapted(0.0, 0.0, 0.6, 32, 640) == 0.0
    assert adapted(0.99, 1.0, 0.6, 64, 640) == 1.0


def test_the_probability_settles_where_a_discriminator_is_as_sure_as_it_should_be():
    p = 0.0
    for _ in range(200):
        p = adapted(p, sure=0.95 - p, target=0.6, pictures=64, span=6400)
    assert p == pytest.approx(0.35, abs=0.011)


def test_random_numbers_depend_on_seed_step_purpose_and_process():
    def first(*arguments) -> float:
        return float(torch.rand(1, generator=rng_of(*arguments)))

    same = first(0, 5, "z", 0)
    assert same == first(0, 5, "z", 0)
    others = {first(*a) for a in [(1, 5, "z", 0), (0, 6, "z", 0), (0, 5, "noise", 0), (0, 5, "z", 1)]}
    assert len(others | {same}) == 5
