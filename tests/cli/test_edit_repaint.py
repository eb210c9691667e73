"""`chunkygan edit` with label maps: written, repainted, refined on another picture, and what is said of bad ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import chunkygan
from chunkygan.cli.main import main
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.components.perceptual.domain_backbone import DomainBackbone
from chunkygan.components.seg_heads.datasetgan_mlp import DatasetGanMlp
from chunkygan.generator_file import write_generator
from chunkygan.head_labels import labels_of
from chunkygan.labels import distinct_colours
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments
from chunkygan.weights import sha256


@pytest.fixture
def folder(tmp_path, tiny):
    """A folder with the projections of ``face`` and ``other``, each in one chunk."""
    write_generator(tiny, tmp_path / "generator.safetensors")
    backbone = DomainBackbone([4, 8], [0.0] * 3, [1.0] * 3)
    save_file(backbone.state_dict(), tmp_path / "perceptual.safetensors", metadata=backbone.metadata("tiny"))
    perceptual = {"name": "lpips", "net": "tiny", "weights": str(tmp_path / "perceptual.safetensors")}
    for seed, name in ((5, "face"), (3, "other")):
        code = WPlus(tiny).sample(1, rng=torch.Generator().manual_seed(seed), truncation=0.7)[0]
        made = Projection(
            torch.zeros(1, 3, 32, 32), Codes((code,), ({"name": "w_plus"},)),
            Segments(torch.ones(1, 32, 32), ("all",)), tiny,
            generator_spec={"name": "stylegan2", "weights": str(tmp_path / "generator.safetensors")},
            generator_sha256=sha256(tmp_path / "generator.safetensors"), recipe={"perceptual": perceptual},
        )  # fmt: skip
        replace(made, target=made.render()).save(tmp_path / f"{name}.safetensors")
    return tmp_path


@pytest.fixture
def edit(folder, tiny_head):
    def run(*words, what="face.safetensors", head=tiny_head):
        options = ["--out", str(folder / "out"), "--keep", "0.005", *(["--head", str(head)] if head else [])]
        return main(["edit", str(folder / what), *options, *map(str, words)])

    return run


@pytest.fixture
def painted(folder, edit):
    """``sea.png``: the labels that were written, with a square of another class in them."""
    assert edit("--labels", folder / "sea.png") == 0
    image = Image.open(folder / "sea.png").copy()
    pixels = np.array(image)
    pixels[12:20, 12:20] = (pixels[16, 16] + 1) % 3
    repainted = Image.fromarray(pixels, "P")
    repainted.putpalette(image.getpalette())
    repainted.save(folder / "sea.png")
    return folder / "sea.png"


def test_labels_are_written_as_the_head_sees_them_and_listed(folder, edit, tiny, tiny_head, capsys):
    assert edit("--labels", folder / "now.png") == 0
    image = Image.open(folder / "now.png")
    seen = labels_of(chunkygan.load_projection(folder / "face.safetensors"), DatasetGanMlp(tiny, weights=tiny_head))
    assert image.mode == "P" and np.array_equal(np.array(image), seen.numpy())
    listed = capsys.readouterr().out.split()
    assert "#{:02x}{:02x}{:02x}".format(*distinct_colours(1)[0].tolist()) in listed and {"sky", "sand"} <= set(listed)
    assert not (folder / "out").exists()


def test_what_is_painted_becomes_an_edit_and_a_vector(folder, edit, painted, capsys):
    assert edit("--repaint", painted, "--steps", 6) == 0
    out = folder / "out" / "face"
    assert {p.name for p in out.iterdir()} == {
        "edited.png", "projection.safetensors", "strip.png", "edit.json", "sea.safetensors",
    }  # fmt: skip
    (move,) = chunkygan.load_projection(out / "projection.safetensors").edits
    assert (move.name, move.strength, move.chunks) == ("sea", 1.0, (0,))
    assert json.loads((out / "edit.json").read_text())["changed"] > 0
    shown = capsys.readouterr()
    assert "of the repainted pixels took their class" in shown.out and "repaint: step 6/6" in shown.err


def test_colours_count_and_not_the_order_of_the_palette(folder, edit, painted):
    Image.open(painted).convert("RGB").save(folder / "rgb.png")
    assert edit("--repaint", folder / "rgb.png", "--steps", 2) == 0
    first = chunkygan.load_projection(folder / "out" / "face" / "projection.safetensors").edits[0].direction
    assert edit("--repaint", painted, "--steps", 2) == 0
    second = chunkygan.load_projection(folder / "out" / "face" / "projection.safetensors").edits[0].direction
    assert torch.equal(first, second)


def test_a_vector_moves_another_picture_and_is_refined_there(folder, edit, painted):
    assert edit("--repaint", painted, "--steps", 6) == 0
    vector = folder / "out" / "face" / "sea.safetensors"
    assert edit("--edit", f"{vector}=3", what="other.safetensors") == 0
    plain = chunkygan.load_projection(folder / "out" / "other" / "projection.safetensors")
    assert edit("--edit", f"{vector}=3", "--refine", 3, what="other.safetensors") == 0
    refined = chunkygan.load_projection(folder / "out" / "other" / "projection.safetensors")
    assert [(e.name, e.strength) for e in refined.edits] == [("sea", 3.0)]
    assert not torch.equal(refined.edits[0].direction, plain.edits[0].direction)
    assert torch.equal(refined.remove_edit(0).render(), plain.remove_edit(0).render())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--repaint", "{folder}/now.png"), "nothing is repainted"),
        (("--repaint", "{folder}/small.png"), "has 16 x 16 pixels; the projection's picture has 32 x 32"),
        (("--repaint", "{folder}/odd.png"), "colours of no class: (1, 2, 3) on 1024 pixels"),
        (("--repaint", "{folder}/none.png"), "none.png"),
        (("--repaint", "{folder}/now.png", "--rows", "0:2"), "--rows 0:2 does not go with --repaint"),
        (("--sweep", "s3.7=-1:1:3", "--refine", "3"), "--refine 3 does not go with --sweep"),
        (("--edit", "s3.7=1", "--refine", "0"), "--refine must be 1 or more"),
        (("--edit", "s3.7=1", "--refine", "3"), "none of W or W+"),
        (("--repaint", "{folder}/now.png", "--steps", "0"), "--steps must be 1 or more"),
        (("--repaint", "{folder}/now.png", "--keep", "-1"), "weight of 0 or more"),
        (("--labels", "{folder}/now.jpg"), "labels are written as PNG"),
    ],
)
def test_bad_input_is_one_message(folder, edit, words, said, capsys):
    edit("--labels", folder / "now.png")
    Image.open(folder / "now.png").resize((16, 16)).save(folder / "small.png")
    Image.new("RGB", (32, 32), (1, 2, 3)).save(folder / "odd.png")
    assert edit(*(word.format(folder=folder) for word in words)) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not list((folder / "out").rglob("*.png"))


def test_a_picture_without_a_known_head_says_what_to_do(folder, edit, capsys):
    assert edit("--labels", folder / "now.png", head=None) == 2
    assert "--head" in capsys.readouterr().err


def test_labels_of_several_pictures_at_once_are_refused(folder, edit, capsys):
    assert edit("--labels", folder / "now.png", what="") == 2
    assert "take one projection" in capsys.readouterr().err
