"""Training of the drawn domain's networks: two steps on tiny sizes, exact resume, and the pieces by hand."""

from __future__ import annotations

import pytest
import torch

from chunkygan._torchvision import ensure_importable

ensure_importable()

from chunkygan.components.datasets.procfaces import ProcFaces  # noqa: E402
from chunkygan.components.datasets.procfaces_canvas import CLASSES  # noqa: E402
from chunkygan.components.generators.stylegan2_files import read_generator  # noqa: E402
from chunkygan.components.perceptual.lpips import Lpips  # noqa: E402
from chunkygan.errors import ComponentError  # noqa: E402
from chunkygan.lightning import generator_training, perceptual_training  # noqa: E402
from chunkygan.lightning.generator_losses import part_weights, texture_distance  # noqa: E402
from chunkygan.lightning.generator_schedule import available_at, items_at, rate_at, stage_at, stages_of  # noqa: E402
from chunkygan.lightning.generator_scores import regression_scores  # noqa: E402
from chunkygan.lightning.perceptual_training_distortions import KINDS, ranked_pairs  # noqa: E402
from chunkygan.lightning.perceptual_training_heads import agreement, fit_heads  # noqa: E402

TINY = dict(
    generator={"w_dim": 8, "mapping_layers": 2, "channels": [8, 8, 8, 8], "mapping_lr_multiplier": 1.0},
    sizes=[16, 32], batches=[2, 2], first_items=4, item_growth=1, save_every=2, held_out=4,
    trainer={"accelerator": "cpu"},
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks this small are quickest on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def dataset() -> ProcFaces:
    return ProcFaces(32, count=12, supersampling=1)


def test_two_steps_leave_weights_that_load_and_draw(tmp_path):
    path = generator_training.train(dataset(), tmp_path, 0, steps=[1, 1], **TINY)
    generator = read_generator(path)
    assert generator.config["z_dim"] == 64
    ws = generator.mapping(torch.randn(2, 64))
    assert generator.synthesis(generator.styles(ws)).shape == (2, 3, 32, 32)
    assert generator.w_avg.abs().sum() > 0
    assert (tmp_path / "samples_000002.png").exists()


def test_a_resumed_training_ends_where_an_unbroken_one_does(tmp_path):
    whole = generator_training.train(dataset(), tmp_path / "whole", 0, steps=[2, 4], decay=1.0, **TINY)
    options = {**TINY, "trainer": {"accelerator": "cpu", "limit_train_batches": 2, "max_epochs": 1}}
    generator_training.train(dataset(), tmp_path / "broken", 0, steps=[2, 4], decay=1.0, **options)
    stopped = torch.load(tmp_path / "broken" / "state.ckpt", weights_only=False)
    assert stopped["global_step"] == 2
    broken = generator_training.train(dataset(), tmp_path / "broken", 0, steps=[2, 4], decay=1.0, **TINY)
    one, other = (read_generator(path).state_dict() for path in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)


class Remembers:
    """Draws held-out pictures for their latents: what a training cannot surpass."""

    resolution = (32, 32)

    def __init__(self, pictures: torch.Tensor) -> None:
        self.pictures = pictures

    def mapping(self, z):
        return z

    def styles(self, ws):
        return ws

    def synthesis(self, styles, noise, size=None):
        return self.pictures[: len(styles)]


def test_a_generator_that_knows_the_truth_scores_nothing_and_the_mean_picture_what_it_should():
    held = dataset().held_out(6)
    found = regression_scores(Remembers(held["image"]), held, dataset().classes)
    assert found["l1"] == found["l2"] == found["l1_eyes_mouth"] == 0
    assert found["l2_mean_picture"] == pytest.approx(float(held["image"].var(0, correction=0).mean()), rel=1e-5)
    shifted = regression_scores(Remembers(held["image"] * 0.5), held, dataset().classes)
    assert shifted["l1"] == pytest.approx(0.5 * float(held["image"].abs().mean()), rel=1e-5)
    assert shifted["l1_eyes_mouth"] != shifted["l1"]


def test_the_frechet_distance_of_a_trained_generator_stands_beside_its_floor(tmp_path):
    perceptual = {"name": "lpips", "net": "procfaces", "weights": "procfaces_128_perceptual"}
    generator_training.train(dataset(), tmp_path, 0, steps=[1, 1], compared=6, perceptual=perceptual, **TINY)
    lines = dict(line.split() for line in (tmp_path / "scores.txt").read_text().splitlines())
    assert float(lines["frechet_procfaces"]) > float(lines["frechet_procfaces_floor"]) > 0
    assert float(lines["l1"]) > 0 and float(lines["l1_mean_picture"]) > 0


def test_going_on_from_weights_begins_where_they_are(tmp_path):
    first = generator_training.train(dataset(), tmp_path / "first", 0, steps=[1, 1], **TINY)
    again = generator_training.first_generator(str(first), {})
    assert all(parameter.requires_grad for parameter in again.parameters())
    z = torch.randn(2, 64)
    known = read_generator(first)
    assert torch.equal(
        again.synthesis(again.styles(again.mapping(z)), noise="none").detach(),
        known.synthesis(known.styles(known.mapping(z)), noise="none").detach(),
    )


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    options = generator_training.Options(stages_of([16], [30], [4]), warm_up=1, decay=1.0)
    small = {"resolution": 16, "z_dim": 64, **TINY["generator"], "channels": [8] * 3}
    network = generator_training.first_generator(None, small)
    faces = ProcFaces(16, count=4, supersampling=1)
    held = faces.held_out(4)
    module = generator_training.GeneratorTraining(network, None, faces.classes, options)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = module.loss(held, 16)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


PERCEPTUAL = {"name": "lpips", "net": "procfaces", "weights": "procfaces_128_perceptual"}
TAUGHT = dict(
    mapping_steps=2, mapping_rate=0.1, traits=0.1, texture=2.0, features=0.1, perceptual=PERCEPTUAL, compared=6
)


def test_a_resumed_training_with_lessons_and_features_ends_where_an_unbroken_one_does(tmp_path):
    whole = generator_training.train(dataset(), tmp_path / "whole", 0, steps=[2, 2], decay=1.0, **TAUGHT, **TINY)
    options = {**TINY, "trainer": {"accelerator": "cpu", "limit_train_batches": 2, "max_epochs": 1}}
    generator_training.train(dataset(), tmp_path / "broken", 0, steps=[2, 2], decay=1.0, **TAUGHT, **options)
    broken = generator_training.train(dataset(), tmp_path / "broken", 0, steps=[2, 2], decay=1.0, **TAUGHT, **TINY)
    one, other = (read_generator(path).state_dict() for path in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_texture_counts_as_much_as_its_weight():
    network = generator_training.first_generator(None, {"resolution": 16, "z_dim": 64, "channels": [8] * 3})
    faces = ProcFaces(16, count=4, supersampling=1)
    held = faces.held_out(4)
    none, some = (
        generator_training.GeneratorTraining(
            network, None, faces.classes, generator_training.Options(stages_of([16], [30], [4]), texture=weight)
        )
        for weight in (0.0, 3.0)
    )
    with torch.no_grad():
        drawn = network.synthesis(network.styles(network.mapping(held["z"])), noise="none")
        apart = texture_distance(drawn, held["image"], part_weights(held["labels"], some.weights))
        assert float(some.loss(held, 16) - none.loss(held, 16)) == pytest.approx(3 * float(apart), rel=1e-4)


def test_mapping_and_styles_learn_at_rates_of_their_own():
    options = generator_training.Options(stages_of([16], [30], [4]), mapping_rate=0.1, style_rate=6.0)
    network = generator_training.first_generator(None, {"resolution": 16, "z_dim": 64, "channels": [8] * 3})
    module = generator_training.GeneratorTraining(network, None, CLASSES, options)
    groups = module.configure_optimizers()["optimizer"].param_groups
    rates = {id(value): group["initial_lr"] / 3e-3 for group in groups for value in group["params"]}
    found = {name: rates[id(value)] for name, value in network.named_parameters()}
    for name, rate in found.items():
        wanted = 0.1 if name.startswith("map.") else 6 if ".affine." in name else 1
        assert rate == pytest.approx(wanted), name


def test_styles_are_made_gentle_once_before_the_first_step(tmp_path):
    first = generator_training.train(dataset(), tmp_path / "first", 0, steps=[1, 1], **TINY)
    options = {**TINY, "generator": None, "start": str(first), "style_ridge": 1000.0, "learning_rate": 0.0}
    again = generator_training.train(dataset(), tmp_path / "again", 0, steps=[1, 1], **options)
    resumed = generator_training.train(dataset(), tmp_path / "again", 0, steps=[1, 2], **options)
    known, gentle, kept = (
        torch.cat([layer.affine.weight.flatten() for layer in read_generator(path).styled_layers()])
        for path in (first, again, resumed)
    )
    assert 0 < float(gentle.norm()) < 0.01 * float(known.norm())
    assert torch.equal(kept, gentle)


def test_features_without_a_network_are_refused(tmp_path):
    with pytest.raises(ComponentError, match="training.features: there is no perceptual network"):
        generator_training.train(dataset(), tmp_path, 0, steps=[1, 1], features=0.1, **TINY)


def test_stages_follow_each_other_and_the_last_goes_on():
    stages = stages_of([16, 32], [2, 3], [8, 4])
    assert [stage_at(stages, step).size for step in range(7)] == [16, 16, 32, 32, 32, 32, 32]
    with pytest.raises(ValueError, match="as many"):
        stages_of([16], [2, 3], [8, 4])


def test_the_learning_rate_rises_holds_and_falls():
    rates = [rate_at(step, 100, warm_up=10, decay=0.5) for step in (0, 9, 49, 75, 100)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.505, 0.01])


def test_items_depend_on_seed_and_step_alone():
    assert torch.equal(items_at(7, 5, 100, 1), items_at(7, 5, 100, 1))
    assert not torch.equal(items_at(7, 5, 100, 1), items_at(8, 5, 100, 1))
    assert [available_at(step, 10, first=4, growth=3) for step in range(4)] == [4, 7, 10, 10]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_distortion_of_severity_nothing_is_the_picture(kind):
    held = dataset().held_out(2)
    same = KINDS[kind](held["image"], torch.zeros(2, 1, 1, 1), held["labels"], torch.Generator().manual_seed(0))
    torch.testing.assert_close(same, held["image"], atol=2e-3, rtol=0)


def test_ranked_pairs_of_one_kind_and_of_two():
    held, random = dataset().held_out(3), torch.Generator().manual_seed(0)
    for mixed in (False, True):
        milder, worse, names = ranked_pairs(held["image"], held["labels"], random, mixed=mixed)
        assert milder.shape == worse.shape == held["image"].shape
        assert all((a != b) == mixed for a, b in names)


def test_heads_find_the_channel_that_tells():
    random = torch.Generator().manual_seed(0)
    near, far = torch.rand(200, 3, generator=random), torch.rand(200, 3, generator=random)
    far[:, 1] = near[:, 1] + 0.2
    heads = fit_heads(near, far)
    assert (heads >= 0).all() and heads.argmax() == 1
    assert agreement(near @ heads, far @ heads) > 0.9


def test_a_perceptual_network_of_two_steps_is_read_by_lpips(tmp_path):
    options = dict(widths=[4, 4, 4], items=4, batch=2, head_batches=3, held_out=4, trainer={"accelerator": "cpu"})
    path = perceptual_training.train(dataset(), tmp_path, 0, net="tiny", steps=2, **options)
    distance = Lpips("tiny", path)
    held = dataset().held_out(2)["image"]
    assert distance(held, held).abs().max() == 0
    assert distance(held[:1], held[1:]) > 0
    assert "all_l2" in (tmp_path / "scores.txt").read_text()
