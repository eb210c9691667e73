"""Landmarks from files, and the choice among faces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chunkygan.errors import ImageError
from chunkygan.photos.landmarks import as_face, chosen_face, read_landmarks
from chunkygan.types import Face

FIVE = [[40.0, 40.0], [80.0, 40.5], [60.0, 60.0], [45.0, 80.0], [75.0, 80.0]]
MANY = [[float(i), i / 2] for i in range(68)]


def square(left: float, side: float, score: float = 1.0) -> Face:
    return Face(((left, 0.0), (left + side, 0.0), (left, side), (left + side, side), (left, 0.0)), score)


@pytest.mark.parametrize("points", [FIVE, MANY], ids=["5", "68"])
@pytest.mark.parametrize("between", [" ", ",", ", ", "\t", ";"])
def test_text_holds_a_face(points: list[list[float]], between: str, tmp_path: Path) -> None:
    path = tmp_path / "face.txt"
    path.write_text("# by hand\n\n" + "\n".join(f"{x}{between}{y}  # point" for x, y in points) + "\n")
    assert read_landmarks(path) == [Face(tuple((x, y) for x, y in points))]


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (FIVE, 1),
        ({"landmarks": MANY}, 1),
        ([FIVE, MANY], 2),
        ({"landmarks": [FIVE, FIVE, MANY]}, 3),
        ([{"landmarks": FIVE}, {"landmarks": MANY, "score": 1}], 2),
    ],
)
def test_json_holds_one_face_or_several(content: object, count: int, tmp_path: Path) -> None:
    path = tmp_path / "faces.json"
    path.write_text(json.dumps(content))
    faces = read_landmarks(path)
    assert len(faces) == count and faces[0].landmarks in (tuple(map(tuple, FIVE)), tuple(map(tuple, MANY)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n3 4\n", r"68 \(.*\) or 5 \(.*\); got 2"),
        ("", "got 0"),
        ("1 2 3\n", r"line 1: must be x y; got '1 2 3'"),
        ("1 2\nx y\n", "line 2: must be x y"),
        ("version: 1\n", "line 1: must be x y"),
        ("[[1, 2", "damaged JSON"),
        ("{}", "must hold a list of points"),
        ("[]", "must hold a list of points"),
        ("[[1, 2], [3]]", "pairs x y of numbers"),
        ('[["a", 1], ["b", 2]]', "pairs x y of numbers"),
        ("3", "must hold a list of points"),
        (json.dumps([*FIVE[:4], [float("nan"), 1]]), "positions in pixels"),
    ],
)
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "face.txt"
    path.write_text(text)
    with pytest.raises(ImageError, match=message) as caught:
        read_landmarks(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_landmarks(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ImageError, match="is no text file"):
        read_landmarks(tmp_path / "binary.txt")


def test_the_largest_face_is_chosen_that_its_finder_is_sure_of() -> None:
    small, large, doubtful = square(0, 10), square(50, 30, 0.5), square(200, 90, 0.1)
    assert chosen_face([small, large, doubtful], None, "photo") is large
    assert chosen_face([small, doubtful], None, "photo") is small
    assert chosen_face([doubtful], None, "photo") is doubtful


def test_faces_are_counted_from_the_left() -> None:
    faces = [square(200, 90, 0.1), square(0, 10), square(50, 30)]
    assert [chosen_face(faces, n, "photo").box[0] for n in (1, 2, 3)] == [0, 50, 200]
    for number in (0, 4, -1):
        with pytest.raises(ImageError, match=r"photo: no face -?\d; from the left there are 1 around \(5, 5\), 2"):
            chosen_face(faces, number, "photo")
    with pytest.raises(ImageError, match="no face was found; give five points"):
        chosen_face([], None, "photo")


def test_a_face_knows_where_it_is() -> None:
    face = as_face(FIVE)
    assert face.box == (40, 40, 80, 80) and face.centre == (60, 60) and face.area == 1600
