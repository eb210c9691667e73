"""The measures of a reconstruction, on networks small enough to work by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.errors import ShapeError
from chunkygan.interfaces import Identity, Perceptual
from chunkygan.metrics import L2, IdentityDistance, OutsideMask, PerceptualDistance, l2, measure, outside_mask


class MeanColour(Perceptual):
    """Squared distance of mean colours."""

    name = "lpips_colour"

    def features(self, images: Tensor) -> list[Tensor]:
        return [images.mean((2, 3))]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return (a[0] - b[0]).square().sum(1)


class ColourDirection(Identity):
    """Direction of the mean colour."""

    name = "identity_colour"

    def embed(self, images: Tensor) -> Tensor:
        return F.normalize(images.mean((2, 3)))


def plain(*colour: float) -> Tensor:
    """(1, 3, 4, 4) of one colour."""
    return torch.tensor(colour, dtype=torch.float32).reshape(1, 3, 1, 1).expand(1, 3, 4, 4).clone()


RED, GREEN, GREY = plain(1, 0, 0), plain(0, 1, 0), plain(0.5, 0.5, 0.5)


def test_measure_names_every_number_after_its_network() -> None:
    numbers = measure(RED, GREEN, MeanColour(), ColourDirection())
    assert numbers == {
        "l2": pytest.approx(2 / 3),
        "lpips_colour": pytest.approx(2.0),
        "identity_colour": pytest.approx(1.0),
    }
    assert all(type(number) is float for number in numbers.values())


def test_measure_leaves_identity_out_where_nothing_measures_it() -> None:
    assert list(measure(RED, GREEN, MeanColour())) == ["l2", "lpips_colour"]


def test_measure_means_over_images() -> None:
    numbers = measure(torch.cat([RED, RED]), torch.cat([RED, GREEN]), MeanColour())
    assert numbers["l2"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "metric", [L2(), PerceptualDistance(MeanColour()), IdentityDistance(ColourDirection())], ids=lambda m: m.name
)
def test_a_metric_is_the_mean_over_all_images_of_unequal_batches(metric) -> None:
    pairs = [(torch.cat([RED, GREEN]), torch.cat([GREEN, GREEN])), (GREY, RED)]
    metric.reset()
    for x, y in pairs:
        metric.update(x, y)
    expected = torch.cat([metric.values(x, y) for x, y in pairs]).mean()
    assert metric.compute().item() == pytest.approx(expected.item())


def test_a_metric_that_saw_no_image_says_so() -> None:
    with pytest.warns(UserWarning), pytest.raises(ShapeError, match="call update first"):
        L2().compute()


def test_images_of_other_shapes_are_refused() -> None:
    with pytest.raises(ShapeError):
        measure(RED, RED[..., :2], MeanColour())
    with pytest.raises(ShapeError):
        outside_mask(RED, RED, torch.zeros(3, 3))


def test_outside_mask_sees_only_where_the_mask_is_zero() -> None:
    changed, mask = RED.clone(), torch.zeros(4, 4)
    mask[1, 1] = 0.01
    changed[0, :, 1, 1] = -1
    assert outside_mask(changed, RED, mask).tolist() == [0.0]
    changed[0, 2, 3, 0] = 0.25
    assert outside_mask(changed, RED, mask).tolist() == [0.25]


def test_outside_mask_is_zero_where_the_mask_covers_everything() -> None:
    assert outside_mask(RED, GREEN, torch.ones(1, 4, 4)).tolist() == [0.0]


def test_outside_mask_metric_keeps_the_largest() -> None:
    metric, mask = OutsideMask(), torch.zeros(4, 4)
    metric.update(GREY, RED, mask)
    metric.update(RED, RED, mask)
    assert metric.compute().item() == 0.5


def test_l2_of_opposite_images_is_four() -> None:
    assert l2(plain(1, 1, 1), plain(-1, -1, -1)).tolist() == [4.0]
