"""The evaluation: its table, how it goes on, and how classes become chunks."""

import pytest
import torch

from chunkygan.cli.main import main
from chunkygan.errors import RecipeError
from chunkygan.evaluation import Row, table
from chunkygan.evaluation_images import merged


def test_classes_are_joined_and_what_is_left_is_the_rest():
    masks = torch.zeros(4, 2, 2)
    masks[0, 0, 0] = masks[1, 0, 1] = masks[3, 1] = 1
    names, chunks = merged(masks, ["a", "b", "c", "d"], {"one": ["a", "b"], "none": ["c"]})
    assert names == ("one", "rest")  # c has no pixel
    assert chunks.tolist() == [[[1, 1], [0, 0]], [[0, 0], [1, 1]]]


def test_classes_that_are_not_there_or_twice_are_named():
    masks = torch.ones(2, 2, 2) / 2
    with pytest.raises(RecipeError, match="no class 'eyess'.*did you mean 'eyes'"):
        merged(masks, ["eyes", "skin"], {"one": ["eyess"]})
    with pytest.raises(RecipeError, match="in two chunks"):
        merged(masks, ["eyes", "skin"], {"one": ["eyes"], "two": ["eyes"]})


def test_the_table_counts_pictures_that_are_better():
    rows = [Row("W", {}, False, {}, ""), Row("chunks", {}, True, {}, "W")]
    scores = {
        ("1", "W"): {"l2": 0.2, "seconds": 1}, ("1", "chunks"): {"l2": 0.1, "seconds": 3},
        ("2", "W"): {"l2": 0.4, "seconds": 1}, ("2", "chunks"): {"l2": 0.5, "seconds": 5},
    }  # fmt: skip
    lines = table(scores, rows).splitlines()
    assert lines[-2] == "| W | 0.3000 ± 0.1414 | 1.0 |  |"
    assert lines[-1] == "| chunks | 0.3000 ± 0.2828 | 4.0 | 1 of 2 |"


def test_it_runs_over_a_folder_and_goes_on(tiny_run, capsys):
    (tiny_run / "photos").mkdir()
    (tiny_run / "face.png").rename(tiny_run / "photos" / "face.png")
    recipe = tiny_run / "evaluate.yaml"
    text = (tiny_run / "recipe.yaml").read_text().replace("job: invert", "job: evaluate_fidelity")
    recipe.write_text(
        text.replace("output: {gif_frames: 2}", "")
        + f"images: {{folder: {tiny_run}/photos}}\n"
        + "rows: {W: {latent_space: w}, chunks: {latent_space: w, chunks: true, against: W}}\n"
    )
    words = ["evaluate", str(recipe), "--out", str(tiny_run / "out")]
    assert main(words) == 0
    first = (tiny_run / "out" / "scores.csv").read_text()
    assert len(first.splitlines()) == 3
    assert "| chunks |" in capsys.readouterr().out
    assert main(words) == 0
    assert capsys.readouterr().err == ""  # nothing was fitted again
    assert (tiny_run / "out" / "scores.csv").read_text() == first


def test_a_row_that_says_something_unknown_is_refused(tiny_run, capsys):
    recipe = tiny_run / "evaluate.yaml"
    text = (tiny_run / "recipe.yaml").read_text().replace("job: invert", "job: evaluate_fidelity")
    recipe.write_text(
        text.replace("output: {gif_frames: 2}", "") + f"images: {{folder: {tiny_run}}}\nrows: {{W: {{space: w}}}}\n"
    )
    assert main(["evaluate", str(recipe), "--out", str(tiny_run / "out")]) == 2
    assert "rows.W" in capsys.readouterr().err
