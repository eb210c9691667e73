"""Annotation folders: what is written reads back, whatever a paint program made of it; mistakes are told at once."""

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.annotating.folder import check_annotations, read_annotations, write_annotations
from chunkygan.annotating.labels import UNLABELLED, read_classes
from chunkygan.annotating.peers import mapped_latents
from chunkygan.build import create
from chunkygan.cli.main import main
from chunkygan.domain import LabelClass
from chunkygan.ensemble import picture_uncertainty, uncertainty
from chunkygan.errors import ImageError
from chunkygan.loading import load_generator
from chunkygan.network_file import write_network
from chunkygan.sampling import sample_ws
from chunkygan.tensor_files import read_safetensors, write_safetensors

CLASSES = (LabelClass("background", (0, 0, 0)), LabelClass("skin", (204, 0, 0)), LabelClass("hair", (0, 0, 204)))


@pytest.fixture
def folder(tmp_path):
    pictures = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return write_annotations(tmp_path / "faces", pictures, torch.arange(3 * 4 * 2.0).reshape(3, 4, 2), CLASSES)


def paint(folder, number, change=None):
    """Paints the upper half skin and the lower half hair, keeping the file's palette."""
    path = folder / "labels" / f"{number:04d}.png"
    image = Image.open(path)
    values = np.array(image)
    values[:8], values[8:] = 1, 2
    if change:
        change(values)
    painted = Image.fromarray(values)
    painted.putpalette(image.getpalette())
    painted.save(path)
    return path


def test_empty_labels_are_reported_as_not_painted(folder):
    found = check_annotations(folder)
    assert sum("nothing is painted" in str(f) for f in found) == len(found) == 3


def test_what_was_painted_comes_back(folder):
    for k in range(3):
        paint(folder, k)
    annotations = read_annotations(folder, size=(16, 16))
    assert annotations.labels[1, 0, 0] == 1 and annotations.labels[1, 15, 3] == 2
    assert annotations.names == ("0000", "0001", "0002") and annotations.classes == CLASSES
    assert torch.equal(annotations.ws, torch.arange(24.0).reshape(3, 4, 2))
    assert check_annotations(folder) == []


def test_rgb_and_a_sorted_palette_mean_the_same(folder):
    paths = [paint(folder, k) for k in range(3)]
    expected = read_annotations(folder).labels
    Image.open(paths[0]).convert("RGB").save(paths[0])
    Image.open(paths[1]).convert("RGBA").save(paths[1])
    Image.open(paths[2]).convert("RGB").quantize(colors=2, dither=Image.Dither.NONE).save(paths[2])
    assert torch.equal(read_annotations(folder).labels, expected)


def test_all_mistakes_of_all_files_are_told_at_once(folder):
    image = Image.open(paint(folder, 0)).convert("RGB")
    image.putpixel((3, 3), (1, 2, 3))
    image.save(folder / "labels" / "0000.png")
    Image.new("L", (8, 16), 1).save(folder / "labels" / "0001.png")
    (folder / "labels" / "0002.png").unlink()
    with pytest.raises(ImageError) as raised:
        read_annotations(folder)
    text = str(raised.value)
    assert "(1, 2, 3) on 1 pixels" in text and "8 x 16" in text and "0002.png: is missing" in text


def test_grey_levels_beyond_the_classes_are_refused(folder):
    Image.new("L", (16, 16), 9).save(folder / "labels" / "0000.png")
    assert any("0 to 2; got [9]" in str(finding) for finding in check_annotations(folder))


def test_slips_of_the_brush_and_bare_pixels_are_notes(folder):
    def slip(values):
        values[0, 0], values[0, 1] = 0, 3

    paint(folder, 0, slip), paint(folder, 1), paint(folder, 2)
    found = check_annotations(folder)
    assert not any(f.fatal for f in found)
    assert any("background (1)" in str(f) for f in found) and any("not painted" in str(f) for f in found)
    assert read_annotations(folder).labels[0, 0, 1] == UNLABELLED


def test_labels_for_another_generator_are_refused(folder):
    for k in range(3):
        paint(folder, k)
    with pytest.raises(ImageError, match="the generator draws 32 x 32"):
        read_annotations(folder, size=(32, 32))


