"""`chunkygan invert`: what it writes, how it goes on, and what it says about bad input."""

import json
import os
import shutil

import pytest
import torch
from PIL import Image

import chunkygan
from chunkygan.cli.main import main
from chunkygan.images import read_image

FILES = {
    "projection.safetensors", "reconstruction.png", "masks.png", "report.png", "progress.gif", "metrics.json",
    "source.json",
}  # fmt: skip


@pytest.fixture
def invert(tiny_run):
    """Runs the command on the tiny recipe; returns its exit code."""

    def run(*words, out="out"):
        return main(
            ["invert", *map(str, words), "--recipe", str(tiny_run / "recipe.yaml"), "--out", str(tiny_run / out)]
        )

    return run


def test_a_picture_gets_all_its_files(tiny_run, invert, capsys):
    assert invert(tiny_run / "face.png", "output.baseline=true") == 0
    folder = tiny_run / "out" / "face"
    assert {p.name for p in folder.iterdir()} == FILES | {"baseline.safetensors"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) == {
        "l2", "lpips_tiny", "baseline_l2", "baseline_lpips_tiny", "steps", "seconds", "chunks", "peak_memory_bytes",
    }  # fmt: skip
    assert metrics["chunks"] == 2 and metrics["steps"] == 2 and metrics["peak_memory_bytes"] > 1e6
    assert "lpips_tiny" in capsys.readouterr().out
    assert {p.name for p in (tiny_run / "out").iterdir()} == {"face", "recipe.yaml", "run.json"}


def test_the_written_numbers_and_picture_are_the_projections(tiny_run, invert):
    invert(tiny_run / "face.png")
    folder = tiny_run / "out" / "face"
    projection = chunkygan.load_projection(folder / "projection.safetensors")
    target = read_image(tiny_run / "face.png")
    image = projection.render()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert float((image - target).square().mean()) == pytest.approx(metrics["l2"], rel=1e-4)
    assert float((read_image(folder / "reconstruction.png") - image.clamp(-1, 1)).abs().max()) < 0.005
    assert projection.metrics == metrics


def test_python_and_command_agree(tiny_run, invert):
    invert(tiny_run / "face.png")
    projection = chunkygan.invert(tiny_run / "face.png", tiny_run / "recipe.yaml")
    written = chunkygan.load_projection(tiny_run / "out" / "face" / "projection.safetensors")
    for a, b in zip(projection.codes.values, written.codes.values):
        torch.testing.assert_close(a, b)


def test_python_takes_masks_and_nested_overrides(tiny_run):
    masks = torch.zeros(32, 32, dtype=torch.int64)
    masks[:10] = 1
    masks[20:] = 2
    projection = chunkygan.invert(
        Image.open(tiny_run / "face.png"), tiny_run / "recipe.yaml", masks=masks.numpy(),
        inverter={"steps": 3}, latent_space={"name": "s"},
    )  # fmt: skip
    assert projection.masks.shape == (3, 32, 32)
    assert projection.metrics["steps"] == 3
    assert projection.codes.spaces == ({"name": "s"},) * 3


