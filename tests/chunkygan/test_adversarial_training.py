"""Adversarial training on tiny networks: it runs, resumes exactly, begins from a file, measures, says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from chunkygan._torchvision import ensure_importable

ensure_importable()

from chunkygan.build import create  # noqa: E402
from chunkygan.components.datasets.folder import Folder  # noqa: E402
from chunkygan.components.datasets.procfaces import ProcFaces  # noqa: E402
from chunkygan.components.generators.stylegan2_files import read_generator  # noqa: E402
from chunkygan.components.perceptual.domain_backbone import DomainBackbone  # noqa: E402
from chunkygan.errors import ChunkyGANError, ComponentError  # noqa: E402
from chunkygan.images import write_image  # noqa: E402
from chunkygan.lightning import adversarial_parts, adversarial_run, adversarial_training  # noqa: E402
from chunkygan.lightning.adversarial_measures import keep_score  # noqa: E402
from chunkygan.lightning.adversarial_reals import Reals  # noqa: E402
from chunkygan.lightning.adversarial_sampling import fresh_noise, mixed_ws  # noqa: E402
from chunkygan.weights import write_safetensors  # noqa: E402

GENERATOR = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channels": [8, 8, 4]}
TINY: dict[str, Any] = dict(
    generator=GENERATOR, discriminator={"name": "stylegan2", "channels": [8, 8, 4]}, batch=4, first_items=8,
    item_growth=1, save_every=2, measure_every=100, augment_p=0.5, trainer={"accelerator": "cpu"},
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny networks are quickest on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def dataset(resolution: int = 16, count: int = 12) -> ProcFaces:
    return ProcFaces(resolution, count=count, supersampling=1)


def state(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path / "state.ckpt", weights_only=True)["state_dict"]


def test_two_steps_leave_finite_weights_that_load_and_draw(tmp_path, capsys):
    path = adversarial_run.train(dataset(), tmp_path, 0, pictures=8, **TINY)
    generator = read_generator(path)
    image = generator.synthesis(generator.styles(generator.mapping(torch.randn(2, 8))))
    assert image.shape == (2, 3, 16, 16) and bool(image.isfinite().all())
    assert all(bool(value.isfinite().all()) for value in state(tmp_path).values())
    assert (tmp_path / "samples_0000002.png").exists() and "batch=4" not in capsys.readouterr().out


def test_every_network_moves_and_the_average_follows(tmp_path):
    torch.manual_seed(0)
    adversarial_run.train(dataset(), tmp_path, 0, pictures=8, **TINY)
    moved = state(tmp_path)
    torch.manual_seed(0)
    begun = adversarial_parts.first_generator(None, GENERATOR, (16, 16)).state_dict()
    for name in ("synthesis_network.b16.conv1.weight", "map.fc0.weight"):
        now, mean = moved[f"generator.{name}"], moved[f"average.{name}"]
        assert not torch.equal(now, begun[name]) and not torch.equal(mean, begun[name])
    assert float(moved["mean_length"]) > 0


class Killed(Exception):
    """Stands for a power cut."""


def kill_at(step: int, monkeypatch) -> None:
    honest = adversarial_training.AdversarialTraining.move_average

    def cut(self):
        if self.step == step:
            raise Killed
        honest(self)

    monkeypatch.setattr(adversarial_training.AdversarialTraining, "move_average", cut)


def test_a_killed_training_resumes_to_the_same_bits(tmp_path, monkeypatch):
    options = {**TINY, "augment_span": 64}
    adversarial_run.train(dataset(), tmp_path / "whole", 0, pictures=28, **options)
    with monkeypatch.context() as patched:
        kill_at(5, patched)  # one step after a state was kept, in the middle of the next
        with pytest.raises(Killed):
            adversarial_run.train(dataset(), tmp_path / "broken", 0, pictures=28, **options)
    kept = torch.load(tmp_path / "broken" / "state.ckpt", weights_only=True)["adversarial"]
    assert kept["step"] == 4 and kept["p"] != 0.5
    torch.rand(7)  # global random numbers play no part
    adversarial_run.train(dataset(), tmp_path / "broken", 0, pictures=28, **options)
    whole, broken = (torch.load(tmp_path / name / "state.ckpt", weights_only=True) for name in ("whole", "broken"))
    assert whole["adversarial"] == broken["adversarial"] and whole["adversarial"]["step"] == 7
    assert all(torch.equal(value, broken["state_dict"][name]) for name, value in whole["state_dict"].items())
    for one, other in zip(whole["optimizer_states"], broken["optimizer_states"]):
        for index, moments in one["state"].items():
            assert all(torch.equal(value, other["state"][index][name]) for name, value in moments.items())
    one, other = (
        read_generator(tmp_path / name / "generator.safetensors").state_dict() for name in ("whole", "broken")
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_finished_training_is_left_as_it_is(tmp_path):
    adversarial_run.train(dataset(), tmp_path, 0, pictures=8, **TINY)
    before = state(tmp_path)
    adversarial_run.train(dataset(), tmp_path, 0, pictures=8, **TINY)
    assert all(torch.equal(value, before[name]) for name, value in state(tmp_path).items())


def test_it_starts_from_a_generator_and_the_head_start_leaves_it_alone(tmp_path):
    first = adversarial_run.train(dataset(), tmp_path / "first", 0, pictures=4, **TINY)
    options = {**TINY, "generator": {}, "start": str(first)}
    second = adversarial_run.train(dataset(), tmp_path / "second", 1, pictures=12, head_start=3, **options)
    one, other = (dict(read_generator(path).named_parameters()) for path in (first, second))
    assert all(torch.equal(one[name], other[name]) for name in one)
    third = adversarial_run.train(dataset(), tmp_path / "third", 1, pictures=12, head_start=2, **options)
    assert any(not torch.equal(one[name], value) for name, value in read_generator(third).named_parameters())


def test_half_precision_trains(tmp_path):
    options = {**TINY, "trainer": {"accelerator": "cpu", "precision": "bf16-mixed"}}
    adversarial_run.train(dataset(), tmp_path, 0, pictures=8, **options)
    moved = state(tmp_path)
    assert all(value.dtype == torch.float32 and bool(value.isfinite().all()) for value in moved.values())


def test_the_distance_is_measured_beside_its_floor(tmp_path):
    net = DomainBackbone((4, 4))
    write_safetensors(tmp_path / "net.safetensors", net.state_dict(), net.metadata("toy"))
    perceptual = {"name": "lpips", "net": "toy", "weights": str(tmp_path / "net.safetensors")}
    options = {**TINY, "measure_every": 1}
    for _ in range(2):  # the second call finds the training finished
        adversarial_run.train(dataset(), tmp_path, 0, pictures=8, perceptual=perceptual, measured=6, **options)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert [score["pictures"] for score in scores] == [4, 8]
    assert all(score["frechet_toy"] > 0 and score["floor"] > 0 for score in scores)
    assert scores[0]["floor"] == scores[1]["floor"]


def test_a_folder_of_pictures_trains(tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        write_image(tmp_path / "photos" / f"{i}.png", torch.rand(1, 3, 20, 24) * 2 - 1)
    photos = Folder(str(tmp_path / "photos"), 16, flips=True, minimum=3)
    assert adversarial_run.train(photos, tmp_path / "run", 0, pictures=8, **TINY).exists()


def test_pictures_that_are_not_square_train(tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        write_image(tmp_path / "photos" / f"{i}.png", torch.rand(1, 3, 20, 24) * 2 - 1)
    photos = Folder(str(tmp_path / "photos"), [16, 24], minimum=3)
    options = {**TINY, "generator": {**GENERATOR, "const_size": [4, 6]}}
    generator = read_generator(adversarial_run.train(photos, tmp_path / "run", 0, pictures=4, **options))
    assert generator.resolution == (16, 24)


def test_sizes_that_do_not_fit_are_refused(tmp_path):
    path = adversarial_run.train(dataset(), tmp_path / "first", 0, pictures=4, **TINY)
    with pytest.raises(ComponentError, match=r"draws \(16, 16\) pixels, the data set has \(32, 32\)"):
        adversarial_run.train(dataset(32), tmp_path / "second", 0, pictures=4, start=str(path))


def test_classes_are_refused(tmp_path):
    with pytest.raises(ComponentError, match="3 classes"):
        adversarial_run.train(dataset(), tmp_path, 0, **{**TINY, "generator": {**GENERATOR, "c_dim": 3}})


def test_a_loss_that_is_no_number_stops_and_keeps_the_state_before(tmp_path):
    with pytest.raises(ChunkyGANError, match="no number any more at step 6"):  # the penalty's second turn is step 5
        adversarial_run.train(dataset(), tmp_path, 0, pictures=32, head_start=1, path_length=float("nan"), **TINY)
    assert torch.load(tmp_path / "state.ckpt", weights_only=True)["adversarial"]["step"] == 4
    assert all(bool(value.isfinite().all()) for value in state(tmp_path).values())


def test_the_discriminator_learns_to_tell(tmp_path):
    options = {**TINY, "batch": 8, "learning_rate": 0.01, "head_start": 60, "augment": [], "gamma": 0.01}
    adversarial_run.train(dataset(), tmp_path, 0, pictures=8 * 40, **{**options, "save_every": 40})
    torch.manual_seed(0)
    module = adversarial_training.AdversarialTraining(
        adversarial_parts.first_generator(None, GENERATOR, (16, 16)),
        create("discriminator", TINY["discriminator"], resolution=(16, 16), c_dim=0),
        Reals(dataset(), tmp_path / "cache", 0, first=8, growth=1),
        adversarial_training.Options(8, 8, 0.01, 1.0, 1.0, 0.0, 16, 0.0, 4, 0.9, 100.0, 0.0, 0),
        0,
    )
    module.load_state_dict(state(tmp_path))
    real = module.reals.batch(3, 8)["image"]
    drawn, _ = module.draw(8, "test")
    assert module.discriminator(real).mean() > module.discriminator(drawn).mean() + 1


def test_codes_are_mixed_as_often_as_asked_and_in_one_place():
    torch.manual_seed(0)
    generator = adversarial_parts.first_generator(None, GENERATOR, (16, 16))

    def rng():
        return torch.Generator().manual_seed(4)

    pure, mixed = mixed_ws(generator, 400, 0.0, rng()), mixed_ws(generator, 400, 0.5, rng())
    assert torch.equal(pure, pure[:, :1].expand_as(pure))
    changes = (mixed[:, 1:] != mixed[:, :-1]).any(2).sum(1)
    assert int(changes.max()) == 1
    assert float(changes.float().mean()) == pytest.approx(0.5, abs=0.08)
    assert torch.equal(mixed[:, 0], pure[:, 0])
    assert [tuple(m.shape) for m in fresh_noise([(4, 4), (8, 6)], 3, rng())] == [(3, 1, 4, 4), (3, 1, 8, 6)]


def test_processes_share_a_step_s_pictures(tmp_path):
    reals = Reals(dataset(), tmp_path, 0, first=8, growth=1)
    whole = reals.batch(5, 6)["image"]
    halves = [reals.batch(5, 6, rank=rank, world=2)["image"] for rank in range(2)]
    assert torch.equal(torch.stack(halves, 1).flatten(0, 1), whole)
    one, other = reals.two_sets(100)
    assert len(one) == len(other) == 4 and not set(one.tolist()) & set(other.tolist())


def test_one_process_makes_the_pictures_before_another_opens_them(tmp_path):
    told = []
    other = Reals(dataset(), tmp_path, 0, first=8, growth=1)
    other.begin(alone=False, wait=lambda: told.append((tmp_path / "images.bin").exists()))
    assert told == [False]  # the others touch nothing before the first is done
    first = Reals(dataset(), tmp_path / "mine", 0, first=8, growth=1)
    first.begin(wait=lambda: told.append((tmp_path / "mine" / "images.bin").exists()))
    assert told == [False, True] and float(first.batch(0, 4)["image"].abs().sum()) > 0


def test_scores_of_a_run_before_a_kill_give_way(tmp_path):
    for pictures in (10, 20, 30, 20):
        keep_score(tmp_path / "scores.json", {"pictures": pictures, "floor": pictures / 10})
    assert [score["pictures"] for score in json.loads((tmp_path / "scores.json").read_text())] == [10, 20]


def test_a_smaller_size_trains_the_lower_blocks_alone(tmp_path):
    options = {**TINY, "discriminator": {"name": "stylegan2", "channels": [8, 8]}, "size": 8, "augment": []}
    adversarial_run.train(dataset(), tmp_path, 0, pictures=16, **options)
    torch.manual_seed(0)
    begun, trained = adversarial_parts.first_generator(None, GENERATOR, (16, 16)).state_dict(), state(tmp_path)
    moved = {name for name, value in begun.items() if not torch.equal(trained[f"generator.{name}"], value)}
    assert any(".b8." in name for name in moved) and not any(".b16." in name for name in moved)
    reals = Reals(dataset(), tmp_path / "cache", 0, first=8, growth=1)
    small = Reals(dataset(), tmp_path / "cache", 0, first=8, growth=1, size=8)
    whole, half = reals.batch(2, 4), small.batch(2, 4)
    torch.testing.assert_close(half["image"], torch.nn.functional.avg_pool2d(whole["image"], 2))
    assert half["labels"].shape == (4, 8, 8) and torch.equal(half["z"], whole["z"])


def test_sizes_that_no_halving_gives_are_refused(tmp_path):
    with pytest.raises(ComponentError, match="training.size must be one of 16, 8 here; got 12"):
        adversarial_run.train(dataset(), tmp_path, 0, pictures=4, **TINY, size=12)
