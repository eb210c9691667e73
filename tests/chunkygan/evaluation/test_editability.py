"""Edits of fits, measured: what is calibrated, what a local edit leaves, and that an interruption loses nothing."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
import torch

from chunkygan.cli.main import main
from chunkygan.editing.direction import Direction
from chunkygan.editing.directions_file import write_directions
from chunkygan.errors import RecipeError
from chunkygan.evaluation.calibration import Calibration, strength_for
from chunkygan.evaluation.editability import EditabilityEvaluation
from chunkygan.images import read_image
from chunkygan.projection_file import load_projection

Capture = pytest.CaptureFixture[str]
ROWS = "rows: {W: {latent_space: w}, chunks: {latent_space: w, chunks: true, against: W}}\n"


def lines(out: Path) -> list[dict[str, str]]:
    with (out / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def evaluation(tiny_run: Path) -> Path:
    """The file of a recipe for a folder of one photo with painted masks, a random classifier and one direction."""
    (tiny_run / "photos").mkdir()
    (tiny_run / "face.png").rename(tiny_run / "photos" / "face.png")
    vector = torch.randn(16, generator=torch.Generator().manual_seed(1))
    (tiny_run / "found").mkdir()
    write_directions(
        tiny_run / "found" / "directions.safetensors", [Direction("more", "w", vector / vector.norm(), None, 2.0)],
        generator_sha256=None,
    )  # fmt: skip
    text = (tiny_run / "recipe.yaml").read_text().replace("job: invert", "job: evaluate_editability")
    path = tiny_run / "evaluate.yaml"
    path.write_text(
        text.replace("output: {gif_frames: 2}", "")
        + f"images: {{folder: {tiny_run}/photos}}\n"
        + "identity: {name: domain, net: procfaces, weights: procfaces_128_identity}\n"
        + "classifier: {name: domain, config: {names: [smile, age], size: 32, widths: [4, 4]}}\n"
        + f"directions: [{tiny_run}/found]\n"
        + "edits: {more: {attribute: smile, chunks: [chunk_0]}}\n"
        + "calibration: {effect: null, strength: 0.5, strengths: [-1, 1], samples: 4}\n"
        + ROWS
    )
    return path


def test_the_strength_is_the_one_with_the_wanted_effect() -> None:
    readings = [{-1.0: 1.0 - 0.5, 0.0: 1.0, 1.0: 1.0 + 0.5}, {-1.0: -3.0, 0.0: -2.0, 1.0: -1.0}]  # slopes 0.5 and 1
    plan = Calibration(effect=1.5, strengths=(-1.0, 0.0, 1.0))
    found = strength_for(readings, plan)
    assert found.slope == pytest.approx(0.75) and found.value == pytest.approx(2.0) and not found.limited
    least = strength_for(readings, Calibration(effect=-1.5, strengths=(-1.0, 0.0, 1.0), most=1.0))
    assert least.value == -1.0 and least.limited
    equal = strength_for(readings, Calibration(effect=None, strength=3.0, strengths=(-1.0, 0.0, 1.0)))
    assert (equal.value, equal.slope) == (3.0, pytest.approx(0.75))


def test_what_was_not_read_and_what_goes_the_wrong_way_gives_no_strength() -> None:
    plan = Calibration(strengths=(0.0, 1.0))
    assert math.isnan(strength_for([], plan).value)
    lacking = {0.0: math.nan, 1.0: 2.0}
    assert strength_for([lacking, {0.0: 0.0, 1.0: 0.5}], plan).value == pytest.approx(2.0)
    assert math.isnan(strength_for([{0.0: 1.0, 1.0: 0.0}], plan).value)
    with pytest.raises(RecipeError, match="two different"):
        Calibration(strengths=(1.0, 1.0))


def test_edits_are_measured_on_the_pictures_that_are_kept(evaluation: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", str(evaluation), "--out", str(out)]) == 0
    assert "| more | everywhere | chunks |" in capsys.readouterr().out
    found = lines(out)
    assert [(line["row"], line["where"]) for line in found] == [
        ("W+", "everywhere"), ("W", "everywhere"), ("chunks", "everywhere"), ("chunks", "chunk_0")
    ]  # fmt: skip
    assert {line["strength"] for line in found} == {"0.5"}
    row = next(out.glob("rows/*_chunks"))
    fit = load_projection(row / "face.safetensors")
    spread = json.loads((out / "spread.json").read_text())["smile"]
    assert spread > 0
    local, whole = found[3], found[2]
    assert float(local["outside"]) == 0.0 < float(whole["outside"])
    strip = read_image(next(out.glob("edits/*_chunks")) / "face.png")
    before, everywhere, inside = strip.split(32, dim=3)
    assert torch.allclose(before, fit.render().clamp(-1, 1), atol=0.5 / 127.5 + 1e-6)
    away = fit.masks[fit.segments.names.index("chunk_0")] == 0
    assert torch.equal(before[..., away], inside[..., away]) and not torch.equal(before, inside)
    missed = (everywhere - before).square().mean(1)[0][away].mean()
    assert float(missed) == pytest.approx(float(whole["outside"]), rel=0.05)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["chunks"]["edits"]["more in chunk_0"]["measures"]["outside"]["mean"] == 0.0
    assert (out / "sheet_more.png").is_file()


def test_it_goes_on_and_makes_edits_again_whose_strength_has_changed(
    evaluation: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit, edits = EditabilityEvaluation._edit, []

    def interrupted(self: EditabilityEvaluation, *args: object) -> bool:
        if edits:
            raise KeyboardInterrupt
        edits.append(args)
        return edit(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(EditabilityEvaluation, "_edit", interrupted)
    out = tmp_path / "out"
    words = ["evaluate", str(evaluation), "--out", str(out)]
    assert main(words) == 130
    assert [line["row"] for line in lines(out)] == ["W+"]
    monkeypatch.undo()
    capsys.readouterr()
    assert main(words) == 0
    said = capsys.readouterr().err
    assert said.count("[fit ") == 0 and said.count("[edits ") == 2 and len(lines(out)) == 4
    path = next(out.glob("edits/*_W+/face.json"))
    kept = json.loads(path.read_text())
    kept["scores"]["more: strength"] = 0.25
    path.write_text(json.dumps(kept))
    assert main(words) == 0
    assert capsys.readouterr().err.count("[edits ") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("attribute: smile", "attribute: simle"), "did you mean 'smile'"),
        (("{more:", "{moer: {}, more:"), "edits.moer.attribute"),
        (("edits: {more: {attribute: smile", "edits: {mor: {attribute: smile"), "did you mean 'more'"),
        (("strengths: [-1, 1]", "strengths: [1]"), "two different"),
        (("effect: null", "effct: null"), "calibration.effct"),
    ],
)
def test_what_is_wrong_is_said_before_any_fit(
    evaluation: Path, tmp_path: Path, capsys: Capture, change: tuple[str, str], said: str
) -> None:
    evaluation.write_text(evaluation.read_text().replace(*change))
    assert main(["evaluate", str(evaluation), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("rows/*/*"))


def test_recipes_of_other_jobs_are_refused(capsys: Capture, tmp_path: Path) -> None:
    assert main(["evaluate", "invert", "--out", str(tmp_path / "out")]) == 2
    assert "'invert' is no evaluation" in capsys.readouterr().err
