"""What becomes of photos before they are fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chunkygan import registry
from chunkygan.errors import ComponentError, ImageError
from chunkygan.interfaces import LandmarkDetector
from chunkygan.photos import photo_alignment
from chunkygan.photos.alignment import Alignment, align, alignment_of, centred
from chunkygan.photos.photo_alignment import OVERSAMPLING, PhotoOptions, oddities, place_photo, sidecar
from chunkygan.types import Face

SIZE = (64, 64)
FACE = ((60.0, 52.0), (90.0, 58.0), (73.0, 72.0), (57.0, 82.0), (79.0, 86.0))
"""Turned, and not in the middle of a photo of 160 x 120 pixels."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    small.resize((160, 120), Image.Resampling.BICUBIC).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Face]:
    """What the detector `told` finds in any photo."""
    faces = [Face(FACE)]

    class Told(LandmarkDetector):
        def detect(self, photo: Image.Image) -> list[Face]:
            assert photo.mode == "RGB"
            return faces

    registry.register("landmarks", "told", Told)
    photo_alignment._detector.cache_clear()
    return faces


TOLD = PhotoOptions(detector="told")


def in_place(size: int) -> list[Face]:
    """Landmarks that ask for just the whole of a square photo."""
    square, whole = alignment_of(FACE), centred((size, size), 64)
    start, _, _, beside = np.array(square.corners)
    frame = np.stack([beside - start, (beside - start) @ np.array([[0, 1], [-1, 0]])])
    shares = (np.array(FACE) - start) @ np.linalg.inv(frame)
    points = shares * whole.side + np.array(whole.corners[0])
    return [Face(tuple((float(x), float(y)) for x, y in points))]


def test_a_face_that_is_not_at_its_place_is_put_there_and_said_to_be(photo: Path, found: list[Face]) -> None:
    placed = place_photo(photo, SIZE, TOLD, template="ffhq")
    expected = alignment_of(FACE, 64, (160, 120))
    assert placed.alignment == expected
    with Image.open(photo) as image:
        assert np.array_equal(np.asarray(placed.picture), np.asarray(align(image, expected, oversampling=OVERSAMPLING)))
    (note,) = placed.notes
    for part in (str(photo), "160 x 120 pixels are no square", "turned by", "off", "--no-align"):
        assert part in note


def test_an_aligned_photo_stays_as_it_is(photo: Path, found: list[Face], tmp_path: Path) -> None:
    with Image.open(photo) as image:
        image.crop((0, 0, 120, 120)).save(tmp_path / "square.png")
    found[:] = in_place(120)
    placed = place_photo(tmp_path / "square.png", SIZE, TOLD, template="ffhq")
    assert placed.alignment == centred((120, 120), 64) and placed.notes == () and placed.picture.size == (120, 120)


@pytest.mark.parametrize(
    ("options", "template"),
    [(PhotoOptions("never", "told"), "ffhq"), (TOLD, None), (PhotoOptions("never", face=1), None)],
)
def test_no_alignment_where_it_is_not_wanted(
    photo: Path, found: list[Face], options: PhotoOptions, template: str | None
) -> None:
    placed = place_photo(photo, SIZE, options, template=template)
    assert placed.alignment == centred((160, 120), 64) and placed.notes == () and placed.picture.size == (160, 120)


@pytest.mark.parametrize("told", [{"align": "always"}, {"face": 1}])
def test_alignment_where_it_is_asked_for(photo: Path, found: list[Face], told: dict[str, object]) -> None:
    placed = place_photo(photo, SIZE, PhotoOptions(detector="told", **told))  # type: ignore[arg-type]
    assert placed.alignment == alignment_of(FACE, 64, (160, 120)) and placed.notes == ()


def test_points_and_files_need_no_detector(photo: Path, tmp_path: Path) -> None:
    expected = alignment_of(FACE, 64, (160, 120))
    assert place_photo(photo, SIZE, PhotoOptions(points=FACE, detector="none")).alignment == expected
    (tmp_path / "photo.txt").write_text("\n".join(f"{x} {y}" for x, y in FACE))
    options = PhotoOptions(landmarks=str(tmp_path / "{stem}.txt"), detector="none")
    assert place_photo(photo, SIZE, options).alignment == expected


