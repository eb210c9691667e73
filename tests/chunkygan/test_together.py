"""One generator tuned to several pictures: turns, what is kept, and runs that go on."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
import torch

import chunkygan
from chunkygan.cli.main import main
from chunkygan.components.inverters.pivotal_tuning import PivotalTuning
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.errors import ProjectionError
from chunkygan.images import read_image, write_image
from chunkygan.inversion import Inversion
from chunkygan.lightning.tuning import Pivot, Tuning, TuningSettings
from chunkygan.objective import l2
from chunkygan.projection import Projection
from chunkygan.recipe import load
from chunkygan.together import own_part, shares, tuned_together
from chunkygan.types import Codes, Fit, Segments, WeightChanges


@pytest.fixture
def pairs(tiny, halves):
    """Two pictures, and fits of two chunks that do not draw them."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    targets = [torch.stack([a / 16 - 1, b / 16 - 1, 0 * a])[None] for a, b in ((rows, columns), (columns, -rows))]
    with torch.no_grad():
        segments = Segments(halves()[0], ("left", "right"))
    codes = WPlus(tiny).sample(4, rng=torch.Generator().manual_seed(3)).split(2)
    return targets, [Fit(Codes(tuple(two), ({"name": "w_plus"},) * 2), segments, steps=4) for two in codes]


def tune(pairs, tiny, pixels, **options):
    options = {"steps": 8, "lr": 3e-3, "stop_at": 0.0, "trainer": {"accelerator": "cpu"}, **options}
    return PivotalTuning(**options).shared_part(*pairs, generator=tiny, perceptual=pixels)


def misses(pairs, fits, tiny):
    drawn = [
        Projection(target, fit.codes, fit.segments, tiny, weight_changes=fit.weight_changes).render()
        for target, fit in zip(pairs[0], fits)
    ]
    return [float((picture - target).square().mean()) for picture, target in zip(drawn, pairs[0])]


def test_pictures_share_one_difference_and_all_come_nearer(pairs, tiny, pixels):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    fits = tune(pairs, tiny, pixels)
    assert fits[0].weight_changes is fits[1].weight_changes and fits[0].weight_changes.parts
    for now, then in zip(misses(pairs, fits, tiny), misses(pairs, pairs[1], tiny)):
        assert now < 0.9 * then
    assert [fit.steps for fit in fits] == [12, 12] and [len(fit.history) for fit in fits] == [8, 8]
    for fit, pivot in zip(fits, pairs[1]):
        assert all(torch.equal(a, b) for a, b in zip(fit.codes.values, pivot.codes.values))
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())
    assert not tiny.training and not any(p.requires_grad or p.grad is not None for p in tiny.parameters())


