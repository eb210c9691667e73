"""One exemplar: labels carried over by likeness, from a folder or from a picture that is projected first."""

import pytest
import torch

from chunkygan._torchvision import ensure_importable

ensure_importable()

from chunkygan.annotating.folder import write_annotations  # noqa: E402
from chunkygan.correspondence import guided, unit_features, vote  # noqa: E402
from chunkygan.domain import LabelClass  # noqa: E402
from chunkygan.errors import ImageError, RecipeError  # noqa: E402
from chunkygan.generator_file import write_generator  # noqa: E402
from chunkygan.images import write_image  # noqa: E402
from chunkygan.labels import colour_labels  # noqa: E402
from chunkygan.lightning import seghead_training  # noqa: E402
from chunkygan.lightning.seghead_exemplar import exemplar_of  # noqa: E402
from chunkygan.lightning.seghead_propagation import propagated  # noqa: E402
from chunkygan.lightning.seghead_samples import label_samples  # noqa: E402
from chunkygan.sampling import sample_ws  # noqa: E402

CLASSES = (LabelClass("left", (0, 0, 0)), LabelClass("right", (255, 255, 255)))


def halves(images):
    """(n, h, w): 0 on the left, 1 on the right."""
    return (torch.arange(images.shape[3]) >= images.shape[3] // 2).long().expand(len(images), *images.shape[2:])


@pytest.fixture
def folder(tiny, tmp_path):
    ws = sample_ws(tiny, 2, seed=3)
    pictures = tiny.synthesis(tiny.styles(ws)).detach().clamp(-1, 1)
    folder = write_annotations(tmp_path / "faces", pictures, ws, CLASSES)
    colour_labels(halves(pictures)[0], [c.colour for c in CLASSES]).save(folder / "labels" / "0001.png")
    return folder


def cast(scores, labels, weights=None):
    """The votes of known pixels whose cosines with one pixel are given."""
    known = torch.tensor([[s, (1 - s * s) ** 0.5] for s in scores])
    weights = torch.ones(len(scores)) if weights is None else torch.tensor(weights)
    return vote(torch.tensor([[1.0, 0.0]]), known, torch.tensor(labels), weights, classes=2, temperature=0.1)[0]


def test_the_most_alike_decide():
    assert cast([1.0, 0.2, 0.2], [0, 1, 1])[0] > 0.99
    shares = cast([0.8, 0.8], [0, 1])
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.5]))


def test_votes_are_a_weighted_softmax_of_the_cosines():
    expected = torch.tensor([3.0 * 2.718281828 ** (0.6 / 0.1), 2.718281828 ** (0.7 / 0.1)])
    torch.testing.assert_close(cast([0.6, 0.7], [0, 1], [3.0, 1.0]), expected / expected.sum(), atol=1e-5, rtol=1e-4)


def test_refined_shares_sum_to_one_and_follow_the_pictures_edge():
    picture = (torch.arange(16) >= 8).float().mul(2).sub(1).expand(1, 3, 16, 16)
    blurred = torch.linspace(1, 0, 16).expand(1, 1, 16, 16)
    shares = torch.cat([blurred, 1 - blurred], 1)
    found = guided(shares, picture, radius=3)
    torch.testing.assert_close(found.sum(1), torch.ones(1, 16, 16), atol=1e-5, rtol=1e-5)
    step, before = (x[0, 0, 8, 7] - x[0, 0, 8, 8] for x in (found, shares))
    assert step > 3 * before
    assert guided(shares, picture, radius=0) is shares


def test_refined_shares_are_smoothed_where_the_picture_is_flat():
    shares = torch.zeros(1, 1, 9, 9)
    shares[0, 0, 4, 4] = 1
    assert float(guided(shares, torch.zeros(1, 3, 9, 9), radius=1)[0, 0, 4, 4]) == pytest.approx(1 / 9)


