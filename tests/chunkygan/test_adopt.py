"""What a training left becomes what ships: file, manifest and card agree, and nothing else changes."""

from __future__ import annotations

import pytest
import yaml

from chunkygan.adopt import MARKS, adopt, best, with_entry, with_scores
from chunkygan.errors import WeightsError
from chunkygan.weights import sha256

MANIFEST = """# A comment.
one:
  file: one.safetensors
  kind: parser
  size: 3
  sha256: aa11

two:   # keeps its comment
  file: two.safetensors
  size: 4
  sha256: bb22
"""


def folders(tmp_path):
    checkpoints, run = tmp_path / "checkpoints", tmp_path / "run"
    checkpoints.mkdir()
    run.mkdir()
    (checkpoints / "manifest.yaml").write_text(MANIFEST)
    (checkpoints / "one.safetensors").write_bytes(b"old")
    (checkpoints / "one.md").write_text("# one\n\nWords of its author.\n")
    (run / "parser.safetensors").write_bytes(b"newer")
    (run / "scores.txt").write_text("miou 0.9000\niou_hair 0.9500\n")
    return checkpoints, run


def test_file_manifest_and_card_are_renewed_together(tmp_path):
    checkpoints, run = folders(tmp_path)
    path = adopt("one", run, checkpoints)
    entry = yaml.safe_load((checkpoints / "manifest.yaml").read_text())["one"]
    assert path.read_bytes() == b"newer"
    assert entry == {"file": "one.safetensors", "kind": "parser", "size": 5, "sha256": sha256(path)}
    card = (checkpoints / "one.md").read_text()
    assert "Words of its author." in card and "| miou | 0.9000 |" in card


def test_other_entries_and_comments_stay_as_they_are():
    renewed = with_entry(MANIFEST, "one", 99, "cc")
    assert renewed == MANIFEST.replace("size: 3", "size: 99").replace("aa11", "cc")


def test_scores_are_replaced_where_there_are_some():
    card = with_scores("# one\n", {"miou": 0.5})
    again = with_scores(card + "\nAfter.\n", {"miou": 0.75})
    assert again.count(MARKS[0]) == 1 and "0.7500" in again and "0.5000" not in again and again.endswith("After.\n")


def test_an_unknown_name_or_an_unfinished_run_changes_nothing(tmp_path):
    checkpoints, run = folders(tmp_path)
    with pytest.raises(WeightsError, match="no entry 'three'"):
        adopt("three", run, checkpoints)
    with pytest.raises(WeightsError, match="no entry"):
        with_entry("one:\n  size: 1\ntwo:\n  sha256: aa\n", "one", 1, "bb")
    (run / "scores.txt").unlink()
    with pytest.raises(WeightsError, match="not ended"):
        adopt("one", run, checkpoints)
    assert (checkpoints / "one.safetensors").read_bytes() == b"old"
    assert (checkpoints / "manifest.yaml").read_text() == MANIFEST


def test_of_several_runs_the_one_with_the_lowest_score_is_taken(tmp_path):
    runs = [tmp_path / "a", tmp_path / "b"]
    for run, value in zip(runs, (2.0, 1.5)):
        run.mkdir()
        (run / "scores.txt").write_text(f"frechet_procfaces {value}\n")
    assert best(runs, "frechet_procfaces") == runs[1]
    assert best(runs[:1], None) == runs[0]
    with pytest.raises(WeightsError, match="--lowest"):
        best(runs, None)
    with pytest.raises(WeightsError, match="no score 'miou'"):
        best(runs, "miou")
