"""`chunkygan edit`: what it writes, local and global edits, sweeps, folders, and what it says about bad input."""

import json

import numpy as np
import pytest
import torch

import chunkygan
from chunkygan.cli.main import main
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.generator_file import write_generator
from chunkygan.images import read_image, write_image
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments
from chunkygan.weights import sha256


@pytest.fixture
def folder(tmp_path, tiny, halves):
    """A folder with the projection of ``face``, and directions."""
    write_generator(tiny, tmp_path / "generator.safetensors")
    with torch.no_grad():
        masks = halves()[0]
    codes = tuple(WPlus(tiny).sample(2, rng=torch.Generator().manual_seed(3)))
    target = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(1)) / 127.5 - 1
    (tmp_path / "face").mkdir()
    Projection(
        target, Codes(codes, ({"name": "w_plus"},) * 2), Segments(masks, ("left", "right")), tiny,
        generator_spec={"name": "stylegan2", "weights": str(tmp_path / "generator.safetensors")},
        generator_sha256=sha256(tmp_path / "generator.safetensors"),
    ).save(tmp_path / "face" / "projection.safetensors")  # fmt: skip
    (tmp_path / "directions").mkdir()
    rng = np.random.default_rng(0)
    np.save(tmp_path / "directions" / "smile.npy", 0.5 * rng.standard_normal(16))
    np.save(tmp_path / "directions" / "age.npy", rng.standard_normal((1, 16)).astype(np.float32))
    np.save(tmp_path / "directions" / "other.npy", rng.standard_normal((18, 512)))
    return tmp_path


@pytest.fixture
def edit(folder):
    def run(*words, what="face/projection.safetensors"):
        options = ["--directions", str(folder / "directions"), "--out", str(folder / "out")]
        return main(["edit", str(folder / what), *map(str, words), *options])

    return run


def before(folder):
    return chunkygan.load_projection(folder / "face" / "projection.safetensors")


def test_a_local_and_a_global_edit_are_written_in_order(folder, edit):
    assert edit("--edit", "smile=1.5", "--chunk", "left", "--edit", "age=-0.5", "--rows", "2:5") == 0
    out = folder / "out" / "face"
    assert {p.name for p in out.iterdir()} == {"edited.png", "projection.safetensors", "strip.png", "edit.json"}
    edited = chunkygan.load_projection(out / "projection.safetensors")
    assert [(e.name, e.strength, e.chunks, e.rows) for e in edited.edits] == [
        ("smile", 1.5, (0,), None), ("age", -0.5, (0, 1), (2, 5)),
    ]  # fmt: skip
    smile = torch.from_numpy(np.load(folder / "directions" / "smile.npy")).float()
    torch.testing.assert_close(edited.edits[0].direction, smile, atol=1e-5, rtol=1e-5)  # strength 1 is the file's own
    assert float((read_image(out / "edited.png") - edited.render().clamp(-1, 1)).abs().max()) < 0.005
    assert read_image(out / "strip.png").shape == (1, 3, 32, 96)
    assert json.loads((out / "edit.json").read_text())["changed"] > 0


def test_edits_add_to_those_there_are_and_can_be_taken_back(folder, edit):
    edit("--edit", "smile=1", "--edit", "s3.7=2")
    once = folder / "out" / "face" / "projection.safetensors"
    assert len(chunkygan.load_projection(once).edits) == 2
    assert edit("--remove", "0", "--remove", "1", what="out/face/projection.safetensors") == 0
    assert torch.equal(chunkygan.load_projection(once).render(), before(folder).render())


@pytest.mark.parametrize("blender", ["alpha", "poisson"])
def test_blended_the_photo_stays_outside_the_edited_chunk(folder, edit, blender):
    hard = before(folder)
    assert edit("--edit", "smile=1", "--chunk", "left", "--blend", blender) == 0
    picture = read_image(folder / "out" / "face" / "edited.png")
    outside = (hard.masks[0] == 0).expand(1, 3, -1, -1)
    torch.testing.assert_close(picture[outside], hard.target[outside], atol=1e-6, rtol=0)
    assert (picture != hard.target).any()


def test_a_sweep_makes_a_strip_and_an_animation(folder, edit):
    assert edit("--sweep", "smile=-1:1:5", "--chunk", "right", "--video") == 0
    out = folder / "out" / "face"
    strip = read_image(out / "strip.png")
    assert strip.shape == (1, 3, 32, 160) and (out / "sweep.gif").is_file() and (out / "sweep.mp4").is_file()
    plain = before(folder).render().clamp(-1, 1)
    assert float((strip[..., 64:96] - plain).abs().max()) < 0.005  # the middle one has strength 0
    assert not chunkygan.load_projection(out / "projection.safetensors").edits


