"""chunkygan check, chunkygan copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from chunkygan.cli.main import main

Capture = pytest.CaptureFixture[str]


def test_a_good_recipe_is_said_to_be_good(capsys: Capture) -> None:
    assert main(["check", "invert"]) == 0
    assert capsys.readouterr().out.endswith("invert.yaml: good, a recipe for 'invert'\n")


def test_three_mistakes_end_with_2_and_three_lines(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("base: invert\nsead: 1\ninverter: {setps: 3}\nlatent_space: {name: w_pls}\n")
    assert main(["check", str(path)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 3 and all(line.startswith(f"{path}: ") for line in err.splitlines())


def test_overrides_are_checked_too(capsys: Capture) -> None:
    assert main(["check", "invert", "inverter.setps=3"]) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err
    assert main(["check", "invert", "inverter.steps"]) == 2
    assert "must be key.path=value" in capsys.readouterr().err


def test_the_plugins_that_run_are_told(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "x.yaml").write_text("base: invert\nplugins: [mine.py]\n")
    assert main(["check", str(tmp_path / "x.yaml")]) == 0
    assert capsys.readouterr().err == f"running the plugin that the recipe names: {tmp_path / 'mine.py'}\n"


@pytest.mark.parametrize(
    ("dest", "file"),
    [("mine.yaml", "mine.yaml"), ("mine", "mine.yaml"), ("new/", "new/invert.yaml"), (".", "invert.yaml")],
)
def test_copy_goes_where_it_is_sent(dest: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["copy", "invert", dest]) == 0
    assert main(["check", str(tmp_path / file)]) == 0


def test_copy_never_overwrites(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("mine")
    assert main(["copy", "invert", str(path)]) == 2
    assert path.read_text() == "mine" and "is not overwritten" in capsys.readouterr().err


def test_copy_of_an_unknown_recipe_is_explained(tmp_path: Path, capsys: Capture) -> None:
    assert main(["copy", "invrt", str(tmp_path)]) == 2
    assert "did you mean 'invert'" in capsys.readouterr().err
