"""Label maps: what is written is read back, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.errors import ImageError, ShapeError
from chunkygan.labels import colour_labels, distinct_colours, one_hot, read_label_map, read_names


def indexed(path: Path, labels: list[list[int]], colours: list[list[int]] | None = None) -> Path:
    table = torch.tensor(colours) if colours else distinct_colours(12)
    colour_labels(torch.tensor(labels), table).save(path)
    return path


@pytest.mark.parametrize("n", [0, 1, 12, 13, 60, 256])
def test_colours_are_all_different(n: int) -> None:
    colours = distinct_colours(n)
    assert colours.shape == (n, 3) and colours.dtype == torch.uint8
    assert len({tuple(c) for c in colours.tolist()}) == n


def test_a_larger_set_of_colours_begins_with_the_smaller() -> None:
    assert torch.equal(distinct_colours(30)[:7], distinct_colours(7))


def test_a_coloured_label_map_comes_back(tmp_path: Path) -> None:
    labels = torch.randint(0, 256, (20, 30), generator=torch.Generator().manual_seed(0)) % 40
    colours = distinct_colours(40)
    colour_labels(labels, colours).save(tmp_path / "a.png")
    found = read_label_map(tmp_path / "a.png")
    assert torch.equal(found.labels, labels) and found.labels.dtype == torch.int64
    assert found.indices == tuple(range(40))
    assert torch.equal(torch.tensor(found.colours, dtype=torch.uint8), colours)


def test_a_coloured_label_map_shows_its_colours() -> None:
    image = colour_labels(torch.tensor([[0, 1]]), [[10, 20, 30], [40, 50, 60]]).convert("RGB")
    assert np.asarray(image).tolist() == [[[10, 20, 30], [40, 50, 60]]]


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_without_a_colour_is_refused(label: int) -> None:
    with pytest.raises(ShapeError, match="labels must be 0 to 1"):
        colour_labels(torch.tensor([[0, label]]), distinct_colours(2))


def test_only_indices_that_occur_are_chunks(tmp_path: Path) -> None:
    found = read_label_map(indexed(tmp_path / "a.png", [[2, 5], [5, 9]]))
    assert found.indices == (2, 5, 9) and found.names == ("chunk_2", "chunk_5", "chunk_9")
    assert found.colours[1] == tuple(distinct_colours(12)[5].tolist())


def test_names_come_from_the_sidecar(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("{0: background, 5: eyes}")
    assert read_label_map(indexed(tmp_path / "a.png", [[0, 5, 9]])).names == ("background", "eyes", "chunk_9")


def test_names_may_be_a_list(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("- background\n- skin\n")
    assert read_names(tmp_path / "classes.yaml") == {0: "background", 1: "skin"}


@pytest.mark.parametrize("text", ["eyes: 3", "3", "{0: [1", "{0: 7}", "\x00"])
def test_a_damaged_sidecar_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(ImageError, match=r"classes\.yaml: (must name|cannot be read)"):
        read_label_map(indexed(tmp_path / "a.png", [[0, 1]]))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_values_are_labels(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.array([[0, 1], [1, 7]], kind)).save(tmp_path / "a.png")
    found = read_label_map(tmp_path / "a.png")
    assert found.labels.tolist() == [[0, 1], [1, 7]] and found.indices == (0, 1, 7)
    assert len(set(found.colours)) == 3


def test_black_and_white_are_two_labels(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "a.png")
    assert len(read_label_map(tmp_path / "a.png").indices) == 2


def test_a_colour_picture_is_no_label_map(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="convert it in the paint program to indexed mode"):
        read_label_map(tmp_path / "a.png")


def test_a_grey_photo_is_no_label_map(tmp_path: Path) -> None:
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="256 different values, more than the 100"):
        read_label_map(tmp_path / "a.png")


def test_one_hot_has_one_mask_an_index() -> None:
    masks = one_hot(torch.tensor([[2, 5]]), (2, 3, 5))
    assert masks.tolist() == [[[1, 0]], [[0, 0]], [[0, 1]]]
