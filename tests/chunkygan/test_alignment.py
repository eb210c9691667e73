"""FFHQ's alignment, and the way back into the photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.alignment import Alignment, align, alignment_of, like_photo, paste_back
from chunkygan.errors import ImageError


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

    again = Alignment(**json.loads(json.dumps(TURNED.as_dict())))
    assert again.side == TURNED.side and again.size == 64


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.zeros((68, 2)), np.full((68, 2), np.nan)])
def test_other_landmarks_are_refused(points) -> None:
    with pytest.raises(ImageError, match="landmarks"):
        alignment_of(points)
