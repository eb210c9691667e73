"""FFHQ's alignment, and the way back into the photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.errors import ImageError
from chunkygan.photos.alignment import Alignment, align, alignment_from, alignment_of, centred
from chunkygan.photos.photo_pasting import like_photo, paste_back


@pytest.mark.parametrize("case", ["inside", "pad", "shrink"])
def test_aligned_pictures_are_the_peers(case, fixtures) -> None:
    numbers = np.load(fixtures / "align_ffhq.npz", allow_pickle=False)
    found = alignment_of(numbers[f"in/{case}_landmarks"], 256)
    assert np.allclose(found.corners, numbers[f"out/{case}_quad"], atol=1e-9)
    assert found.side == pytest.approx(float(numbers[f"out/{case}_qsize"]))
    picture = np.asarray(align(Image.fromarray(numbers["in/image"]), found)).astype(int)
    difference = np.abs(picture - numbers[f"out/{case}_aligned256"].astype(int))
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-4


TURNED = Alignment(((30.0, 20.0), (20.0, 70.0), (70.0, 80.0), (80.0, 30.0)), 64)


def photo(height: int = 100, width: int = 90) -> np.ndarray:
    smooth = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    large = torch.nn.functional.interpolate(smooth, (height, width), mode="bicubic").clamp(0, 255)
    return large[0].permute(1, 2, 0).byte().numpy()


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 127.5 - 1


def test_outside_the_mask_no_bit_changes() -> None:
    original, mask = photo(), torch.zeros(64, 64)
    mask[20:40, 20:40] = 1
    pasted = paste_back(original, torch.ones(1, 3, 64, 64), mask, TURNED)
    changed = (pasted != original).any(-1)
    assert 250 < changed.sum() < 450  # 20 by 20 of 64, in a square of 51 pixels' side
    assert (pasted[changed] == 255).any()
    rows, columns = np.nonzero(changed)
    assert rows.min() > 30 and rows.max() < 62 and columns.min() > 30 and columns.max() < 62


def test_an_empty_mask_gives_the_photo_and_leaves_it_alone() -> None:
    original = photo()
    before = original.copy()
    pasted = paste_back(original, torch.ones(1, 3, 64, 64), torch.zeros(64, 64), TURNED)
    assert np.array_equal(pasted, before) and np.array_equal(original, before) and pasted is not original


@pytest.mark.parametrize("size", [64, 256])
def test_there_and_back_is_nearly_the_photo(size) -> None:
    y, x = np.mgrid[:100, :90]
    original = np.stack([x * 2, y * 2, x + y], -1).astype(np.uint8)  # even, so that any shift shows
    there = Alignment(TURNED.corners, size)
    aligned = align(Image.fromarray(original), there)
    pasted = paste_back(original, as_tensor(aligned), torch.ones(size, size), there)
    difference = np.abs(pasted.astype(int) - original.astype(int))
    assert difference.max() <= 2 and abs(float((pasted.astype(float) - original).mean())) < 0.2  # PIL rounds down


def test_a_square_beyond_the_photo_is_cut_off() -> None:
    beyond = Alignment(((60.0, 70.0), (60.0, 150.0), (140.0, 150.0), (140.0, 70.0)), 64)
    pasted = paste_back(photo(), torch.ones(1, 3, 64, 64), torch.ones(64, 64), beyond)
    assert (pasted[75:, 65:] == 255).all() and np.array_equal(pasted[:70], photo()[:70])
    outside = Alignment(tuple((x + 500, y) for x, y in beyond.corners), 64)
    assert np.array_equal(paste_back(photo(), torch.ones(1, 3, 64, 64), torch.ones(64, 64), outside), photo())
    with pytest.raises(ImageError, match="outside the photo"):
        align(Image.fromarray(photo()), outside)


def test_profile_and_exif_stay(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a portrait"
    Image.fromarray(photo()).save(tmp_path / "in.png", exif=exif, icc_profile=b"profile")
    with Image.open(tmp_path / "in.png") as source:
        picture, options = like_photo(source, photo())
    picture.save(tmp_path / "out.png", **options)
    with Image.open(tmp_path / "out.png") as result:
        assert result.info["icc_profile"] == b"profile" and result.getexif()[0x010E] == "a portrait"
        assert np.array_equal(np.asarray(result), photo())


def test_an_alignment_survives_json() -> None:
    import json

    whole = Alignment(TURNED.corners, 64, (90, 100))
    assert alignment_from(json.loads(json.dumps(whole.as_dict()))) == whole
    assert alignment_from(TURNED.as_dict()) == TURNED


@pytest.mark.parametrize(
    "change",
    [
        {"corners": [[0, 0]]},
        {"corners": [[0, 0], [0, 9], [9, 9], [9, 1]]},
        {"corners": [[0, 0], [9, 0], [9, 9], [0, 9]]},
        {"corners": [[0, 0], [0, 0], [0, 0], [0, 0]]},
        {"corners": [[0, 0], [0, float("nan")], [9, 9], [9, 0]]},
        {"corners": "here"},
        {"size": 0},
        {"size": None},
        {"photo": [1]},
    ],
)
def test_what_is_no_square_is_no_alignment(change) -> None:
    good = {"corners": [[0, 0], [0, 9], [9, 9], [9, 0]], "size": 8, "photo": None}
    alignment_from(good)
    with pytest.raises(ImageError, match="no alignment"):
        alignment_from({**good, **change})


def test_five_points_give_nearly_the_square_of_68(fixtures) -> None:
    points = np.load(fixtures / "align_ffhq.npz", allow_pickle=False)["in/inside_landmarks"]
    eyes = points[36:42].mean(0), points[42:48].mean(0)
    five = [*eyes, points[30], points[48], points[54]]
    whole = alignment_of(points, 256)
    assert np.allclose(alignment_of(five, 256).corners, whole.corners, atol=1e-9)
    swapped = [eyes[1], eyes[0], points[30], points[54], points[48]]  # as the person in the picture would say it
    assert np.allclose(alignment_of(swapped, 256).corners, whole.corners, atol=1e-9)


def test_five_points_turn_with_the_photo() -> None:
    five = np.array([[40.0, 40.0], [80.0, 44.0], [60.0, 60.0], [45.0, 80.0], [72.0, 82.0]])
    upright = np.array(alignment_of(five, 64).corners)
    for turn in ([[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]):
        turned = alignment_of(five @ np.array(turn).T, 64).corners
        assert np.allclose(turned, upright @ np.array(turn).T)


def test_five_points_in_another_order_are_refused() -> None:
    five = [[40.0, 40.0], [80.0, 40.0], [60.0, 60.0], [45.0, 80.0], [75.0, 80.0]]
    with pytest.raises(ImageError, match="in this order"):
        alignment_of([five[0], five[1], five[3], five[2], five[4]])


@pytest.mark.parametrize("size", [(90, 100), (101, 60), (64, 64)])
def test_the_centred_square_is_where_pictures_are_cut(size) -> None:
    from chunkygan.images import fit_to, from_pil

    picture = Image.fromarray(photo(size[1], size[0]))
    square = centred(size, 32)
    assert square.side == min(size)
    cut = fit_to(from_pil(picture), (32, 32))
    back = paste_back(np.asarray(picture), cut, torch.ones(32, 32), square).astype(int)
    inside = np.abs(back - np.asarray(picture).astype(int))[8:-8, 8:-8]
    assert inside.mean() < 6  # blurred by the small size, but not shifted
    shifted = Alignment(tuple((x + 4, y) for x, y in square.corners), 32)
    moved = paste_back(np.asarray(picture), cut, torch.ones(32, 32), shifted).astype(int)
    assert np.abs(moved - np.asarray(picture).astype(int))[8:-8, 8:-8].mean() > 2 * inside.mean()


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.zeros((68, 2)), np.full((68, 2), np.nan)])
def test_other_landmarks_are_refused(points) -> None:
    with pytest.raises(ImageError, match="landmarks"):
        alignment_of(points)