def test_products_of_unit_features_are_mean_cosines_whatever_the_channels_scale():
    rng = torch.Generator().manual_seed(0)
    maps = [torch.randn(5, 4, generator=rng), torch.randn(5, 3, generator=rng) * 100 + 7]
    moments = [(torch.zeros(4), torch.ones(4)), (torch.full((3,), 7.0), torch.full((3,), 100.0))]
    found = unit_features(maps, moments)
    torch.testing.assert_close(found.square().sum(1), torch.ones(5))
    plain = [maps[0], (maps[1] - 7) / 100]
    cosines = sum(torch.cosine_similarity(m[:1], m[1:]) for m in plain) / 2
    torch.testing.assert_close(found[1:] @ found[0], cosines)


def test_a_picture_gets_its_own_labels_back(tiny):
    exemplar = label_samples(tiny, sample_ws(tiny, 1, seed=3), halves)
    found = propagated(tiny, exemplar, exemplar.ws, classes=2, temperature=0.01)
    assert (found.labels == exemplar.labels).float().mean() > 0.97


def test_a_picture_that_differs_a_little_gets_nearly_the_same_labels(tiny):
    exemplar = label_samples(tiny, sample_ws(tiny, 1, seed=3), halves)
    near = torch.lerp(exemplar.ws, sample_ws(tiny, 2, seed=4), 0.03)
    found = propagated(tiny, exemplar, near, classes=2, temperature=0.01)
    assert found.labels.shape == (2, 32, 32)
    assert (found.labels == exemplar.labels).float().mean() > 0.9


def test_one_picture_of_a_folder_is_read_though_others_are_bare(tiny, folder):
    found = exemplar_of(tiny, {"annotations": str(folder), "name": "0001"}, None, 0)
    assert torch.equal(found.picture.labels, halves(found.picture.pictures)) and found.classes == ("left", "right")
    with pytest.raises(ImageError, match="nothing is painted"):
        exemplar_of(tiny, {"annotations": str(folder)}, None, 0)


def test_a_head_is_trained_from_one_exemplar(tiny, folder, tmp_path):
    write_generator(tiny, tmp_path / "g.safetensors")
    path = seghead_training.train(
        tmp_path / "run", 0, generator={"name": "stylegan2", "weights": str(tmp_path / "g.safetensors")},
        seg_head={"name": "datasetgan_mlp", "models": 1}, exemplar={"annotations": str(folder), "name": "0001"},
        samples=3, steps=4, batch=16, pixels=64, trainer={"accelerator": "cpu"},
    )  # fmt: skip
    assert path.is_file() and (tmp_path / "run" / "exemplar.png").is_file()


def test_a_photo_is_projected_first(tiny_run, tiny):
    perceptual = {"name": "lpips", "net": "tiny", "weights": str(tiny_run / "perceptual.safetensors")}
    (tiny_run / "classes.yaml").write_text("- {name: a, colour: [200, 30, 30]}\n- {name: b, colour: [30, 30, 200]}")
    spec = {"picture": str(tiny_run / "face.png"), "labels": str(tiny_run / "face_masks.png"),
            "classes": str(tiny_run / "classes.yaml"), "steps": 3}  # fmt: skip
    found = exemplar_of(tiny, spec, perceptual, 0)
    assert found.picture.ws.shape == (1, tiny.num_ws, 16) and found.picture.labels[0, 0, ::16].tolist() == [0, 1]
    with pytest.raises(RecipeError, match="perceptual: is required"):
        exemplar_of(tiny, spec, None, 0)
    write_image(tiny_run / "small.png", colour_labels(torch.zeros(8, 8).long(), [(200, 30, 30)]))
    with pytest.raises(ImageError, match="is 8 x 8 pixels, but its picture is 32 x 32"):
        exemplar_of(tiny, {**spec, "labels": str(tiny_run / "small.png")}, perceptual, 0)


def test_what_an_exemplar_does_not_take_is_told(tiny):
    with pytest.raises(RecipeError, match=r"training\.exemplar\.naem.*did you mean 'name'"):
        exemplar_of(tiny, {"annotations": "x", "naem": "0001"}, None, 0)