def test_painted_labels_are_never_overwritten(folder):
    with pytest.raises(ImageError, match="has labels already"):
        write_annotations(folder, torch.zeros(1, 3, 16, 16), torch.zeros(1, 4, 2), CLASSES)


def test_one_class_only_is_refused(tmp_path):
    with pytest.raises(ImageError, match="two classes"):
        write_annotations(tmp_path / "x", torch.zeros(1, 3, 16, 16), torch.zeros(1, 4, 2), CLASSES[:1])


def test_classes_may_be_a_list_of_names(tmp_path):
    (tmp_path / "classes.yaml").write_text("[sky, sea]")
    assert [c.name for c in read_classes(tmp_path / "classes.yaml")] == ["sky", "sea"]


def test_the_peers_folders_are_read(tmp_path):
    for i in (0, 1, 10):
        labels = np.zeros((16, 16), np.uint8)
        labels[: i + 1] = 2
        np.save(tmp_path / f"image_mask{i}.npy", labels)
        np.save(tmp_path / f"latents_image_{i}.npy", np.full((1, 4, 2), i, np.float32))
    annotations = read_annotations(tmp_path, size=(8, 8))
    assert annotations.ws[:, 0, 0].tolist() == [0, 1, 10] and annotations.labels.shape == (3, 8, 8)
    assert [c.name for c in annotations.classes] == ["class_0", "class_1", "class_2"]


def test_datasetgans_latents_are_mapped_and_the_first_rows_truncated(tiny, tmp_path):
    z = np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32)
    np.save(tmp_path / "latent_stylegan1.npy", z)
    for i in (0, 2):
        np.save(tmp_path / f"image_mask{i}.npy", np.arange(16).reshape(4, 4) % 2)
    annotations = read_annotations(tmp_path)
    assert torch.equal(annotations.ws, torch.from_numpy(z[[0, 2]]))
    ws, plain = mapped_latents(tiny, annotations.ws, rows=3), tiny.mapping(annotations.ws)
    torch.testing.assert_close(ws[:, 3:], plain[:, 3:])
    torch.testing.assert_close(ws[:, :3] - tiny.w_avg, 0.7 * (plain[:, :3] - tiny.w_avg))


def test_fewer_latents_than_label_arrays_are_told(tmp_path):
    np.save(tmp_path / "latent_stylegan1.npy", np.zeros((1, 4), np.float32))
    np.save(tmp_path / "image_mask1.npy", np.zeros((4, 4), int))
    with pytest.raises(ImageError, match="must hold 2 latents or more"):
        read_annotations(tmp_path)


def test_peers_label_without_a_latent_is_told(tmp_path):
    np.save(tmp_path / "image_mask0.npy", np.zeros((4, 4), int))
    with pytest.raises(ImageError, match=r"latents_image_0\.npy: is missing"):
        read_annotations(tmp_path)


def test_the_command_writes_a_folder_and_checks_it(tiny_run, tmp_path, capsys):
    (tmp_path / "classes.yaml").write_text("[sky, sea]")
    out = tmp_path / "paint"
    words = ["--generator", str(tiny_run / "generator.safetensors"), "--classes", str(tmp_path / "classes.yaml")]
    assert main(["sample", *words, "--annotate", str(out), "--n", "2"]) == 0
    assert main(["check", str(out)]) == 2 and "nothing is painted" in capsys.readouterr().err
    for k in range(2):
        paint(out, k, lambda values: np.copyto(values, values - 1))
    assert main(["check", str(out)]) == 0 and "good" in capsys.readouterr().out


def test_the_suggested_samples_are_those_the_head_is_least_certain_of(tiny_run, tiny_head, tmp_path):
    (tmp_path / "classes.yaml").write_text("[sky, sea, sand, none]")
    words = ["sample", "--generator", str(tiny_run / "generator.safetensors"), "--n", "3", "--seed", "5"]
    words += ["--classes", str(tmp_path / "classes.yaml"), "--annotate", str(tmp_path / "more")]
    assert main([*words, "--suggest", str(tiny_head)]) == 0
    generator = load_generator(tiny_run / "generator.safetensors")
    head = create("seg_head", {"name": "datasetgan_mlp", "weights": str(tiny_head)}, generator=generator)

    def doubts(ws):
        return picture_uncertainty(uncertainty(head(generator.feature_stack(generator.styles(ws)), size=(32, 32))))

    chosen = read_safetensors(tmp_path / "more" / "latents.safetensors")[1]["ws"]
    candidates = sample_ws(generator, 24, seed=5)
    rest = torch.stack([c for c in candidates if not any(torch.allclose(c, w) for w in chosen)])
    assert len(chosen) == 3 and len(rest) == 21
    assert doubts(chosen).min() >= doubts(rest).max() - 1e-6


