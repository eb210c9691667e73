"""A folder of pictures as a data set: sizes, mirrored copies, bad files, too few, and what is kept."""

from __future__ import annotations

import pytest
import torch

from chunkygan import registry
from chunkygan.components.datasets.folder import Folder
from chunkygan.errors import ComponentError, ImageError
from chunkygan.images import write_image


@pytest.fixture
def photos(tmp_path):
    """Five pictures of different sizes; the third is half bright."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = torch.Generator().manual_seed(0)
    for i in range(5):
        image = torch.rand(1, 3, 20 + i, 30, generator=rng) * 2 - 1
        if i == 2:
            image = torch.cat([-torch.ones(1, 3, 16, 8), torch.ones(1, 3, 16, 8)], 3)
        write_image(folder / f"photo_{i}.png", image)
    (folder / "notes.txt").write_text("no picture")
    return folder


def spoil(folder):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    (folder / "empty.jpg").write_bytes(b"")


def test_it_is_found_by_name():
    assert registry.get("dataset", "folder") is Folder


def test_items_are_cut_and_resized(photos):
    data = Folder(str(photos), [8, 12], minimum=1)
    assert len(data) == 5 and data.resolution == (8, 12)
    image = data[4]["image"]
    assert image.shape == (3, 8, 12) and image.abs().max() <= 1
    with pytest.raises(IndexError):
        data[5]


def test_flips_double_the_set_by_mirrored_pictures(photos, tmp_path):
    data = Folder(str(photos), 16, flips=True, minimum=1)
    assert len(data) == 10
    assert torch.equal(data[7]["image"], data[2]["image"].flip(2))
    kept = data.cached(tmp_path / "cache").batch(torch.tensor([2, 7]))["image"]
    assert torch.equal(kept[1], kept[0].flip(2)) and not torch.equal(kept[0], kept[1])


def test_kept_pictures_are_the_pictures_to_8_bits(photos, tmp_path):
    data = Folder(str(photos), 16, minimum=1)
    cache = data.cached(tmp_path / "cache")
    assert cache.count == len(cache) == 5
    torch.testing.assert_close(cache.batch(torch.arange(5))["image"], data.images(range(5)), atol=1 / 127.5, rtol=0)
    again = data.cached(tmp_path / "cache")
    assert torch.equal(again.batch(torch.arange(5))["image"], cache.batch(torch.arange(5))["image"])


def test_bad_files_are_all_named(photos, tmp_path):
    spoil(photos)
    with pytest.raises(ImageError) as caught:
        Folder(str(photos), 16, minimum=1).cached(tmp_path / "cache")
    for part in ("2 of 7", "broken.png", "empty.jpg", "bad: skip"):
        assert part in str(caught.value)
    assert not (tmp_path / "cache" / "pictures.json").exists()


def test_bad_files_can_be_left_out_and_are_named_in_a_warning(photos, tmp_path):
    spoil(photos)
    with pytest.warns(UserWarning, match=r"broken\.png[\s\S]*empty\.jpg"):
        cache = Folder(str(photos), 16, bad="skip", minimum=1).cached(tmp_path / "cache")
    assert cache.names == [f"photo_{i}.png" for i in range(5)]


def test_too_few_pictures_are_refused_before_and_after_reading(photos, tmp_path):
    with pytest.raises(ComponentError, match="5 pictures that can be read; at least 64 are needed"):
        Folder(str(photos), 16)
    spoil(photos)
    with pytest.warns(UserWarning), pytest.raises(ComponentError, match="5 pictures.*at least 6"):
        Folder(str(photos), 16, bad="skip", minimum=6).cached(tmp_path / "cache")


def test_a_folder_that_changed_is_not_mixed_with_what_was_kept(photos, tmp_path):
    Folder(str(photos), 16, minimum=1).cached(tmp_path / "cache")
    with pytest.raises(ComponentError, match="other options"):
        Folder(str(photos), 8, minimum=1).cached(tmp_path / "cache")
    (photos / "photo_3.png").unlink()
    with pytest.raises(ComponentError, match="has changed"):
        Folder(str(photos), 16, minimum=1).cached(tmp_path / "cache")


@pytest.mark.parametrize("options", [{"resolution": [8]}, {"resolution": 0}, {"bad": "ignore"}])
def test_odd_options_are_refused(photos, options):
    with pytest.raises(ComponentError, match=next(iter(options))):
        Folder(str(photos), **{"minimum": 1, **options})


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ImageError, match="nowhere"):
        Folder(str(tmp_path / "nowhere"))


def test_a_single_file_is_no_folder(photos):
    with pytest.raises(ComponentError, match="folder"):
        Folder(str(photos / "photo_0.png"), minimum=1)
