"""The evaluation as a command: it runs over folders and sets, goes on, shares, and loses nothing."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path

import pytest
import torch
from torch.distributed import HashStore

from chunkygan.cli.main import main
from chunkygan.evaluation.fidelity import FidelityEvaluation
from chunkygan.evaluation.measures import PRESETS, Preset
from chunkygan.evaluation.rows import Row
from chunkygan.images import read_image, write_image
from chunkygan.lightning.share import Team
from chunkygan.recipe import load

Capture = pytest.CaptureFixture[str]
ROWS = "rows: {W: {latent_space: w}, chunks: {latent_space: w, chunks: true, against: W}}\n"


@pytest.fixture
def evaluation(tiny_run: Path) -> Path:
    """The file of a recipe for a folder of one photo with painted masks."""
    (tiny_run / "photos").mkdir()
    (tiny_run / "face.png").rename(tiny_run / "photos" / "face.png")
    text = (tiny_run / "recipe.yaml").read_text().replace("job: invert", "job: evaluate_fidelity")
    path = tiny_run / "evaluate.yaml"
    path.write_text(text.replace("output: {gif_frames: 2}", "") + f"images: {{folder: {tiny_run}/photos}}\n" + ROWS)
    return path


def lines(out: Path) -> list[dict[str, str]]:
    with (out / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_runs_over_a_folder_and_goes_on(evaluation: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    words = ["evaluate", str(evaluation), "--out", str(out)]
    assert main(words) == 0
    assert [line["row"] for line in lines(out)] == ["W+", "W", "chunks"]  # one code in W+ is always there
    assert "| chunks |" in capsys.readouterr().out
    assert {p.name for p in out.iterdir() if p.is_file()} == {
        "recipe.yaml", "run.json", "report.html", "table.md", "summary.json", "scores.csv",
        "scatter_l2.svg", "scatter_lpips_tiny.svg",
    }  # fmt: skip
    first, fits = lines(out), sorted(out.glob("rows/*/*.json"))
    assert len(fits) == 3 and len(list(out.glob("rows/*/face_masks.png"))) == 1
    fits[1].unlink()  # as if it had been interrupted before this one was done
    assert main(words) == 0
    assert capsys.readouterr().err.count("] face, ") == 1
    again = lines(out)
    for before, after in zip(first, again):
        assert {k: v for k, v in before.items() if k not in ("seconds", "peak_memory_bytes")} == {
            k: v for k, v in after.items() if k not in ("seconds", "peak_memory_bytes")
        }


def test_scores_are_those_of_the_files_that_are_kept(
    evaluation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"name": "lpips", "net": "tiny", "weights": str(tmp_path / "perceptual.safetensors")}
    monkeypatch.setitem(PRESETS, "celebahq_256_alex", Preset(spec, None, 32))
    out = tmp_path / "out"
    assert main(["evaluate", str(evaluation), "measures=celebahq_256_alex", "--out", str(out)]) == 0
    target = read_image(out / "targets" / "face.png")
    for line, folder in zip(lines(out), sorted((out / "rows").iterdir())):
        drawn = read_image(folder / "face.png")
        assert float((drawn - target).square().mean()) == pytest.approx(float(line["l2_32"]), rel=1e-5)
        assert float(line["l2"]) > float(line["l2_32"])  # what is beyond [-1, 1] is in no file
        assert line["steps"] == "2.0"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["chunks"]["against"] == "W" and summary["chunks"]["measures"]["lpips_tiny_32"]["pairs"] == 1


def test_a_row_that_keeps_the_photo_outside_its_masks_says_by_how_much(evaluation: Path, tmp_path: Path) -> None:
    half = (torch.arange(32).expand(32, 32) >= 16).float() * 2 - 1
    folder = tmp_path / "half"
    write_image(folder / "left.png", half.expand(3, 32, 32))
    row = f"{{latent_space: w, chunks: true, mask_generator: {{name: painted, path: {folder}, rest: static}}}}"
    evaluation.write_text(evaluation.read_text().replace(ROWS, f"rows: {{kept: {row}}}\n"))
    out = tmp_path / "out"
    assert main(["evaluate", str(evaluation), "--out", str(out)]) == 0
    found = {line["row"]: line["outside_mask"] for line in lines(out)}
    assert found == {"W+": "", "kept": "0.0"}
    assert "| no static mask |" in (out / "table.md").read_text()


def test_one_template_serves_all_and_a_set_s_true_masks_can_be_asked_for(evaluation: Path, tmp_path: Path) -> None:
    text = evaluation.read_text().replace("{stem}_masks.png", "face_masks.png")
    evaluation.write_text(text)
    write_image(tmp_path / "photos" / "other.png", torch.zeros(1, 3, 32, 32))
    assert main(["evaluate", str(evaluation), "--out", str(tmp_path / "a")]) == 0
    assert len(lines(tmp_path / "a")) == 6
    true = "{latent_space: w, chunks: true, mask_generator: {name: painted, keep: [rest]}}"
    source = "images: {dataset: {name: procfaces, resolution: 32}, count: 1, chunks: {face: [skin]}}"
    text = text.replace(f"images: {{folder: {tmp_path}/photos}}", source).replace(ROWS, f"rows: {{truth: {true}}}\n")
    evaluation.write_text(text)
    assert main(["evaluate", str(evaluation), "--out", str(tmp_path / "b")]) == 0
    last = lines(tmp_path / "b")[-1]
    assert (last["chunks"], last["outside_mask"]) == ("1.0", "0.0")


def test_a_picture_that_fails_is_told_and_the_rest_is_done(evaluation: Path, tmp_path: Path, capsys: Capture) -> None:
    write_image(tmp_path / "photos" / "unpainted.png", torch.zeros(1, 3, 32, 32))
    out = tmp_path / "out"
    assert main(["evaluate", str(evaluation), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert "unpainted, chunks: " in said.err and "1 of 6 fits failed" in said.err
    failed = [line for line in lines(out) if line["error"]]
    assert [(line["image"], line["row"]) for line in failed] == [("unpainted", "chunks")]
    assert "unpainted_masks.png" in (out / "report.html").read_text()
    (tmp_path / "face_masks.png").rename(tmp_path / "unpainted_masks.png")  # mended
    assert main(["evaluate", str(evaluation), "--out", str(out)]) == 0
    assert len(lines(out)) == 6


def test_an_interruption_keeps_what_is_done(evaluation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, fits = FidelityEvaluation._fit, []

    def interrupted(self: FidelityEvaluation, *args: object) -> bool:
        if fits:
            raise KeyboardInterrupt
        fits.append(args)
        return fit(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(FidelityEvaluation, "_fit", interrupted)
    out = tmp_path / "out"
    words = ["evaluate", str(evaluation), "--out", str(out)]
    assert main(words) == 130
    assert [line["row"] for line in lines(out)] == ["W+"] and "1 of 3 fits done" in (out / "report.html").read_text()
    monkeypatch.undo()
    assert main(words) == 0 and len(lines(out)) == 3


def test_processes_share_the_fits_and_one_of_them_sums_up(
    evaluation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "photos" / "other.png", torch.zeros(1, 3, 32, 32))
    fits: list[tuple[str, str, int]] = []
    together = threading.Barrier(2)

    def fit(self: FidelityEvaluation, number: int, picture: str, row: Row) -> bool:
        if number <= 2:
            together.wait(60)  # each of the two is at work
        fits.append((picture, row.name, self.team.rank))
        self.folder.write(picture, row.name, {"l2": float(number)})
        return True

    monkeypatch.setattr(FidelityEvaluation, "_fit", fit)
    store, recipe, out = HashStore(), load(evaluation, job="evaluate_fidelity"), tmp_path / "out"
    teams = [Team({"accelerator": "cpu"}, rank, 2, store) for rank in range(2)]
    both = [FidelityEvaluation(recipe, out, team, lambda line: None) for team in teams]
    other = threading.Thread(target=both[1].run)
    other.start()
    both[0].run()
    other.join(60)
    assert sorted(fit[:2] for fit in fits) == sorted((p, r) for p in ("face", "other") for r in ("W+", "W", "chunks"))
    assert {rank for _, _, rank in fits} == {0, 1} and len(lines(out)) == 6


@pytest.mark.parametrize(
    ("rows", "word", "said"),
    [
        ("{W: {space: w}}", "seed=0", "rows.W"),
        ("{W: {latent_space: w, inverter: {setps: 3}}}", "seed=0", "rows.W.inverter"),
        ("{c: {latent_space: w, chunks: true}}", "mask_generator=null", "mask_generator is required"),
        ("{W: {latent_space: w}}", "measures=chunki", "did you mean 'chunky'"),
    ],
)
def test_what_is_wrong_is_said_before_any_fit(
    evaluation: Path, tmp_path: Path, capsys: Capture, rows: str, word: str, said: str
) -> None:
    evaluation.write_text(evaluation.read_text().replace(ROWS, f"rows: {rows}\n"))
    assert main(["evaluate", str(evaluation), word, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("rows/*/*"))