def test_a_grid_sets_one_edit_against_another(folder, edit):
    assert edit("--grid", "smile=-1:1:3", "age=-1:1:2") == 0
    grid = read_image(folder / "out" / "face" / "grid.png")
    assert grid.shape == (1, 3, 64, 96)
    find = before(folder)
    age = torch.from_numpy(np.load(folder / "directions" / "age.npy")[0])
    smile = torch.from_numpy(np.load(folder / "directions" / "smile.npy")).float()
    corner = find.edit(smile, 1.0).edit(age, -1.0).render().clamp(-1, 1)
    assert float((grid[..., :32, 64:] - corner).abs().max()) < 0.01


def test_a_folder_of_projections_is_edited_at_once(folder, edit, capsys):
    (folder / "runs" / "second").mkdir(parents=True)
    before(folder).save(folder / "runs" / "second" / "projection.safetensors")
    (folder / "runs" / "broken").mkdir()
    (folder / "runs" / "broken" / "projection.safetensors").write_bytes(b"nothing")
    assert edit("--edit", "smile=1", what="runs") == 2
    assert "1 of 2 projections could not be edited" in capsys.readouterr().err
    assert (folder / "out" / "second" / "edited.png").is_file()


def test_far_strengths_are_warned_of_and_made(edit, folder, capsys):
    assert edit("--edit", "smile=500") == 0
    assert "standard deviations of the domain" in capsys.readouterr().err
    assert (folder / "out" / "face" / "edited.png").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--edit", "smlie=1"], "no direction 'smlie'.*did you mean 'smile'"),
        (["--edit", "smile"], "NAME=STRENGTH"),
        (["--edit", "smile=nan"], "NAME=STRENGTH"),
        (["--sweep", "smile=1:2"], "NAME=FROM:TO:COUNT"),
        (["--edit", "smile=1", "--video"], "add --sweep"),
        (["--chunk", "left"], "put it after --edit"),
        (["--edit", "smile=1", "--chunk", "lefd"], "no chunk 'lefd'.*did you mean 'left'"),
        (["--edit", "smile=1", "--rows", "2-5"], "rows must be FIRST:END"),
        (["--edit", "smile=1", "--rows", "2:99"], "rows must lie in 0 to 8"),
        (["--edit", "other=1"], r"expected \(16,\)"),
        (["--edit", "s99.0=1"], "layers 0 to"),
        (["--remove", "0"], "no edit 0"),
        (["--edit", "smile=1", "--blend", "poison"], "did you mean 'poisson'"),
        (["--fill", "mask.png"], "perceptual"),
    ],
)
def test_mistakes_get_one_message_and_exit_code_2(edit, capsys, words, message):
    import re

    assert edit(*words) == 2
    error = capsys.readouterr().err
    assert re.search(message, error, re.DOTALL) and "Traceback" not in error


def test_another_generator_file_is_noticed(folder, edit, capsys):
    (folder / "generator.safetensors").write_bytes(b"x")
    assert edit("--edit", "smile=1") == 2
    assert "another file" in capsys.readouterr().err


def test_fill_takes_the_hole_from_the_refined_code(tiny_run):
    made = chunkygan.invert(tiny_run / "face.png", tiny_run / "recipe.yaml")
    made.save(tiny_run / "p.safetensors")
    np.save(tiny_run / "glasses.npy", np.random.default_rng(0).standard_normal(16))
    grey = torch.full((1, 3, 32, 32), -1.0)
    grey[..., 8:24, 2:16] = 0.0
    grey[..., 12:20, 5:12] = 1.0
    write_image(tiny_run / "mask.png", grey)
    words = ["--edit", f"{tiny_run}/glasses.npy=1", "--chunk", "chunk_0", "--fill", str(tiny_run / "mask.png")]
    assert main(["edit", str(tiny_run / "p.safetensors"), *words, "--out", str(tiny_run / "out")]) == 0
    filled = chunkygan.load_projection(tiny_run / "out" / "p" / "projection.safetensors")
    assert filled.segments.names == ("fill",)
    outside = (grey == -1).expand(1, 3, -1, -1)
    assert torch.equal(filled.render()[outside], filled.target[outside])