def test_a_head_for_another_generator_suggests_nothing(tiny_head, tiny_run, tmp_path, capsys):
    from chunkygan.components.generators.stylegan2 import StyleGAN2
    from chunkygan.generator_file import write_generator

    write_generator(StyleGAN2(16, z_dim=8, w_dim=8, mapping_layers=1, channels=[4, 4, 4]), tmp_path / "g.safetensors")
    (tmp_path / "classes.yaml").write_text("[sky, sea]")
    words = ["sample", "--generator", str(tmp_path / "g.safetensors"), "--classes", str(tmp_path / "classes.yaml")]
    assert main([*words, "--annotate", str(tmp_path / "more"), "--suggest", str(tiny_head)]) == 2
    assert "for another generator" in capsys.readouterr().err and not (tmp_path / "more").exists()


def test_a_head_of_one_classifier_is_never_uncertain_and_suggests_nothing(tiny, tiny_run, tmp_path, capsys):
    head = create("seg_head", {"name": "datasetgan_mlp", "models": 1}, generator=tiny, classes=["sky", "sea"])
    config = {key: value for key, value in head.config.items() if key != "kind"}
    alone = write_network(tmp_path / "alone.safetensors", "seg_head", config, head)
    (tmp_path / "classes.yaml").write_text("[sky, sea]")
    words = ["sample", "--generator", str(tiny_run / "generator.safetensors"), "--annotate", str(tmp_path / "more")]
    assert main([*words, "--classes", str(tmp_path / "classes.yaml"), "--suggest", str(alone)]) == 2
    assert "one classifier alone" in capsys.readouterr().err


def test_a_suggestion_without_a_folder_is_refused(tiny_head, capsys):
    assert main(["sample", "--suggest", str(tiny_head)]) == 2
    assert "--annotate" in capsys.readouterr().err


def test_one_picture_alone_is_read_whatever_the_others_are_like(folder):
    paint(folder, 1)
    (folder / "labels" / "0002.png").unlink()
    found = read_annotations(folder, only="0001")
    assert found.names == ("0001",) and found.labels.shape == (1, 16, 16) and found.ws[0, 0, 0] == 8
    with pytest.raises(ImageError, match="no picture '0007'"):
        read_annotations(folder, only="0007")


def test_codes_that_are_no_numbers_are_refused(folder):
    ws = torch.full((3, 4, 2), float("nan"))
    write_safetensors(folder / "latents.safetensors", {"ws": ws}, {"names": "[0, 1, 2]"})
    with pytest.raises(ImageError, match="no finite numbers"):
        read_annotations(folder)


@pytest.mark.parametrize("labels", [np.full((4, 4), value) for value in (-1, 0.5, np.nan)] + [np.zeros(4, int)])
def test_peers_labels_that_are_no_classes_are_refused(tmp_path, labels):
    np.save(tmp_path / "image_mask0.npy", labels)
    np.save(tmp_path / "latents_image_0.npy", np.zeros((4, 2), np.float32))
    with pytest.raises(ImageError, match="whole numbers from 0"):
        read_annotations(tmp_path)


def test_peers_labels_beyond_the_named_classes_are_refused(tmp_path):
    np.save(tmp_path / "image_mask0.npy", np.arange(16).reshape(4, 4) % 3)
    np.save(tmp_path / "latents_image_0.npy", np.zeros((4, 2), np.float32))
    (tmp_path / "classes.yaml").write_text("[sky, sea]")
    with pytest.raises(ImageError, match="label 2 is none of the 2 classes"):
        read_annotations(tmp_path)


def test_one_class_painted_everywhere_is_refused(folder):
    for k in range(3):
        paint(folder, k, lambda values: values.fill(1))
    with pytest.raises(ImageError, match="only one class is painted"):
        read_annotations(folder)
