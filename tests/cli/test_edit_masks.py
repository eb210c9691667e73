"""`chunkygan edit` with masks: written, painted over, taken back, codes fitted on, and what is said of bad ones."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from safetensors.torch import save_file

import chunkygan
from chunkygan.cli.main import main
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.components.perceptual.domain_backbone import DomainBackbone
from chunkygan.generator_file import write_generator
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments
from chunkygan.weights import sha256


@pytest.fixture
def folder(tmp_path, tiny, halves):
    """A folder with the projections of ``face`` and ``other``, in two chunks each."""
    write_generator(tiny, tmp_path / "generator.safetensors")
    backbone = DomainBackbone([4, 8], [0.0] * 3, [1.0] * 3)
    save_file(backbone.state_dict(), tmp_path / "perceptual.safetensors", metadata=backbone.metadata("tiny"))
    perceptual = {"name": "lpips", "net": "tiny", "weights": str(tmp_path / "perceptual.safetensors")}
    with torch.no_grad():
        masks = halves()[0]
    for seed, name in ((5, "face"), (3, "other")):
        rng = torch.Generator().manual_seed(seed)
        codes = tuple(WPlus(tiny).sample(2, rng=rng, truncation=0.7))
        target = torch.randint(0, 256, (1, 3, 32, 32), generator=rng) / 127.5 - 1
        Projection(
            target, Codes(codes, ({"name": "w_plus"},) * 2), Segments(masks, ("left", "right")), tiny,
            generator_spec={"name": "stylegan2", "weights": str(tmp_path / "generator.safetensors")},
            generator_sha256=sha256(tmp_path / "generator.safetensors"),
            recipe={"perceptual": perceptual, "trainer": {"accelerator": "cpu"}},
        ).save(tmp_path / f"{name}.safetensors")  # fmt: skip
    return tmp_path


@pytest.fixture
def edit(folder):
    def run(*words, what="face.safetensors"):
        return main(["edit", str(folder / what), "--out", str(folder / "out"), *map(str, words)])

    return run


def read(path):
    return chunkygan.load_projection(path)


def test_written_masks_are_painted_and_taken_back(folder, edit, capsys):
    assert edit("--write-masks", folder / "masks") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("left", "right", "static")) and not (folder / "out").exists()
    levels = np.array(Image.open(folder / "masks" / "left.png"))
    levels[:, 24:] = 255
    Image.fromarray(levels).save(folder / "masks" / "left.png")
    assert edit("--paint-masks", folder / "masks") == 0
    assert "25.00% of the picture is drawn by another chunk" in capsys.readouterr().out
    before, painted = read(folder / "face.safetensors"), read(folder / "out" / "face" / "projection.safetensors")
    assert (painted.masks[0, :, 24:] == 1).all() and torch.equal(painted.masks[..., :24], before.masks[..., :24])
    torch.testing.assert_close(painted.render()[..., 24:], before.drawn()[:1, ..., 24:], atol=1e-5, rtol=0)
    assert edit("--fitted-masks", what="out/face/projection.safetensors") == 0
    assert torch.equal(read(folder / "out" / "face" / "projection.safetensors").render(), before.render())


def test_painted_labels_are_feathered_and_edits_go_on(folder, edit, capsys):
    assert edit("--write-masks", folder / "masks.png") == 0
    assert (folder / "masks_picture.png").is_file()
    colour = capsys.readouterr().out.split()[0]  # of the first chunk, left
    picture = Image.open(folder / "masks.png").convert("RGB")
    picture.paste(ImageColor.getrgb(colour), (24, 8, 32, 16))
    picture.save(folder / "painted.png")
    assert edit("--paint-masks", folder / "painted.png", "--feather", 2, "--edit", "s3.7=2", "--chunk", "left") == 0
    made = read(folder / "out" / "face" / "projection.safetensors")
    assert len(made.edits) == 1 and float(made.masks[0, 12, 29]) > 0.99 and 0 < float(made.masks[0, 7, 28]) < 0.5


def test_refitting_comes_nearer_with_the_painted_masks_and_keeps_edits(folder, edit):
    edit("--write-masks", folder / "masks.png")
    picture = Image.open(folder / "masks.png").convert("RGB")
    picture.paste(picture.getpixel((0, 0)), (0, 0, 32, 16))
    picture.save(folder / "painted.png")
    assert edit("--paint-masks", folder / "painted.png") == 0
    plain = read(folder / "out" / "face" / "projection.safetensors")
    assert edit("--edit", "s3.7=2", "--refit", 15, what="out/face/projection.safetensors") == 0
    fitted = read(folder / "out" / "face" / "projection.safetensors")
    assert torch.equal(fitted.masks, plain.masks) and len(fitted.edits) == 1
    errors = [float((p.render() - p.target).square().mean()) for p in (plain, fitted.remove_edit(0))]
    assert errors[1] < 0.95 * errors[0] and fitted.metrics["l2"] == pytest.approx(errors[1], rel=1e-4)


def test_refined_masks_come_nearer_and_are_taken_back(folder, edit, capsys):
    assert edit("--refine-masks") == 0
    assert "refined: " in capsys.readouterr().out
    before, refined = read(folder / "face.safetensors"), read(folder / "out" / "face" / "projection.safetensors")
    errors = [float((p.render() - p.target).square().mean()) for p in (before, refined)]
    assert errors[1] < errors[0] and torch.equal(refined.with_masks(None).masks, before.masks)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--paint-masks", "{folder}/now.png"), "nothing is painted"),
        (("--paint-masks", "{folder}/none"), "none"),
        (("--paint-masks", "{folder}/now.png", "--fitted-masks"), "not both"),
        (("--feather", "2"), "--feather is of --paint-masks"),
        (("--refit", "0"), "--refit must be 1 or more"),
        (("--write-masks", "{folder}/now.jpg"), "written as PNG"),
    ],
)
def test_bad_input_is_one_message(folder, edit, words, said, capsys):
    edit("--write-masks", folder / "now.png")
    assert edit(*(word.format(folder=folder) for word in words)) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not (folder / "out").exists()


def test_masks_of_several_pictures_at_once_are_refused(folder, edit, capsys):
    assert edit("--write-masks", folder / "now.png", what="") == 2
    assert "take one projection" in capsys.readouterr().err
