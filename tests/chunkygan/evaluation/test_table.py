"""The table's numbers, worked by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from chunkygan.errors import ChunkyGANError
from chunkygan.evaluation.rows import Row
from chunkygan.evaluation.scores import ScoreFolder, Scores, write_csv
from chunkygan.evaluation.table import lines, markdown, shown, wins

NAN = math.nan
ROWS = [Row("W+", {"name": "w_plus"}), Row("chunks", {"name": "w_plus"}, True, against="W+")]
SCORES: Scores = {
    ("1", "W+"): {"l2": 0.2, "seconds": 1, "steps": 10},
    ("2", "W+"): {"l2": 0.4, "seconds": 1, "steps": 10},
    ("3", "W+"): {"l2": 0.6, "seconds": 1, "steps": 10},
    ("1", "chunks"): {"l2": 0.1, "seconds": 3, "outside_mask": 0.0},
    ("2", "chunks"): {"l2": 0.5, "seconds": 5, "outside_mask": 0.25},
    ("3", "chunks"): {"l2": 0.6, "seconds": 4},
}


def test_means_spreads_ratios_and_wins() -> None:
    base, chunks = lines(SCORES, ROWS, ["l2"], "W+")
    cell = chunks.cells["l2"]
    assert (cell.n, cell.wins, cell.pairs) == (3, 1, 3)  # a tie is no win
    assert cell.mean == pytest.approx(0.4) and cell.ratio == pytest.approx(1.0)
    assert cell.sd == pytest.approx(math.sqrt((0.3**2 + 0.1**2 + 0.2**2) / 2))
    assert base.cells["l2"].sd == pytest.approx(0.2) and base.cells["l2"].pairs == 0
    assert (chunks.seconds, chunks.outside, base.outside, base.steps, chunks.steps) == (4, 0.25, None, 10, None)


def test_the_ratio_is_over_pictures_that_both_rows_have() -> None:
    scores = {key: value for key, value in SCORES.items() if key != ("3", "chunks")}
    scores["4", "chunks"] = {"l2": 90.0}
    cell = lines(scores, ROWS, ["l2"], "W+")[1].cells["l2"]
    assert cell.ratio == pytest.approx((0.1 + 0.5) / (0.2 + 0.4))
    assert (cell.n, cell.pairs) == (3, 2) and cell.mean == pytest.approx(90.6 / 3)


def test_what_is_no_number_counts_nowhere() -> None:
    scores = {**SCORES, ("1", "chunks"): {"l2": NAN}, ("2", "W+"): {"l2": NAN}}
    base, chunks = (line.cells["l2"] for line in lines(scores, ROWS, ["l2"], "W+"))
    assert (base.n, chunks.n) == (2, 2)
    assert (chunks.wins, chunks.pairs, chunks.ratio) == (0, 1, pytest.approx(1.0))
    assert base.mean == pytest.approx(0.4) and chunks.mean == pytest.approx(0.55)


def test_a_row_without_fits_and_a_baseline_of_0_have_no_numbers() -> None:
    empty = lines({}, ROWS, ["l2"], "W+")[1]
    assert (empty.cells["l2"].mean, empty.fits, empty.seconds, shown(empty.cells["l2"])) == (None, 0, None, "-")
    perfect: Scores = {("1", "W+"): {"l2": 0.0}, ("1", "chunks"): {"l2": 0.1}}
    cell = lines(perfect, ROWS, ["l2"], "W+")[1].cells["l2"]
    assert cell.ratio is None and cell.sd == 0 and shown(cell) == "0.1000 ± 0.0000"


def test_any_two_rows_can_be_compared() -> None:
    assert wins(SCORES, "W+", "chunks", "l2") == (1, 3)
    assert wins(SCORES, "W+", "nobody", "l2") == (0, 0)


def test_the_text_has_ratio_wins_and_whether_there_is_an_outside() -> None:
    text = markdown(lines(SCORES, ROWS, ["l2"], "W+"), ["l2"], "W+").splitlines()
    assert text[0] == "| row | n | l2 | outside the masks | steps | s |"
    assert text[2] == "| W+ | 3 | 0.4000 ± 0.2000 (1.00) | no static mask | 10 | 1.0 |"
    assert text[3] == "| chunks | 3 | 0.4000 ± 0.2646 (1.00) | 0.25 | - | 4.0 |"
    assert text[-1] == "| chunks | W+ | 1 of 3 |"


def test_scores_are_kept_with_what_is_no_number(tmp_path: Path) -> None:
    folder = ScoreFolder(tmp_path, ["W+", "W-"])
    folder.write("a", "W+", {"l2": 0.125, "identity": NAN})
    assert folder.is_done("a", "W+") and not folder.is_done("a", "W-")
    found = folder.read(["a", "b"])
    assert list(found) == [("a", "W+")] and found["a", "W+"]["l2"] == 0.125 and math.isnan(found["a", "W+"]["identity"])
    assert folder.reconstruction("a", "W+").parent != folder.reconstruction("a", "W-").parent


def test_a_damaged_score_is_named(tmp_path: Path) -> None:
    folder = ScoreFolder(tmp_path, ["W+"])
    folder.write("a", "W+", {"l2": 1.0})
    path = next(tmp_path.rglob("*.json"))
    path.write_text(json.dumps({"image": "a"}))
    with pytest.raises(ChunkyGANError, match=f"{path.name}.*delete it"):
        folder.read(["a"])


def test_the_csv_has_a_line_for_each_fit_and_failure(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", {("a,b", "W"): {"l2": 0.5}, ("c", "W"): {"lpips": 1.0}}, {("d", "W"): "no\nmasks"})
    text = (tmp_path / "x.csv").read_text()
    assert text == 'image,row,l2,lpips,error\n"a,b",W,0.5,,\nc,W,,1.0,\nd,W,,,"no\nmasks"\n'
