"""Training of segmentation heads: pixels without a stack, sources of labels, exact resume, and what is refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from chunkygan._torchvision import ensure_importable

ensure_importable()

from PIL import Image  # noqa: E402

from chunkygan import recipe as recipes  # noqa: E402
from chunkygan.annotating.folder import write_annotations  # noqa: E402
from chunkygan.build import create  # noqa: E402
from chunkygan.domain import LabelClass  # noqa: E402
from chunkygan.errors import ImageError, RecipeError  # noqa: E402
from chunkygan.generator_file import write_generator  # noqa: E402
from chunkygan.labels import colour_labels  # noqa: E402
from chunkygan.lightning import seghead_training  # noqa: E402
from chunkygan.lightning.seghead_samples import (  # noqa: E402
    Pixels,
    at_places,
    choose_pixels,
    even_choice,
    label_samples,
    regular_pixels,
)
from chunkygan.lightning.seghead_scores import score_of_pixels, scores_of  # noqa: E402
from chunkygan.lightning.seghead_sources import painted  # noqa: E402
from chunkygan.network_file import write_network  # noqa: E402
from chunkygan.sampling import sample_ws  # noqa: E402
from chunkygan.tensor_files import read_safetensors  # noqa: E402

CLASSES = (LabelClass("dark", (0, 0, 0)), LabelClass("bright", (255, 255, 255)))


def bright(images):
    """(n, h, w): 1 where a picture is bright."""
    return (images.mean(1) > 0).long()


@pytest.fixture
def specs(tiny, tmp_path):
    path = tmp_path / "generator.safetensors"
    write_generator(tiny, path)
    return {
        "generator": {"name": "stylegan2", "weights": str(path)},
        "seg_head": {"name": "datasetgan_mlp", "models": 2},
        "trainer": {"accelerator": "cpu"},
    }


@pytest.fixture
def folder(tiny, tmp_path):
    ws = sample_ws(tiny, 32, seed=3, truncation=0.7)
    pictures = tiny.synthesis(tiny.styles(ws)).detach().clamp(-1, 1)
    folder = write_annotations(tmp_path / "faces", pictures, ws, CLASSES)
    for i, labels in enumerate(bright(pictures)):
        colour_labels(labels, [c.colour for c in CLASSES]).save(folder / "labels" / f"{i:04d}.png")
    return folder


@pytest.fixture
def parser(tmp_path):
    config = {"classes": ["dark", "bright", "odd"], "widths": [4, 8]}
    torch.manual_seed(0)
    network = create("parser", {"name": "domain", "config": config}).network
    return {
        "name": "domain",
        "weights": str(write_network(tmp_path / "p.safetensors", "parser_network", config, network)),
    }


def test_single_pixels_are_those_of_the_upsampled_stack(tiny):
    maps = tiny.feature_stack(tiny.styles(sample_ws(tiny, 1, seed=1)))
    stack = torch.cat([F.interpolate(m, size=(32, 32), mode="bilinear", align_corners=False) for m in maps], 1)
    y, x = torch.arange(32).repeat_interleave(32), torch.arange(32).repeat(32)
    torch.testing.assert_close(at_places(maps, y, x, (32, 32)), stack[0].flatten(1).T.half(), atol=4e-3, rtol=2e-3)


def test_small_classes_keep_all_their_pixels_and_counts_make_up_for_it():
    labels = torch.tensor([0] * 90 + [1] * 6 + [-1] * 4)
    places, counts = even_choice(labels, 20, torch.Generator().manual_seed(0))
    assert len(places) == len(places.unique()) == 20 and (labels[places] == 1).sum() == 6
    assert counts[labels[places] == 0].sum().item() == pytest.approx(90) and (counts[labels[places] == 1] == 1).all()


def test_the_moments_are_those_of_whole_pictures(tiny):
    samples = label_samples(tiny, sample_ws(tiny, 2, seed=1), bright)
    every = choose_pixels(tiny, samples, most=10_000, seed=0)
    mean, deviation = every.moments()
    assert len(every.labels) == 2 * 32 * 32
    torch.testing.assert_close(mean, every.features.float().mean(0), atol=1e-3, rtol=1e-3)
    assert (deviation >= every.features.float().std(0, correction=0) - 1e-4).all() and (deviation > 0).all()


def test_the_quick_score_is_that_of_whole_pictures(tiny, tiny_head):
    samples = label_samples(tiny, sample_ws(tiny, 2, seed=1), bright)
    head = create("seg_head", {"name": "datasetgan_mlp", "weights": str(tiny_head)}, generator=tiny)
    quick = score_of_pixels(head, regular_pixels(tiny, samples, every=1))
    assert quick == pytest.approx(scores_of(tiny, head, samples)["miou"], abs=0.01)


def test_a_head_learns_what_was_painted(specs, folder, tmp_path, tiny):
    path = seghead_training.train(
        tmp_path / "run", 0, **specs, annotations=str(folder), steps=150, batch=128, held_out=2
    )
    scores = dict(line.split() for line in (tmp_path / "run" / "scores.txt").read_text().splitlines())
    labels = torch.cat([torch.from_numpy(np.array(Image.open(f))).flatten() for f in (folder / "labels").iterdir()])
    common = float(labels.bincount().max()) / len(labels)  # always saying the commonest class scores half of this
    assert float(scores["train_miou"]) > 0.7
    assert float(scores["miou"]) > common / 2
    head = create("seg_head", {"name": "datasetgan_mlp", "weights": str(path)}, generator=tiny)
    assert head.classes == ("dark", "bright")
    with Image.open(tmp_path / "run" / "predictions.png") as sheet:
        assert sheet.size == (4 * 32, 2 * 32)


def test_a_parser_labels_samples_where_nobody_paints(specs, parser, tmp_path):
    path = seghead_training.train(tmp_path / "run", 0, **specs, parser=parser, samples=3, held_out=2, steps=2)
    assert create("seg_head", {"name": "datasetgan_mlp", "weights": str(path)}).classes == ("dark", "bright", "odd")
    assert "miou" in (tmp_path / "run" / "scores.txt").read_text()


def test_a_resumed_training_ends_where_an_unbroken_one_does(specs, folder, tmp_path):
    options = {**specs, "annotations": str(folder), "steps": 4, "batch": 8, "save_every": 2}
    whole = seghead_training.train(tmp_path / "whole", 0, **options)
    stopping = {**specs["trainer"], "limit_train_batches": 2, "max_epochs": 1}
    seghead_training.train(tmp_path / "broken", 0, **{**options, "trainer": stopping})
    torch.manual_seed(99)
    broken = seghead_training.train(tmp_path / "broken", 0, **options)
    one, other = (read_safetensors(path)[1] for path in (whole, broken))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_labels_that_were_painted_since_are_learnt_in_the_same_folder(specs, folder, tmp_path, capsys):
    options = {**specs, "annotations": str(folder), "steps": 4, "batch": 8, "save_every": 2}
    first = read_safetensors(seghead_training.train(tmp_path / "run", 0, **options))[1]
    again = read_safetensors(seghead_training.train(tmp_path / "run", 0, **options))[1]
    assert all(torch.equal(first[key], again[key]) for key in first) and "anew" not in capsys.readouterr().out
    for file in (folder / "labels").iterdir():
        colour_labels(torch.arange(1024).reshape(32, 32) % 2, [c.colour for c in CLASSES]).save(file)
    painted = read_safetensors(seghead_training.train(tmp_path / "run", 0, **options))[1]
    assert "begins anew" in capsys.readouterr().out
    assert not all(torch.equal(first[key], painted[key]) for key in first)


def test_several_folders_are_learnt_together_and_must_agree_in_their_classes(tiny, folder, tmp_path):
    ws = sample_ws(tiny, 8, seed=4, truncation=0.7)
    pictures = tiny.synthesis(tiny.styles(ws)).detach().clamp(-1, 1)
    more = write_annotations(tmp_path / "more", pictures, ws, CLASSES)
    for i, labels in enumerate(bright(pictures)):
        colour_labels(labels, [c.colour for c in CLASSES]).save(more / "labels" / f"{i:04d}.png")
    source = painted(tiny, [str(folder), str(more)], samples=100, held_out=4)
    assert len(source.own.ws) == 28 + 6 and len(source.kept.ws) == 4 + 2
    assert torch.equal(source.own.ws[28:], ws[:6]) and torch.equal(source.kept.labels[4:], bright(pictures)[6:])
    assert len(painted(tiny, [str(folder), str(more)], samples=5, held_out=4).own.ws) == 5
    odd = write_annotations(tmp_path / "odd", pictures, ws, [CLASSES[0], LabelClass("odd", (9, 9, 9))])
    for i, labels in enumerate(bright(pictures)):
        colour_labels(labels, [(*CLASSES[0].colour,), (9, 9, 9)]).save(odd / "labels" / f"{i:04d}.png")
    with pytest.raises(RecipeError, match="has the classes dark, bright; .*odd dark, odd"):
        painted(tiny, [str(folder), str(odd)], samples=5, held_out=4)


def some_pixels(labels, counts):
    return Pixels(torch.zeros(len(labels), 1), torch.tensor(labels), torch.tensor(counts), torch.zeros(len(labels)))


def test_without_balance_pixels_count_alike_and_absent_classes_not_at_all():
    assert seghead_training.class_weights(some_pixels([0, 1], [9.0, 1.0]), 3, 0.0).tolist() == [1.0, 1.0, 0.0]


def test_with_full_balance_all_classes_are_drawn_alike_often():
    pixels = some_pixels([0, 1], [90.0, 10.0])
    weights = seghead_training.class_weights(pixels, 2, 1.0)
    assert (weights * pixels.counts)[0] == pytest.approx(float((weights * pixels.counts)[1]))


def test_balance_leaves_the_probabilities_as_they_are(specs, tiny, tmp_path):
    """Pixels that are all alike: what a head can learn is how frequent their labels are."""
    features = torch.zeros(100, sum(tiny.feature_widths())).half()
    pixels = Pixels(features, (torch.arange(100) < 10).long(), torch.ones(100), torch.zeros(100))
    settings = seghead_training.Settings(steps=100, batch=256, balance=1.0, learning_rate=3e-2)
    head = seghead_training.train_head(
        tiny, {"name": "datasetgan_mlp", "models": 1}, ["a", "b"], pixels, settings, seed=0,
        state=tmp_path / "s.ckpt", save_every=99, trainer=specs["trainer"],
    )  # fmt: skip
    assert float(head.classifiers[0](features.float()).softmax(1)[0, 1]) == pytest.approx(0.1, abs=0.04)


def test_all_options_out_of_range_are_told_at_once():
    with pytest.raises(RecipeError) as raised:
        seghead_training.Settings(batch=1, balance=2.0)
    assert "training.batch" in str(raised.value) and "training.balance" in str(raised.value)


def test_annotations_and_an_exemplar_contradict_each_other(specs, folder, tmp_path):
    with pytest.raises(RecipeError, match="not both"):
        seghead_training.train(tmp_path, 0, **specs, annotations=str(folder), exemplar={"annotations": str(folder)})


def test_neither_annotations_nor_a_parser_is_refused(specs, tmp_path):
    with pytest.raises(RecipeError, match=r"training\.annotations"):
        seghead_training.train(tmp_path, 0, **specs)


def test_codes_of_another_generator_are_refused(specs, tiny, tmp_path):
    folder = write_annotations(tmp_path / "other", torch.zeros(2, 3, 32, 32), torch.zeros(2, 6, 9), CLASSES)
    for name in ("0000", "0001"):
        colour_labels(torch.arange(32).expand(32, 32) // 16, [c.colour for c in CLASSES]).save(
            folder / "labels" / f"{name}.png"
        )
    with pytest.raises(RecipeError, match="another generator"):
        seghead_training.train(tmp_path / "run", 0, **specs, annotations=str(folder))


def test_unpainted_folders_are_refused(specs, tiny, tmp_path):
    folder = write_annotations(tmp_path / "bare", torch.zeros(2, 3, 32, 32), torch.zeros(2, 8, 16), CLASSES)
    with pytest.raises(ImageError, match="nothing is painted"):
        seghead_training.train(tmp_path / "run", 0, **specs, annotations=str(folder))


def test_the_recipe_is_good():
    assert recipes.load("train_seghead", []).job == "train_seghead"