def test_a_finished_picture_is_not_done_again_unless_it_changed(tiny_run, invert):
    invert(tiny_run / "face.png")
    report = tiny_run / "out" / "face" / "report.png"
    before = report.stat().st_mtime_ns
    assert invert(tiny_run / "face.png") == 0
    assert report.stat().st_mtime_ns == before
    Image.open(tiny_run / "face.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tiny_run / "face.png")
    assert invert(tiny_run / "face.png") == 0
    assert report.stat().st_mtime_ns > before


def test_a_folder_goes_on_where_it_was_interrupted(tiny_run, invert, monkeypatch, capsys):
    pictures = tiny_run / "pictures"
    pictures.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(tiny_run / "face.png", pictures / f"{name}.png")
        shutil.copy(tiny_run / "face_masks.png", tiny_run / f"{name}_masks.png")
    from chunkygan.picture_job import PictureJob

    course = PictureJob.course

    def interrupted(self, *args, **kwargs):
        if self.source.stem == "b":
            raise KeyboardInterrupt
        return course(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(PictureJob, "course", interrupted)
        assert invert(pictures) == 130
    assert (tiny_run / "out" / "a" / "metrics.json").exists()
    done = (tiny_run / "out" / "a" / "metrics.json").stat().st_mtime_ns
    assert invert(pictures) == 0
    assert (tiny_run / "out" / "a" / "metrics.json").stat().st_mtime_ns == done
    assert all((tiny_run / "out" / name / "metrics.json").exists() for name in "abc")


def test_one_bad_picture_does_not_stop_the_others(tiny_run, invert, capsys):
    (tiny_run / "broken.png").write_bytes(b"no picture")
    assert invert(tiny_run / "broken.png", tiny_run / "face.png") == 2
    assert (tiny_run / "out" / "face" / "metrics.json").exists()
    assert not (tiny_run / "out" / "broken").exists()
    assert "1 of 2 pictures" in capsys.readouterr().err


def test_masks_beside_pictures_are_not_pictures(tiny_run, invert):
    pictures = tiny_run / "pictures"
    pictures.mkdir()
    shutil.copy(tiny_run / "face.png", pictures)
    shutil.copy(tiny_run / "face_masks.png", pictures)
    assert invert(pictures) == 0
    assert {p.name for p in (tiny_run / "out").iterdir()} == {"face", "recipe.yaml", "run.json"}


def test_results_of_another_recipe_are_not_mixed(tiny_run, invert, capsys):
    invert(tiny_run / "face.png")
    before = (tiny_run / "out" / "face" / "metrics.json").read_bytes()
    assert invert(tiny_run / "face.png", "inverter.steps=3") == 2
    assert "another recipe" in capsys.readouterr().err
    assert (tiny_run / "out" / "face" / "metrics.json").read_bytes() == before


def truncated(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def spoil_picture(folder):
    truncated(folder / "face.png", 0.5)


def spoil_masks(folder):
    Image.new("P", (20, 10)).save(folder / "face_masks.png")


def spoil_generator(folder):
    truncated(folder / "generator.safetensors", 0.7)


def spoil_perceptual(folder):
    (folder / "perceptual.safetensors").unlink()


def foreign_generator(folder):
    shutil.copy(folder / "perceptual.safetensors", folder / "generator.safetensors")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_picture, "face.png"),
        (spoil_masks, "face_masks.png"),
        (spoil_generator, "generator.safetensors"),
        (spoil_perceptual, "perceptual.safetensors"),
        (foreign_generator, "no StyleGAN2 generator"),
    ],
)
def test_bad_files_end_with_one_message_and_no_results(tiny_run, invert, capsys, spoil, says):
    spoil(tiny_run)
    assert invert(tiny_run / "face.png") == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error
    results = tiny_run / "out" / "face"
    assert not results.exists() or not any(results.iterdir())


def test_unknown_chunks_of_chunk_spaces_are_named(tiny_run, invert, capsys):
    assert invert(tiny_run / "face.png", "chunk_spaces.chunk_3.name=s") == 2
    assert "chunk_spaces.chunk_3: no such chunk; there are chunk_0, chunk_1" in capsys.readouterr().err


def test_an_unwritable_output_is_the_users_mistake(tiny_run, invert, capsys):
    (tiny_run / "out").write_text("a file")
    assert invert(tiny_run / "face.png") == 2
    assert "out" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full to fill up on this system")
def test_a_full_disk_leaves_nothing_half_written(tiny_run, invert, monkeypatch, capsys):
    import errno

    from chunkygan import files

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    assert invert(tiny_run / "face.png") == 2
    assert "No space left" in capsys.readouterr().err
    assert not [p for p in tiny_run.rglob("*") if p.suffix == ".part"]


def test_nothing_to_invert_is_said(invert, capsys):
    assert invert("inverter.steps=3") == 2
    assert "name a picture" in capsys.readouterr().err
