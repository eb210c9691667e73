"""Edited chunks in the photo itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.components.blenders.poisson import Poisson
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.errors import ImageError, ProjectionError
from chunkygan.photos.alignment import Alignment, centred
from chunkygan.photos.photo_pasting import faded, like_photo, photo_with
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments

PLACE = Alignment(((40.0, 30.0), (30.0, 110.0), (110.0, 120.0), (120.0, 40.0)), 32, (160, 140))


@pytest.fixture
def projection(tiny: Any) -> Projection:
    rng = torch.Generator().manual_seed(2)
    codes = Codes(tuple(WPlus(tiny).sample(2, rng=rng)), ({"name": "w_plus"},) * 2)
    spot = torch.zeros(32, 32)
    spot[10:20, 12:24] = 1
    made = Projection(
        torch.rand(1, 3, 32, 32, generator=rng), codes, Segments(torch.stack([spot, 1 - spot]), ("spot", "rest")), tiny,
        alignment=PLACE,
    )  # fmt: skip
    return made.edit(torch.randn(16, generator=rng), 1.0, chunk="spot")


@pytest.fixture
def photo() -> Image.Image:
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 256, (140, 160, 3), dtype=np.uint8))


def outside(place: Alignment, size: tuple[int, int]) -> np.ndarray:
    """(h, w): pixels further than one of the picture's pixels from the mask of `spot`, by going through them all."""
    start, below, _, beside = np.array(place.corners)
    across, down = (beside - start) / 32, (below - start) / 32
    far = np.ones(size[::-1], dtype=bool)
    for y in range(size[1]):
        for x in range(size[0]):
            relative = np.array([x, y]) - start
            column, row = relative @ across / (across @ across), relative @ down / (down @ down)
            far[y, x] = not (11 < column < 25 and 9 < row < 21)
    return far


@pytest.mark.parametrize("blender", [None, Poisson()], ids=["drawn", "poisson"])
def test_outside_the_edits_mask_the_photo_is_bit_identical(projection, photo, blender) -> None:
    result = np.asarray(photo_with(projection, photo, blender))
    before, far = np.asarray(photo), outside(PLACE, photo.size)
    assert np.array_equal(result[far], before[far]) and far.mean() > 0.8
    inside = ~outside(PLACE, photo.size)
    assert (result[inside] != before[inside]).any(-1).mean() > 0.7


def test_the_middle_of_the_mask_is_what_was_drawn(projection, photo) -> None:
    place = centred((32, 32), 32)  # pixel for pixel
    same = replace(projection, alignment=place)
    small = photo.crop((0, 0, 32, 32))
    result = torch.from_numpy(np.asarray(photo_with(same, small)).copy()).permute(2, 0, 1)
    drawn = ((projection.drawn()[0] + 1) * 127.5).round().clamp(0, 255).byte()
    assert torch.equal(result[:, 11:19, 13:23], drawn[:, 11:19, 13:23])


def test_nothing_edited_is_the_photo(projection, photo) -> None:
    result = photo_with(projection.remove_edit(0), photo)
    assert np.array_equal(np.asarray(result), np.asarray(photo))


def test_a_mask_up_to_the_border_fades_out_inside_the_photo_only() -> None:
    ones = torch.ones(64, 64)
    whole, inner = centred((100, 100), 64), Alignment(((10.0, 10.0), (10.0, 60.0), (60.0, 60.0), (60.0, 10.0)), 64)
    assert torch.equal(faded(ones, whole, (100, 100)), ones)
    mask = faded(ones, inner, (100, 100))
    assert mask[0].max() < 0.5 and mask[:, 0].max() < 0.5 and mask[-1].max() < 0.5 and mask[:, -1].max() < 0.5
    assert (mask[2:-2, 2:-2] == 1).all()
    beside = faded(ones, centred((200, 100), 64), (200, 100))  # ends with the photo above and below
    assert beside[:, 0].max() < 0.5 and beside[:, -1].max() < 0.5
    assert (beside[0, 2:-2] == 1).all() and (beside[-1, 2:-2] == 1).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA"])
def test_photos_of_other_kinds_keep_what_they_have(projection, photo, mode) -> None:
    other = photo.convert("RGB").convert("L").convert(mode) if mode in ("L", "LA") else photo.convert(mode)
    if mode in ("RGBA", "LA"):
        other.putalpha(Image.fromarray(np.arange(140 * 160, dtype=np.uint8).reshape(140, 160)))
    result = photo_with(projection, other)
    assert result.mode == ("RGBA" if mode in ("RGBA", "LA") else "RGB")
    far, before = outside(PLACE, photo.size), np.asarray(other.convert(result.mode))
    assert np.array_equal(np.asarray(result)[far], before[far])
    if result.mode == "RGBA":
        assert np.array_equal(np.asarray(result)[..., 3], before[..., 3])


@pytest.mark.parametrize("mode", ["I;16", "CMYK", "F"])
def test_photos_whose_colours_would_change_are_refused(projection, mode) -> None:
    with pytest.raises(ImageError, match="only photos of 8 bits"):
        photo_with(projection, Image.new(mode, (160, 140)))


def test_another_photo_is_noticed(projection, photo) -> None:
    with pytest.raises(ProjectionError, match="made of a photo of 160 x 140 pixels; this one has 80 x 70"):
        photo_with(projection, photo.resize((80, 70)))
    with pytest.raises(ProjectionError, match="does not know where it lies"):
        photo_with(replace(projection, alignment=None), photo)


def test_a_profile_of_other_colours_does_not_stay(photo) -> None:
    for colours, kept in ((b"RGB ", True), (b"GRAY", False)):
        photo.info["icc_profile"] = bytes(16) + colours + bytes(108)
        assert ("icc_profile" in like_photo(photo, np.asarray(photo))[1]) == kept


def test_the_command_writes_the_photo_with_its_profile(projection, photo, tmp_path: Path, tiny, capsys) -> None:
    from chunkygan.cli.main import main
    from chunkygan.generator_file import write_generator
    from chunkygan.weights import sha256

    file = tmp_path / "generator.safetensors"
    write_generator(tiny, file)
    spec = {"name": "stylegan2", "weights": str(file)}
    replace(projection, edits=(), generator_spec=spec, generator_sha256=sha256(file)).save(tmp_path / "p.safetensors")
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a portrait", 6
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "photo.png", exif=exif, icc_profile=b"profile")
    np.save(tmp_path / "move.npy", np.random.default_rng(0).standard_normal(16))
    words = ["edit", str(tmp_path / "p.safetensors"), "--edit", f"{tmp_path}/move.npy=1", "--chunk", "spot"]
    assert main([*words, "--paste", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out" / "p" / "photo.png") as result:
        far = outside(PLACE, photo.size)
        assert np.array_equal(np.asarray(result)[far], np.asarray(photo)[far])
        assert not np.array_equal(np.asarray(result), np.asarray(photo))
        assert result.info["icc_profile"] == b"profile" and result.getexif()[0x010E] == "a portrait"
        assert result.getexif().get(0x0112, 1) == 1  # upright already
    assert main([*words, "--paste", str(tmp_path / "none.png"), "--out", str(tmp_path / "out")]) == 2
    assert "no such file" in capsys.readouterr().err
