"""dlib's detector: how it is asked, with one that is told what to find; and the real one where it is installed."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chunkygan.build import create
from chunkygan.components.landmarks import dlib_68
from chunkygan.errors import ComponentError, WeightsError


class Rectangle(SimpleNamespace):
    def __init__(self, *sides: float) -> None:
        names = ("left", "top", "right", "bottom")
        super().__init__(**{name: lambda value=value: value for name, value in zip(names, sides)})


@pytest.fixture
def dlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A dlib that finds a face only in pictures of at least `smallest` pixels' width, in their left quarter."""

    def run(pixels: np.ndarray, upsampled: int, threshold: float) -> tuple[list[Any], list[float], list[int]]:
        fake.seen.append(pixels.shape)
        width = pixels.shape[1]
        return ([Rectangle(0, 0, width // 4, width // 4)], [1.5], [0]) if width >= fake.smallest else ([], [], [])

    def predictor(path: str) -> Any:
        if Path(path).read_bytes() != b"predictor":
            raise RuntimeError("unexpected version")
        return lambda pixels, box: SimpleNamespace(
            parts=lambda: [SimpleNamespace(x=box.right(), y=len(pixels)) for _ in range(68)]
        )

    fake = SimpleNamespace(
        seen=[], smallest=0, rectangle=Rectangle, shape_predictor=predictor,
        get_frontal_face_detector=lambda: SimpleNamespace(run=run),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "dlib", fake)
    monkeypatch.setattr(dlib_68, "_predictor_file", lambda: tmp_path / "predictor.dat")
    (tmp_path / "predictor.dat").write_bytes(b"predictor")
    return fake


@pytest.mark.parametrize(("size", "searched"), [((400, 300), 400), ((1600, 900), 1600), ((4000, 3000), 1600)])
def test_large_photos_are_searched_small_and_landmarks_are_the_photos(
    dlib: SimpleNamespace, size: tuple[int, int], searched: int
) -> None:
    (face,) = create("landmarks", "dlib").detect(Image.new("L", size))
    assert [shape[1] for shape in dlib.seen] == [searched]
    assert face.landmarks == ((size[0] // 4, size[1]),) * 68 and face.score == 1.5


def test_small_faces_get_a_second_look(dlib: SimpleNamespace) -> None:
    dlib.smallest = 700
    (face,) = create("landmarks", "dlib").detect(Image.new("RGB", (400, 300)))
    assert [shape[1] for shape in dlib.seen] == [400, 800] and face.landmarks[0] == (100, 300)
    dlib.smallest = 10_000
    assert create("landmarks", "dlib").detect(Image.new("RGB", (400, 300))) == []


def test_another_file_is_no_predictor(dlib: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "other.dat").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"other\.dat: is no landmark predictor of dlib: unexpected version"):
        create("landmarks", {"name": "dlib", "weights": str(tmp_path / "other.dat")})


def test_without_dlib_the_other_ways_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ComponentError, match=r"chunkygan\[align\].*--points.*--landmarks"):
        create("landmarks", "dlib")


def test_the_packages_landmarks_serve_where_the_manifests_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHUNKYGAN_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "models" / "shape_predictor_68_face_landmarks.dat"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr(dlib_68, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    assert dlib_68._predictor_file() == path
    monkeypatch.setattr(dlib_68, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="`chunkygan fetch dlib_68_landmarks`"):
        dlib_68._predictor_file()


@pytest.mark.realdata
def test_real_portraits_are_where_ffhq_puts_them(root: Path) -> None:
    folder = Path(os.environ.get("CHUNKYGAN_REALDATA", root.parent / "shared" / "realdata"))
    if find_spec("dlib") is None or not folder.is_dir():
        pytest.skip("needs dlib and the folder of photographs")
    from chunkygan.photos.alignment import alignment_of
    from chunkygan.photos.photo_alignment import PhotoOptions, oddities, place_photo

    try:
        detector = create("landmarks", "dlib")
    except WeightsError as error:
        pytest.skip(str(error))
    for path in sorted((folder / "faces").glob("*.png"))[:2]:
        assert place_photo(path, (256, 256), PhotoOptions(), template="ffhq").notes == ()
    placed = place_photo(folder / "unaligned" / "hyperstyle_face.jpg", (256, 256), PhotoOptions(), template="ffhq")
    assert "is not aligned" in placed.notes[0] and "turned by" in placed.notes[0]
    (face,) = detector.detect(placed.picture)
    assert oddities(alignment_of(face.landmarks, 256, placed.picture.size)) == []  # it is aligned now
