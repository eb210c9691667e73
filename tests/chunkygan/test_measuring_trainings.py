"""Training of the networks that measure: two steps on tiny sizes, exact resume, and the pieces by hand."""

from __future__ import annotations

import math

import pytest
import torch

from chunkygan._torchvision import ensure_importable

ensure_importable()

from chunkygan.build import create  # noqa: E402
from chunkygan.components.datasets.procfaces import ProcFaces  # noqa: E402
from chunkygan.components.datasets.procfaces_people import ProcFacesPeople  # noqa: E402
from chunkygan.lightning import attribute_training, identity_training, parser_training  # noqa: E402
from chunkygan.lightning.identity_training import arcface_logits, area_under_curve  # noqa: E402
from chunkygan.lightning.parser_training import class_weights, overlaps  # noqa: E402
from chunkygan.lightning.resumable import roughened  # noqa: E402
from chunkygan.tensor_files import read_safetensors  # noqa: E402

CPU = {"accelerator": "cpu"}
TRAININGS = {
    "attributes": (attribute_training, {"size": 32, "widths": [4, 8], "batch": 2, "items": 4, "held_out": 3}),
    "parser": (parser_training, {"widths": [4, 8], "batch": 2, "items": 4, "held_out": 3, "hard": 2}),
    "identity": (
        identity_training,
        {"size": 32, "widths": [4, 8], "dimensions": 8, "batch": 2, "strangers": 2, "tested_at": 32},
    ),
}


def dataset(name: str) -> ProcFaces:
    if name == "identity":
        return ProcFacesPeople(32, people=2, shots=2)
    return ProcFaces(32, count=4, supersampling=1)


@pytest.mark.parametrize("name", TRAININGS)
def test_two_steps_leave_weights_that_load_and_scores(name, tmp_path):
    training, options = TRAININGS[name]
    path = training.train(dataset(name), tmp_path, 0, steps=2, trainer=CPU, **options)
    images = torch.zeros(2, 3, 32, 32)
    if name == "attributes":
        made = create("classifier", {"name": "domain", "weights": str(path)})
        assert made(images).shape == (2, len(made.names)) and "yaw" in made.names
        assert "r2_yaw" in (tmp_path / "scores.txt").read_text()
    elif name == "parser":
        made = create("parser", {"name": "domain", "weights": str(path)})
        assert made(images).shape == (2, 19, 32, 32)
        assert "hard_miou" in (tmp_path / "scores.txt").read_text()
    else:
        made = create("identity", {"name": "domain", "net": "procfaces", "weights": str(path)})
        assert made.name == "identity_procfaces" and made.embed(images).shape == (2, 8)
        assert (tmp_path / "scores.txt").read_text().startswith("auc")


@pytest.mark.parametrize("name", TRAININGS)
def test_a_resumed_training_ends_where_an_unbroken_one_does(name, tmp_path):
    training, options = TRAININGS[name]
    options = {**options, "steps": 4, "save_every": 2}
    whole = training.train(dataset(name), tmp_path / "whole", 0, trainer=CPU, **options)
    stopping = {**CPU, "limit_train_batches": 2, "max_epochs": 1}
    training.train(dataset(name), tmp_path / "broken", 0, trainer=stopping, **options)
    assert torch.load(tmp_path / "broken" / "state.ckpt", weights_only=False)["global_step"] == 2
    torch.manual_seed(99)  # whatever the process has drawn meanwhile
    broken = training.train(dataset(name), tmp_path / "broken", 0, trainer=CPU, **options)
    one, other = (read_safetensors(path)[1] for path in (whole, broken))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_r2_is_one_for_the_truth_and_zero_for_the_mean():
    truth = torch.tensor([[0.0, 5.0], [1.0, 7.0], [5.0, 6.0]])
    found = torch.stack([truth[:, 0], truth[:, 1].mean().expand(3)], 1)
    assert attribute_training.explained(found, truth).tolist() == pytest.approx([1.0, 0.0])


def test_accuracy_counts_sides_of_the_middle():
    truth = torch.tensor([[0.0], [0.1], [0.9], [1.0]])
    assert attribute_training.accuracy(torch.tensor([[0.4], [0.6], [0.6], [0.6]]), truth).tolist() == [0.75]


def test_overlap_is_intersection_over_union():
    truth = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    found = torch.tensor([[[0, 0, 0, 1], [0, 0, 1, 1]]])
    values = overlaps(found, truth, 3)
    assert values[:2].tolist() == pytest.approx([4 / 5, 3 / 4])
    assert values[2].isnan()


def test_rare_classes_weigh_more_and_absent_ones_nothing():
    labels = torch.tensor([[0] * 90 + [1] * 10])
    weights = class_weights(labels, 3)
    assert weights[1] > weights[0] > 0 and weights[2] == 0
    assert float((weights[labels]).mean()) == pytest.approx(1.0)


def test_arcface_moves_only_ones_own_angle():
    cosine = torch.tensor([[math.cos(0.5), 0.2], [0.1, math.cos(1.0)]])
    logits = arcface_logits(cosine, torch.tensor([0, 1]), margin=0.3, scale=10.0)
    expected = [[10 * math.cos(0.8), 2.0], [1.0, 10 * math.cos(1.3)]]
    assert logits.tolist() == [pytest.approx(row) for row in expected]


def test_arcface_without_a_margin_is_a_scaled_cosine():
    cosine = torch.tensor([[0.3, -0.4]])
    torch.testing.assert_close(arcface_logits(cosine, torch.tensor([1]), margin=0.0, scale=2.0), 2 * cosine)


@pytest.mark.parametrize(
    ("same", "different", "area"),
    [([0.9, 0.8], [0.1, 0.2, 0.3], 1.0), ([0.1], [0.9], 0.0), ([0.5, 0.5], [0.5], 0.5), ([0.4, 0.6], [0.5, 0.3], 0.75)],
)
def test_area_under_curve_is_the_share_of_pairs_in_order(same, different, area):
    assert area_under_curve(torch.tensor(same), torch.tensor(different)) == pytest.approx(area)


def test_roughened_pictures_depend_on_seed_and_step_alone():
    images = torch.rand(8, 3, 16, 16)
    assert torch.equal(roughened(images, 1, 5), roughened(images, 1, 5))
    assert not torch.equal(roughened(images, 1, 5), roughened(images, 1, 6))
    assert (roughened(images, 1, 5) == images).flatten(1).all(1).float().mean() < 1
