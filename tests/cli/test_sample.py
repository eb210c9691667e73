"""`chunkygan sample` and `chunkygan train`: sheets of pictures, and trainings by recipe."""

import torch
from PIL import Image

from chunkygan.cli.main import main
from chunkygan.images import read_image
from chunkygan.pictures import grid


def test_a_grid_goes_row_by_row_and_ends_white():
    images = torch.arange(5).float().div(10).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    sheet = grid(images, 3)
    assert sheet.shape == (1, 3, 4, 6)
    assert sheet[0, 0, ::2, ::2].tolist() == [[0, torch.tensor(0.1).item(), torch.tensor(0.2).item()],
                                              [torch.tensor(0.3).item(), torch.tensor(0.4).item(), 1]]  # fmt: skip


def test_a_sheet_of_a_generator_is_the_same_for_the_same_seed(tiny_run, capsys):
    sheets = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tiny_run / f"{name}.png"
        words = ["--generator", tiny_run / "generator.safetensors", "--grid", "3x2", "--seed", seed, "--out", out]
        assert main(["sample", *map(str, words)]) == 0
        sheets.append(read_image(out))
    assert Image.open(tiny_run / "a.png").size == (96, 64)
    assert torch.equal(sheets[0], sheets[1]) and not torch.equal(sheets[0], sheets[2])


def test_a_sheet_of_drawn_faces(tmp_path):
    out = tmp_path / "faces.png"
    assert main(["sample", "--dataset", "procfaces", "--grid", "2x1", "--resolution", "64", "--out", str(out)]) == 0
    assert Image.open(out).size == (128, 64)


def test_a_sheet_by_several_processes_is_the_sheet_of_one(tmp_path):
    words = ["sample", "--dataset", "procfaces", "--grid", "3x1", "--resolution", "32", "--out"]
    for workers in ("1", "2"):
        assert main([*words, str(tmp_path / f"{workers}.png"), "--workers", workers]) == 0
    assert torch.equal(read_image(tmp_path / "1.png"), read_image(tmp_path / "2.png"))


def test_no_workers_are_the_users_mistake(capsys):
    assert main(["sample", "--dataset", "procfaces", "--workers", "0"]) == 2
    assert "--workers: must be at least 1" in capsys.readouterr().err


def test_a_grid_that_is_none_is_the_users_mistake(capsys):
    assert main(["sample", "--grid", "8 by 4"]) == 2
    assert "--grid" in capsys.readouterr().err


def test_a_recipe_that_trains_nothing_is_refused(tiny_run, capsys):
    assert main(["train", str(tiny_run / "recipe.yaml")]) == 2
    assert "is no training" in capsys.readouterr().err