def test_steps_are_adams_on_the_pictures_in_turn(pairs, tiny, pixels):
    settings = TuningSettings(5, 3e-3, 1.0, 0.5, 0.0, 0.75, 0.0, False)
    pivots = [Pivot(target, fit.codes, fit.segments) for target, fit in zip(*pairs)]
    tuning = Tuning(pivots, tiny, tiny, pixels, settings)
    from chunkygan.lightning import fitting

    fitting.run(tuning, trainer={"accelerator": "cpu"})
    slow = copy.deepcopy(tiny).requires_grad_(True)
    optimizer = torch.optim.Adam(slow.parameters(), lr=3e-3)
    for step in range(5):
        target, fit = pairs[0][step % 2], pairs[1][step % 2]
        drawn = slow.synthesis(WPlus(slow).to_styles(torch.stack(fit.codes.values)), noise="const")
        image = (fit.segments.masks[:, None] * drawn).sum(0, keepdim=True)
        loss = pixels(image, target).sum() + 0.5 * l2(image, target).sum()
        assert float(tuning.history[step]["total"]) == pytest.approx(float(loss.detach()), rel=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, value in slow.state_dict().items():
        torch.testing.assert_close(tuning.generator.state_dict()[name], value, atol=2e-4, rtol=1e-3, msg=name)


def test_it_ends_when_every_picture_is_near(pairs, tiny, pixels):
    targets, fits = pairs
    own = Projection(targets[0], fits[0].codes, fits[0].segments, tiny).render()
    one_is_near = ([own, targets[1]], fits)
    assert len(tune(one_is_near, tiny, pixels, stop_at=1e-3, lr=0.0)[0].history) == 8
    assert [len(fit.history) for fit in tune(pairs, tiny, pixels, stop_at=100.0)] == [1, 1]


def test_a_picture_alone_is_tuned_as_ever(pairs, tiny, pixels, halves):
    def run(together):
        tuning = PivotalTuning(steps=3, lr=3e-3, together=together, locality=1.0, trainer={"accelerator": "cpu"})
        return tuning.project(
            pairs[0][0], generator=tiny, spaces=[{"name": "w_plus"}] * 2, mask_generator=halves, perceptual=pixels,
            start=pairs[1][0],
        )  # fmt: skip

    alone, together = run(False).weight_changes, run(True).weight_changes
    assert all(torch.equal(value, together.parts[name]) for name, value in alone.parts.items())


def test_generators_that_differ_already_are_refused(pairs, tiny, pixels):
    changed = [Fit(fit.codes, fit.segments, weight_changes=WeightChanges({}, 0.0)) for fit in pairs[1]]
    with pytest.raises(ProjectionError, match="changed already, each in its own way"):
        tune((pairs[0], changed), tiny, pixels)


WORDS = [
    "inverter.name=pivotal_tuning", "inverter.before={name: optimization, steps: 2}", "inverter.steps=3",
    "inverter.together=true", "inverter.lr=3e-3", "inverter.l2=1.0",
]  # fmt: skip


@pytest.fixture
def person(tiny_run):
    """A folder of two pictures of the tiny recipe."""
    folder = tiny_run / "person"
    folder.mkdir()
    picture = read_image(tiny_run / "face.png")
    for name, change in (("a", 0.0), ("b", 0.3), ("c", -0.3)):
        write_image(folder / f"{name}.png", (picture + change).clamp(-1, 1))
        shutil.copy(tiny_run / "face_masks.png", tiny_run / f"{name}_masks.png")
    (folder / "c.png").rename(tiny_run / "c.png")
    return folder


@pytest.fixture
def invert(tiny_run, person):
    def run(*words, out="out"):
        recipe = ["--recipe", str(tiny_run / "recipe.yaml"), "--out", str(tiny_run / out)]
        return main(["invert", str(person), *WORDS, *map(str, words), *recipe])

    return run


def projection(folder, name):
    return chunkygan.load_projection(folder / name / "projection.safetensors")


def test_the_command_writes_whole_projections(tiny_run, invert, capsys):
    (tiny_run / "person" / "broken.png").write_bytes(b"no picture")
    assert invert("output.baseline=true") == 2
    said = capsys.readouterr()
    assert "1 of 3 pictures could not be inverted; the others are done" in said.err
    out = tiny_run / "out"
    assert {p.name for p in out.iterdir()} == {"a", "b", "recipe.yaml", "run.json", "together.json"}
    a, b = (projection(out, name) for name in "ab")
    assert all(torch.equal(value, b.weight_changes.parts[name]) for name, value in a.weight_changes.parts.items())
    for name, made in (("a", a), ("b", b)):
        files = {path.name for path in (out / name).iterdir()}
        assert files >= {"pivot.json", "metrics.json", "report.png", "reconstruction.png", "progress.gif"}
        alone, metrics = (json.loads((out / name / f"{file}.json").read_text()) for file in ("pivot", "metrics"))
        assert metrics == made.metrics and metrics["l2"] < alone["l2"]
        assert (alone["steps"], metrics["steps"], metrics["tuning_steps"]) == (2, 5, 3)
        assert metrics["baseline_l2"] != alone["baseline_l2"]
        assert float((made.render() - made.target).square().mean()) == pytest.approx(metrics["l2"], rel=1e-4)
    assert "l2 alone" in said.out and f"results: {out}" in said.out


def test_own_fits_are_never_repeated_and_another_picture_is_tuned_with_them(tiny_run, invert, monkeypatch, capsys):
    fits = []
    own = PivotalTuning.own_part
    monkeypatch.setattr(PivotalTuning, "own_part", lambda *a, **k: fits.append(a) or own(*a, **k))
    assert invert() == 0 and len(fits) == 2
    first = projection(tiny_run / "out", "a")
    report = tiny_run / "out" / "a" / "report.png"
    written = report.stat().st_mtime_ns
    assert invert() == 0 and len(fits) == 2 and report.stat().st_mtime_ns == written
    assert "tuned together already" in capsys.readouterr().err
    (tiny_run / "c.png").rename(tiny_run / "person" / "c.png")
    assert invert() == 0 and len(fits) == 3
    again = projection(tiny_run / "out", "a")
    assert all(torch.equal(x, y) for x, y in zip(again.codes.values, first.codes.values))
    assert any(not torch.equal(x, again.weight_changes.parts[n]) for n, x in first.weight_changes.parts.items())
    assert again.metrics["steps"] == 5  # of its own fit and this tuning, not of the one before


def test_an_interrupted_tuning_goes_on_and_ends_the_same(tiny_run, invert, monkeypatch):
    from chunkygan.cli.progress import Progress

    show = Progress.__call__

    def interrupted(self, step):
        show(self, step)
        if self.title == "together" and step.step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "__call__", interrupted)
        assert invert() == 130
    out = tiny_run / "out"
    assert (out / "together_projection.ckpt").is_file() and not (out / "a" / "metrics.json").exists()
    assert (out / "a" / "pivot.json").is_file()
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "__call__", lambda self, step: seen.append((self.title, step.step)))
        assert invert() == 0
    assert seen == [("together", 5), ("together", 6)]
    assert not list(out.glob("*.ckpt"))
    assert invert(out="whole") == 0
    whole, resumed = (projection(tiny_run / name, "b").weight_changes.parts for name in ("whole", "out"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_from_python(tiny_run, person):
    recipe = load(str(tiny_run / "recipe.yaml"), WORDS, job="invert")
    inversion = Inversion(recipe)
    assert shares(inversion) and not shares(Inversion(load(str(tiny_run / "recipe.yaml"), job="invert")))
    own = own_part(inversion)
    targets = [inversion.read(person / f"{name}.png") for name in "ab"]
    alone = [own.project(target, own.masks_for(target, stem="face")) for target in targets]
    assert all(one.weight_changes is None for one in alone)
    edited = alone[1].edit(torch.ones(16), 0.5)
    made = tuned_together(inversion, [alone[0], edited])
    assert made[1].edits == edited.edits and made[0].weight_changes is made[1].weight_changes
    assert all(one.metrics["l2"] < before.metrics["l2"] for one, before in zip(made, alone))
    again = tuned_together(inversion, made)
    assert [one.metrics["l2"] for one in again] == pytest.approx([one.metrics["l2"] for one in made], rel=1e-6)
