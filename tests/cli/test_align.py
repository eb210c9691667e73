"""`chunkygan align`, and what `chunkygan invert` takes of its arguments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chunkygan.cli.main import main
from chunkygan.photos.alignment import alignment_from, alignment_of

WORDS = ["60,52", "90,58", "73,72", "57,82", "79,86"]
POINTS = [[float(value) for value in word.split(",")] for word in WORDS]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_five_points_make_a_crop_and_its_place(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out" / "face.png"
    assert main(["align", str(photo), "--out", str(target), "--size", "48", "--points", *WORDS]) == 0
    with Image.open(target) as picture:
        assert picture.size == (48, 48)
    place = alignment_from(json.loads((tmp_path / "out" / "face.alignment.json").read_text()))
    assert place == alignment_of(POINTS, 48, (160, 120))
    assert f"{photo} -> {target}" in capsys.readouterr().out


def test_a_folder_finds_its_landmark_files(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Image.open(photo) as image:
        image.save(tmp_path / "second.png")
    (tmp_path / "photo.txt").write_text("\n".join(word.replace(",", " ") for word in WORDS))
    words = ["--landmarks", str(tmp_path / "{stem}.txt"), "--out", str(tmp_path / "out"), "--size", "32"]
    assert main(["align", str(tmp_path), *words]) == 2
    assert "1 of 2 photos could not be aligned" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"photo.png", "photo.alignment.json"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--points", "1,2", "3,4", "5", "7,8", "9,10"], "--points takes five X,Y"),
        (["--points", "1,2", "3,4", "x,6", "7,8", "9,10"], "--points takes five X,Y"),
        (["--points", *WORDS, "--size", "1"], "--size must be"),
        (["--points", "1,1", "1,1", "1,1", "1,1", "1,1"], "five landmarks must be"),
        (["--landmarks", "none.txt"], "none.txt: cannot be read"),
        (["--detector", "dlip"], "did you mean 'dlib'"),
    ],
)
def test_mistakes_get_one_message(
    photo: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["align", str(photo), "--out", str(tmp_path / "face.png"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and not (tmp_path / "face.png").exists()


def test_the_photo_itself_is_never_overwritten(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = photo.read_bytes()
    assert main(["align", str(photo), "--out", str(photo), "--points", *WORDS]) == 2
    assert "names the photo itself" in capsys.readouterr().err and photo.read_bytes() == before


def test_invert_aligns_and_keeps_the_place(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import chunkygan

    points = ["10,12", "21,13", "16,17", "11,22", "20,23"]
    words = ["invert", str(tiny_run / "face.png"), "--recipe", str(tiny_run / "recipe.yaml")]
    assert main([*words, "--out", str(tiny_run / "out"), "--points", *points]) == 0
    made = chunkygan.load_projection(tiny_run / "out" / "face" / "projection.safetensors")
    five = [[float(value) for value in word.split(",")] for word in points]
    assert made.alignment == alignment_of(five, 32, (32, 32))
    assert main([*words, "--out", str(tiny_run / "other"), "--no-align"]) == 0
    made = chunkygan.load_projection(tiny_run / "other" / "face" / "projection.safetensors")
    assert made.alignment is not None and made.alignment.side == 32