def test_no_face_is_said_or_refused(photo: Path, found: list[Face]) -> None:
    found.clear()
    placed = place_photo(photo, SIZE, TOLD, template="ffhq")
    assert placed.alignment == centred((160, 120), 64) and "no face was found" in placed.notes[0]
    with pytest.raises(ImageError, match="no face was found"):
        place_photo(photo, SIZE, PhotoOptions("always", "told"))


def test_without_a_detector_the_shape_tells(photo: Path, tmp_path: Path) -> None:
    class Missing(LandmarkDetector):
        def __init__(self) -> None:
            raise ComponentError("it is not installed")

        def detect(self, photo: Image.Image) -> list[Face]:
            raise AssertionError

    registry.register("landmarks", "missing", Missing)
    options = PhotoOptions(detector="missing")
    (note,) = place_photo(photo, SIZE, options, template="ffhq").notes
    assert "160 x 120 pixels are no square" in note and "it is not installed" in note
    Image.new("RGB", (50, 50)).save(tmp_path / "square.png")
    assert place_photo(tmp_path / "square.png", SIZE, options, template="ffhq").notes == ()
    with pytest.raises(ComponentError, match="not installed"):
        place_photo(photo, SIZE, PhotoOptions("always", "missing"))


def test_positions_are_those_of_the_photo_as_it_is_seen(photo: Path, found: list[Face], tmp_path: Path) -> None:
    with Image.open(photo) as image:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    placed = [place_photo(path, SIZE, TOLD, template="ffhq") for path in (photo, tmp_path / "turned.png")]
    assert placed[0].alignment == placed[1].alignment
    assert np.array_equal(np.asarray(placed[0].picture), np.asarray(placed[1].picture))


def test_a_generator_of_oblongs_takes_photos_as_they_are(photo: Path, found: list[Face]) -> None:
    assert place_photo(photo, (48, 64), TOLD, template="ffhq").alignment is None
    with pytest.raises(ImageError, match="only square"):
        place_photo(photo, (48, 64), PhotoOptions("always", "told"))


def test_what_lies_beside_an_aligned_picture_is_kept(tmp_path: Path, found: list[Face]) -> None:
    path, place = tmp_path / "face.png", alignment_of(FACE, 80, (160, 120))
    Image.new("RGB", (80, 80)).save(path)
    sidecar(path).write_text(json.dumps(place.as_dict()))
    assert place_photo(path, SIZE, TOLD, template="ffhq").alignment == Alignment(place.corners, 64, (160, 120))
    Image.new("RGB", (81, 81)).save(path)  # another picture of this name
    assert place_photo(path, SIZE, TOLD).alignment == centred((81, 81), 64)
    sidecar(path).write_text("{}")
    with pytest.raises(ImageError, match=r"face\.alignment\.json: no alignment"):
        place_photo(path, SIZE, TOLD)


def test_what_is_odd_is_named() -> None:
    def made(scale: float = 1, shift: float = 0, turn: float = 0, photo: tuple[int, int] = (100, 100)) -> list[str]:
        middle, angle = 49.5 + shift * 100, np.radians(turn)
        half = 50 * scale * np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-half[1], half[0]])
        corners = [middle + a * half + b * across for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
        return oddities(Alignment(tuple((float(x), float(y)) for x, y in corners), 64, photo))

    assert made() == made(1.03, 0.01, 1) == []
    assert made(1.25) == ["the face is 0.80 times as large as it should be"]
    assert made(0.8) == ["the face is 1.25 times as large as it should be"]
    assert made(shift=0.2) == ["it lies 20% of the side off"]
    assert made(turn=-5) == ["turned by -5 degrees"]
    assert "100 x 150 pixels are no square" in made(photo=(100, 150))


def test_a_fit_keeps_the_place_and_says_what_was_done(tiny_run: Path, found: list[Face]) -> None:
    import chunkygan

    domain = tiny_run / "tiny.yaml"
    domain.write_text("title: x\nresolution: [32, 32]\nalignment: ffhq\n")
    options = {"photo": {"detector": "told"}, "domain": str(domain)}
    with pytest.warns(UserWarning, match="is not aligned"):
        made = chunkygan.invert(tiny_run / "face.png", tiny_run / "recipe.yaml", **options)
    assert made.alignment == alignment_of(FACE, 32, (32, 32))
    made.save(tiny_run / "p.safetensors")
    assert chunkygan.load_projection(tiny_run / "p.safetensors").alignment == made.alignment
