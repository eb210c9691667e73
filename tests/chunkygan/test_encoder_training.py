"""Training of encoders: each kind learns, goes on exactly where it was stopped, and its terms by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chunkygan import recipe
from chunkygan._torchvision import ensure_importable
from chunkygan.errors import ComponentError

ensure_importable()

from chunkygan.build import create  # noqa: E402
from chunkygan.lightning import encoder_run  # noqa: E402
from chunkygan.lightning.encoder_losses import (  # noqa: E402
    LatentDiscriminator,
    Weights,
    code_error,
    code_norm,
    delta_norm,
    gradient_penalty,
    stage_at,
    total,
)
from chunkygan.lightning.encoder_pairs import Pairs, mixed_codes  # noqa: E402

NETWORK = {"body": "resnet", "head": "flat", "units": [1, 1, 1, 1], "widths": [4, 4, 8, 8], "input_size": 32}


@pytest.fixture
def generator_file(tiny, tmp_path) -> str:
    from chunkygan.generator_file import write_generator

    write_generator(tiny, tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


@pytest.fixture
def run(generator_file, tmp_path) -> Any:
    def train(out: str = "out", dataset: Any = None, **options: Any) -> Any:
        settings = {"network": NETWORK, "steps": 4, "synthetic": 4, "held_out": 4, "save_every": 2, **options}
        path = encoder_run.train(
            dataset, tmp_path / out, 0, generator={"name": "stylegan2", "weights": generator_file},
            trainer={"accelerator": "cpu"}, **settings,
        )  # fmt: skip
        return path

    return train


def codes_of(path: Any, name: str, tiny: Any, **more: Any) -> torch.Tensor:
    picture = tiny.synthesis(tiny.styles(mixed_codes(tiny, 1, mixing=0.0, seed=5)))
    with torch.no_grad():
        return create("encoder", {"name": name, "weights": str(path), **more}, generator=tiny)(picture)


def test_an_encoder_learns_the_codes_of_drawn_pictures(run, tmp_path, monkeypatch) -> None:
    kept, errors = encoder_run._Keep.on_train_batch_end, []

    def watched(self: Any, trainer: Any, module: Any, *rest: Any) -> None:
        errors.append(float(module.last["code"]))
        kept(self, trainer, module, *rest)

    monkeypatch.setattr(encoder_run._Keep, "on_train_batch_end", watched)
    run(steps=60, learning_rate=3e-3, kept=16, synthetic=16, compared=1, l2=0.0, batch=0, save_every=100)
    assert len(errors) == 60
    assert sum(errors[-10:]) < 0.75 * sum(errors[:10])
    scores = dict(line.split() for line in (tmp_path / "out" / "scores.txt").read_text().splitlines())
    assert set(scores) == {"drawn_l2", "drawn_mean_l2"}
    assert (tmp_path / "out" / "sheet.png").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("psp", {"network": {**NETWORK, "head": "w_plus"}, "code_norm": 0.01}),
        ("e4e", {"stages_begin": 0.0, "stages_end": 0.5, "r1_interval": 2}),
        ("restyle", {"iterations": 2, "mixing": 0.5}),
    ],
)
def test_a_training_that_was_stopped_ends_where_an_unbroken_one_does(name, options, run, tiny, tmp_path) -> None:
    more = {"iterations": options["iterations"]} if "iterations" in options else {}
    settings = {"encoder": name, "learning_rate": 1e-2, "synthetic": 2, **options}
    whole = codes_of(run("whole", **settings), name, tiny, **more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_run._Keep, "on_train_batch_end", killed_after(2))
        with pytest.raises(RuntimeError, match="killed"):
            run("broken", **settings)
    assert not (tmp_path / "broken" / "encoder.safetensors").exists()
    resumed = codes_of(run("broken", **settings), name, tiny, **more)
    assert torch.equal(resumed, whole)
    assert not torch.allclose(whole, tiny.w_avg.expand_as(whole), atol=1e-3)


def killed_after(step: int) -> Any:
    kept = encoder_run._Keep.on_train_batch_end

    def end(self: Any, trainer: Any, module: Any, *rest: Any) -> None:
        kept(self, trainer, module, *rest)
        if module.step == step:
            raise RuntimeError("killed")

    return end


class Pictures:
    """A data set whose pictures a generator draws from latents that it knows."""

    def __init__(self, generator: Any) -> None:
        self.generator, self.count = generator, 6
        self.z = torch.randn(6, generator.z_dim, generator=torch.Generator().manual_seed(3))
        self.asked: list[int] = []

    def cached(self, folder: Any) -> Pictures:
        return self

    def fill(self, until: int) -> None:
        self.filled = until

    def batch(self, items: torch.Tensor) -> dict[str, torch.Tensor]:
        self.asked.append(len(items))
        with torch.no_grad():
            image = self.generator.synthesis(self.generator.styles(self.generator.mapping(self.z[items])))
        return {"image": image, "z": self.z[items]}

    def held_out(self, count: int) -> dict[str, torch.Tensor]:
        return self.batch(torch.arange(count))


def test_real_pictures_are_learnt_from_too(run, tiny, tmp_path) -> None:
    pictures = Pictures(tiny)
    run(dataset=pictures, batch=3, compared=2, latents=True, synthetic=0, items=100)
    assert pictures.filled == 6 and pictures.asked == [3] * 4 + [4]
    scores = (tmp_path / "out" / "scores.txt").read_text().split()[::2]
    assert scores == ["l2", "mean_l2", "drawn_l2", "drawn_mean_l2"]


def test_what_cannot_be_trained_is_said(run) -> None:
    with pytest.raises(ComponentError, match="without a data set, drawn pictures are needed"):
        run(synthetic=0)
    with pytest.raises(ComponentError, match="an encoder's config takes rows, style_dim, body.*'bodi'"):
        run(network={"bodi": "resnet"})
    with pytest.raises(ComponentError, match="four stages"):
        run(network={**NETWORK, "units": [1, 1]})


def test_pairs_are_a_function_of_seed_and_step(tiny) -> None:
    def draw(ws: torch.Tensor) -> torch.Tensor:
        return tiny.synthesis(tiny.styles(ws))

    fresh, again = (Pairs(tiny, draw, 1, mixing=0.5, kept=0) for _ in range(2))
    pictures, codes = fresh.batch(7, 3)
    assert torch.equal(again.batch(7, 3)[1], codes) and not torch.equal(again.batch(8, 3)[1], codes)
    assert torch.allclose(draw(codes), pictures)
    kept = Pairs(tiny, draw, 1, mixing=0.0, kept=5)
    pictures, codes = kept.batch(0, 20)
    assert len(codes.flatten(1).unique(dim=0)) <= 5
    assert float((draw(codes).clamp(-1, 1) - pictures).abs().max()) < 1 / 127


def test_mixed_codes_change_latents_once(tiny) -> None:
    codes = mixed_codes(tiny, 32, mixing=1.0, seed=2)
    changes = (codes[:, 1:] != codes[:, :-1]).any(2).sum(1)
    assert changes.tolist() == [1] * 32
    assert bool((mixed_codes(tiny, 4, mixing=0.0, seed=2).diff(dim=1) == 0).all())


def test_terms_by_hand() -> None:
    codes = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]])
    assert float(delta_norm(codes, 2)) == 6.0 and float(delta_norm(codes, 1)) == 5.0
    assert float(code_norm(codes, torch.zeros(1, 3, 2))) == pytest.approx(26**0.5)
    assert float(code_error(codes, torch.zeros(1, 3, 2), torch.tensor(2.0))) == pytest.approx(26 / 6 / 4)
    weights = Weights(l2=2.0, perceptual=0.0, identity=0.0, code=0.5, code_norm=0.0, delta=0.0, adversarial=0.0)
    assert float(total({"l2": torch.tensor(3.0), "code": torch.tensor(4.0)}, weights)) == 8.0


def test_the_discriminators_penalty_is_the_squared_slope() -> None:
    network = LatentDiscriminator(3, layers=1)
    slope = network.mlp[0].weight.square().sum()
    assert float(gradient_penalty(network, torch.randn(5, 3)).detach()) == pytest.approx(float(slope), rel=1e-5)


def test_all_rows_have_joined_by_the_end() -> None:
    stages = [stage_at(step, 18, begin=20_000, end=20_000 + 2000 * 16) for step in (0, 19_999, 20_000, 22_000, 60_000)]
    assert stages == [0, 0, 1, 2, 17]  # as with e4e's own plan: 20,000, then one more every 2,000


def test_the_recipe_is_good() -> None:
    data = recipe.load("train_encoder", ["training.encoder=e4e", "dataset=null"]).data
    assert data["dataset"] is None and data["training"]["encoder"] == "e4e"
    assert data["generator"]["weights"] == "procfaces_128_generator"
