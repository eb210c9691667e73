"""chunkygan list."""

from __future__ import annotations

import pytest

from chunkygan import registry
from chunkygan.cli.main import main

Capture = pytest.CaptureFixture[str]


def test_all_kinds_with_entries_are_listed(capsys: Capture) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "latent_spaces\n  s       " in out and "recipes\n" in out and "domains\n" in out
    assert "blenders" not in out.splitlines() or registry.names("blender")


def test_one_kind_is_one_line_a_name(capsys: Capture) -> None:
    assert main(["list", "latent_space"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["s", "w", "w_plus"]


def test_plugins_say_whose_they_are(capsys: Capture) -> None:
    registry.register("blender", "mine", object, summary="a blender", origin="package somebody 1.0")
    assert main(["list", "blenders"]) == 0
    assert "mine" in (out := capsys.readouterr().out) and "a blender (package somebody 1.0)" in out


@pytest.mark.parametrize("kind", ["recipe", "recipes"])
def test_recipes_have_a_line_each(kind: str, capsys: Capture) -> None:
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(len(line.split()) > 3 for line in lines)


def test_domains_have_a_line_each(capsys: Capture) -> None:
    assert main(["list", "domains"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["procfaces_128"].startswith("faces that") and "FFHQ" in lines["ffhq_1024"]


def test_weights_say_whether_they_are_here(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("weights")
    (folder / "model_ir_se50.pth").touch()
    monkeypatch.setenv("CHUNKYGAN_CHECKPOINTS", str(folder))
    assert main(["list", "weights"]) == 0
    out = capsys.readouterr().out
    assert "identity network; here" in out and "not here: ffhq.pkl from https://" in out


def test_unknown_kind_names_a_near_one(capsys: Capture) -> None:
    assert main(["list", "latentspace"]) == 2
    assert "did you mean 'latent_space'" in capsys.readouterr().err
