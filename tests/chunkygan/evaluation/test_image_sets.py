"""The pictures of an evaluation: how classes become chunks, and what a folder is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chunkygan.errors import RecipeError
from chunkygan.evaluation.image_sets import image_set, image_source, merged
from chunkygan.images import write_image


def test_classes_are_joined_and_what_is_left_is_the_rest() -> None:
    masks = torch.zeros(4, 2, 2)
    masks[0, 0, 0] = masks[1, 0, 1] = masks[3, 1] = 1
    names, chunks = merged(masks, ["a", "b", "c", "d"], {"one": ["a", "b"], "none": ["c"]})
    assert names == ("one", "rest")  # c has no pixel
    assert chunks.tolist() == [[[1, 1], [0, 0]], [[0, 0], [1, 1]]]


def test_classes_that_are_not_there_or_twice_are_named() -> None:
    masks = torch.ones(2, 2, 2) / 2
    with pytest.raises(RecipeError, match="no class 'eyess'.*did you mean 'eyes'"):
        merged(masks, ["eyes", "skin"], {"one": ["eyess"]})
    with pytest.raises(RecipeError, match="in two chunks"):
        merged(masks, ["eyes", "skin"], {"one": ["eyes"], "two": ["eyes"]})


def test_pictures_of_one_stem_have_different_names_and_the_same_stem(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "b.png"):
        write_image(tmp_path / name, torch.zeros(1, 3, 8, 8))
    found = image_set(image_source(folder=str(tmp_path)), size=(4, 4), seed=0)
    assert found.names == ("a.bmp", "a.png", "b") and not found.has_masks
    sample = found.sample("a.png")
    assert (sample.stem, sample.masks, sample.image.shape) == ("a", None, (1, 3, 4, 4))


def test_a_folder_stands_in_for_a_data_set(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", torch.zeros(1, 3, 8, 8))
    source = image_source(folder=str(tmp_path), dataset={"name": "procfaces"}, count=3, chunks={"x": ["skin"]})
    assert image_set(source, size=(4, 4), seed=0).names == ("a",)


def test_neither_folder_nor_data_set_and_a_count_of_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="name a folder or a dataset"):
        image_set(image_source(), size=(4, 4), seed=0)
    with pytest.raises(RecipeError, match="images.count"):
        image_set(image_source(folder=str(tmp_path), count=0), size=(4, 4), seed=0)


def test_a_data_set_brings_its_masks_and_its_classes_are_checked_at_once() -> None:
    faces = {"name": "procfaces", "resolution": 16, "count": 9}
    source = image_source(dataset=faces, count=2, chunks={"face": ["skin"]})
    found = image_set(source, size=(16, 16), seed=0)
    assert found.names == ("0000", "0001") and found.has_masks
    sample = found.sample("0001")
    assert sample.masks is not None and set(sample.chunks) == {"face", "rest"}
    assert torch.allclose(sample.masks.sum(0), torch.ones(16, 16), atol=1e-5)
    with pytest.raises(RecipeError, match="no class 'skim'.*did you mean 'skin'"):
        image_set({**source, "chunks": {"face": ["skim"]}}, size=(16, 16), seed=0)
