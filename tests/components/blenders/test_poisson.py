"""The Poisson blender: against a dense solution, ramps known by hand, masks at the frame, several regions."""

import sys

import numpy as np
import pytest
import torch

from chunkygan.components.blenders import poisson_system
from chunkygan.components.blenders.poisson import Poisson
from chunkygan.errors import ComponentError, ShapeError

pytest.importorskip("scipy")


def pictures(height=9, width=11, count=1, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=rng), torch.rand(1, 3, height, width, generator=rng)


def ramp(height, width, offset=0.0):
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (0.03 * rows - 0.05 * columns + offset).expand(1, 3, -1, -1).clone()


def disk(height, width, y, x, radius):
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).float()


def dense(drawn, photo, mask):
    """The same problem pixel by pixel: a full matrix, a loop over neighbours."""
    height, width = mask.shape
    inside = [(y, x) for y in range(height) for x in range(width) if mask[y, x] >= 0.5]
    index = {place: i for i, place in enumerate(inside)}
    matrix, right = np.zeros((len(inside),) * 2), np.zeros((len(inside), 3))
    for (y, x), i in index.items():
        for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if not (0 <= place[0] < height and 0 <= place[1] < width):
                continue
            matrix[i, i] += 1
            right[i] += (drawn[0, :, y, x] - drawn[0, :, place[0], place[1]]).double().numpy()
            if place in index:
                matrix[i, index[place]] -= 1
            else:
                right[i] += photo[0, :, place[0], place[1]].double().numpy()
    result = photo.clone()
    for (y, x), values in zip(inside, np.linalg.solve(matrix, right)):
        result[0, :, y, x] = torch.from_numpy(values).float()
    return result


MASKS = {
    "inside": disk(9, 11, 4, 5, 3),
    "at one edge": disk(9, 11, 0, 5, 4),
    "in a corner": disk(9, 11, 8, 10, 5),
    "a band across": (torch.arange(11).expand(9, 11) >= 6).float(),
    "two regions": (disk(9, 11, 2, 2, 1) + disk(9, 11, 6, 8, 2)).clamp(max=1),
    "a ring": disk(9, 11, 4, 5, 3) - disk(9, 11, 4, 5, 1),
    "all but a pixel": 1 - disk(9, 11, 0, 0, 0),
    "one pixel": disk(9, 11, 0, 0, 0),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=list(MASKS))
def test_it_agrees_with_a_dense_solution_and_leaves_the_outside(mask):
    drawn, photo = pictures()
    joined = Poisson().blend(drawn, photo, mask[None])
    torch.testing.assert_close(joined, dense(drawn, photo, mask), atol=2e-6, rtol=0)
    outside = (mask == 0).expand(1, 3, -1, -1)
    assert torch.equal(joined[outside], photo[outside])


@pytest.mark.parametrize("mask", MASKS.values(), ids=list(MASKS))
def test_a_shifted_ramp_falls_into_place_exactly(mask):
    photo = ramp(9, 11)
    joined = Poisson().blend(ramp(9, 11, offset=0.4), photo, mask[None])
    torch.testing.assert_close(joined, photo, atol=1e-6, rtol=0)


def test_the_photo_into_itself_is_the_photo():
    photo = pictures()[1]
    torch.testing.assert_close(Poisson().blend(photo, photo, MASKS["a ring"][None]), photo, atol=1e-6, rtol=0)


def test_a_mask_over_everything_is_the_drawn_picture():
    drawn, photo = pictures()
    torch.testing.assert_close(Poisson().blend(drawn, photo, torch.ones(1, 9, 11)), drawn, atol=2e-6, rtol=0)


def test_soft_masks_are_cut_at_the_threshold():
    drawn, photo = pictures()
    soft = torch.full((1, 9, 11), 0.3)
    soft[0, 3:6, 3:6] = 0.9
    joined = Poisson().blend(drawn, photo, soft)
    assert torch.equal((joined != photo).any(1)[0], soft[0] > 0.5)
    assert torch.equal(joined, Poisson().blend(drawn, photo, (soft > 0.5).float()))


def test_chunks_in_shifted_colours_join_without_a_seam():
    """Two pictures of one ramp, in other brightness each: no border is left, neither between them nor around them."""
    photo = ramp(12, 16)
    drawn = torch.cat([ramp(12, 16, 0.5), ramp(12, 16, -0.3)])
    masks = torch.zeros(2, 12, 16)
    masks[0, 3:9, 2:8], masks[1, 3:12, 8:14] = 1, 1
    joined = Poisson().blend_chunks(drawn, photo, masks)
    torch.testing.assert_close(joined, photo, atol=1e-6, rtol=0)
    outside = (masks.sum(0) == 0).expand(1, 3, -1, -1)
    assert torch.equal(joined[outside], photo[outside])


def test_chunks_over_the_whole_picture_keep_its_mean():
    drawn = torch.cat([ramp(8, 8, 0.5), ramp(8, 8, -0.3)])
    masks = torch.zeros(2, 8, 8)
    masks[0, :, :4], masks[1, :, 4:] = 1, 1
    joined = Poisson().blend_chunks(drawn, ramp(8, 8), masks)
    torch.testing.assert_close(joined, ramp(8, 8, 0.1), atol=1e-6, rtol=0)


def test_one_factorisation_serves_all_channels_and_later_pictures(monkeypatch):
    made = []
    solver = poisson_system._solver
    monkeypatch.setattr(poisson_system, "_solver", lambda matrix: made.append(matrix.shape) or solver(matrix))
    blender, mask = Poisson(keep=1), MASKS["inside"][None]
    for seed in range(3):
        blender.blend(*pictures(seed=seed), mask)
    assert made == [(29, 29)]
    blender.blend(*pictures(), MASKS["a ring"][None])
    blender.blend(*pictures(), mask)
    assert len(made) == 3


def test_multigrid_solves_the_same(monkeypatch):
    pytest.importorskip("pyamg")
    drawn, photo = pictures(60, 70)
    mask = disk(60, 70, 20, 10, 25)[None]
    direct = Poisson().blend(drawn, photo, mask)
    monkeypatch.setattr(poisson_system, "AMG_ABOVE", 100)
    torch.testing.assert_close(Poisson().blend(drawn, photo, mask), direct, atol=1e-6, rtol=0)


def test_large_masks_go_without_multigrid_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyamg", None)
    monkeypatch.setattr(poisson_system, "AMG_ABOVE", 10)
    drawn, photo = pictures()
    torch.testing.assert_close(
        Poisson().blend(drawn, photo, MASKS["inside"][None]), dense(drawn, photo, MASKS["inside"]), atol=2e-6, rtol=0
    )


def test_an_empty_mask_and_wrong_sizes_are_refused():
    drawn, photo = pictures()
    with pytest.raises(ShapeError, match="no pixel of 0.5 or more"):
        Poisson().blend(drawn, photo, torch.full((1, 9, 11), 0.2))
    with pytest.raises(ShapeError, match="photo"):
        Poisson().blend(drawn, photo[..., 1:], torch.ones(1, 9, 11))
    with pytest.raises(ComponentError, match="threshold"):
        Poisson(threshold=0)
