"""Attributes that a picture has now, told on the command line to a flow that names no classifier."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from chunkygan._torchvision import ensure_importable

ensure_importable()
pytest.importorskip("torchdiffeq")

import chunkygan  # noqa: E402
from chunkygan.cli.main import main  # noqa: E402
from chunkygan.components.latent_spaces.w_plus import WPlus  # noqa: E402
from chunkygan.generator_file import write_generator  # noqa: E402
from chunkygan.projection import Projection  # noqa: E402
from chunkygan.types import Codes, Segments  # noqa: E402
from chunkygan.weights import sha256  # noqa: E402

LIGHT = [0.8, 0.1, -0.2, 0.0, 0.3, 0.05, -0.1, 0.2, 0.0]
FACE = {
    "gender": 1, "glasses": 0.0, "yaw": -5.0, "pitch": 2.0, "baldness": 0.0, "beard": 0.1, "age": 30.0, "smile": 0.9,
}  # fmt: skip
PRESENT = {**FACE, **{f"light_{i}": value for i, value in enumerate(LIGHT)}}
AGE_UNIT = 65 / 12**0.5


@pytest.fixture
def work(tmp_path, tiny, halves, tests_data, monkeypatch):
    """The working folder: a projection of two chunks, the public flow with few weights, and what the face shows."""
    monkeypatch.chdir(tmp_path)
    write_generator(tiny, tmp_path / "generator.safetensors")
    with torch.no_grad():
        masks = halves()[0]
    codes = tuple(WPlus(tiny).sample(2, rng=torch.Generator().manual_seed(3)))
    generator = {"name": "stylegan2", "weights": str(tmp_path / "generator.safetensors")}
    projection = Projection(
        torch.zeros(1, 3, 32, 32), Codes(codes, ({"name": "w_plus"},) * 2), Segments(masks, ("left", "right")), tiny,
        generator_spec=generator, generator_sha256=sha256(tmp_path / "generator.safetensors"),
    )  # fmt: skip
    projection.save("face.safetensors")
    peers = {name: torch.from_numpy(value) for name, value in np.load(tests_data / "styleflow_tiny.npz").items()}
    torch.save({name[6:]: value for name, value in peers.items() if name.startswith("param/")}, "flow.pt")
    (tmp_path / "face.json").write_text(json.dumps({**FACE, "light": LIGHT}))
    return tmp_path


def edit(*words):
    return main(["edit", "face.safetensors", *words, "--out", "out"])


def edited():
    return chunkygan.load_projection("out/face/projection.safetensors")


@pytest.mark.parametrize("name", ["face.json", "face.yaml"])
def test_the_command_gives_what_python_gives(work, name):
    if name == "face.yaml":
        (work / name).write_text("".join(f"{key}: {value}\n" for key, value in PRESENT.items()))
    assert edit("--edit", "flow.pt#age=1.5", "--chunk", "left", "--present", name) == 0
    plain = chunkygan.load_projection("face.safetensors")
    spec = {"name": "styleflow", "weights": "flow.pt", "changes": {"age": 1.0}, "present": PRESENT}
    assert edited().edits[0].spec["present"] == PRESENT
    assert torch.equal(edited().render(), plain.edit(spec, 1.5, "left", name="age").render())
    assert not torch.equal(edited().render(), plain.render())


def test_a_later_edit_is_told_what_earlier_ones_changed(work):
    words = ["--edit", "flow.pt#age=1", "--chunk", "left", "--edit", "flow.pt#smile=-1", "--edit", "flow.pt#yaw=1"]
    assert edit(*words, "--chunk", "right", "--present", "face.json") == 0
    first, second, third = (one.spec["present"] for one in edited().edits)
    assert first == PRESENT
    assert second == {**PRESENT, "age": pytest.approx(30 + AGE_UNIT)}
    assert third == {**PRESENT, "smile": pytest.approx(0.9 - 1 / 12**0.5)}  # the age is of the other chunk


def test_a_sweep_takes_them_and_the_edits_of_a_grid_are_not_told_of_each_other(work):
    assert edit("--sweep", "flow.pt#age=-1:1:3", "--present", "face.json") == 0
    sweeps = ["flow.pt#age=-1:1:2", "flow.pt#smile=-1:1:2"]
    from chunkygan.cli import edit_steps as command

    added = []
    make = command.with_edit

    def seen(*args):
        added.append(make(*args).edits[-1].spec["present"])
        return make(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "with_edit", seen)
        assert edit("--edit", "flow.pt#yaw=1", "--grid", *sweeps, "--present", "face.json") == 0
    turned = {**PRESENT, "yaw": pytest.approx(-5 + 40 / 12**0.5)}
    assert added == [PRESENT, turned, turned]


def test_all_that_is_wrong_is_said_at_once(work, capsys):
    odd = {**FACE, "age": 70, "smile": "much", "yaw": float("nan"), "beerd": 0.1, "light": LIGHT[:8]}
    del odd["beard"]
    (work / "odd.json").write_text(json.dumps(odd))
    assert edit("--edit", "flow.pt#age=1", "--present", "odd.json") == 2
    said = capsys.readouterr().err
    assert "odd.json: age: must be 0 to 65; got 70" in said
    assert "odd.json: smile: must be a finite number; got 'much'" in said
    assert "odd.json: yaw: must be a finite number; got 'NaN'" in said
    assert "odd.json: beerd: the flow knows no such attribute" in said and "did you mean 'beard'" in said
    assert "odd.json: lacks light_8, beard: the flow names no classifier" in said
    assert not (work / "out").exists()


@pytest.mark.parametrize(("content", "message"), [("[1, 2]", "must be a map"), ("{a", "bad.json"), (None, "bad.json")])
def test_files_that_hold_no_attributes(work, capsys, content, message):
    if content is not None:
        (work / "bad.json").write_text(content)
    assert edit("--edit", "flow.pt#age=1", "--present", "bad.json") == 2
    assert message in capsys.readouterr().err


def test_without_them_the_command_says_how_to_tell_them(work, capsys):
    assert edit("--edit", "flow.pt#age=1") == 2
    assert "--present FILE" in capsys.readouterr().err


def test_they_are_of_one_picture_and_of_a_flow(work, capsys):
    torch.save(torch.ones(16), "dark.pt")
    assert edit("--edit", "dark.pt=1", "--present", "face.json") == 2
    assert "--present is for edits by a flow" in capsys.readouterr().err
    (work / "other.safetensors").write_bytes((work / "face.safetensors").read_bytes())
    assert edit("other.safetensors", "--edit", "flow.pt#age=1", "--present", "face.json") == 2
    assert "--present is of one picture; there are 2 projections" in capsys.readouterr().err
