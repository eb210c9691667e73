"""Pivotal tuning: it comes nearer than its pivot, leaves the generator alone, and is kept as a small difference."""

import pytest
import torch

import chunkygan
from chunkygan import registry
from chunkygan.components.inverters.pivotal_tuning import PivotalTuning
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.components.mask_generators.single import Single
from chunkygan.errors import ChunkyGANError, ProjectionError, ShapeError
from chunkygan.lightning.tuning import Pivot, Tuning
from chunkygan.projection import Projection
from chunkygan.types import Codes, Fit, Segments, WeightChanges
from chunkygan.weight_changes import Packing, pack, size_in_bytes, tuned, unpack


@pytest.fixture
def target():
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    return torch.stack([rows / 16 - 1, columns / 16 - 1, torch.zeros(32, 32)])[None]


@pytest.fixture
def pivot(tiny, halves):
    with torch.no_grad():
        masks = halves()[0]
    codes = tuple(WPlus(tiny).sample(2, rng=torch.Generator().manual_seed(3)))
    return Fit(Codes(codes, ({"name": "w_plus"},) * 2), Segments(masks, ("left", "right")), steps=4)


@pytest.fixture
def tune(tiny, pixels, halves, target, pivot):
    def run(begin=pivot, masks=halves, listeners=(), state=None, **options):
        options = {"steps": 12, "lr": 3e-3, "stop_at": 0.0, "trainer": {"accelerator": "cpu"}, **options}
        return PivotalTuning(**options).project(
            target, generator=tiny, spaces=[{"name": "w_plus"}] * len(masks.names), mask_generator=masks,
            perceptual=pixels, start=begin, listeners=listeners, state=state,
        )  # fmt: skip

    return run


def projection(fit, target, tiny):
    return Projection(
        target, fit.codes, fit.segments, tiny, noise=fit.noise, weight_changes=fit.weight_changes, metrics={}
    )


def miss(fit, target, tiny):
    return float((projection(fit, target, tiny).render() - target).square().mean())


def test_it_comes_nearer_than_its_pivot_and_leaves_codes_and_generator(tiny, tune, pivot, target):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    fit = tune()
    assert miss(fit, target, tiny) < 0.8 * miss(pivot, target, tiny)
    assert fit.steps == 16 and len(fit.history) == 12
    assert all(torch.equal(a, b) for a, b in zip(fit.codes.values, pivot.codes.values))
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())
    assert not tiny.training and not any(p.requires_grad or p.grad is not None for p in tiny.parameters())


def test_what_is_stored_keeps_the_gain_that_was_asked_for(tiny, tune, pivot, target):
    """The last loss was taken before the last step, so the stored difference may only be nearer than the share."""
    whole = tune(keep=1.0)
    small = tune(keep=0.5)
    gains = [miss(pivot, target, tiny) - miss(fit, target, tiny) for fit in (whole, small)]
    assert gains[1] >= 0.45 * gains[0]
    assert size_in_bytes(small.weight_changes) < size_in_bytes(whole.weight_changes)
    assert small.weight_changes.error > whole.weight_changes.error


def test_rendered_after_reading_it_is_the_same(tiny, tune, target, tmp_path):
    made = projection(tune(rank=2), target, tiny).edit(torch.randn(16), 0.5, chunk="left")
    made.save(tmp_path / "p.safetensors")
    again = chunkygan.load_projection(tmp_path / "p.safetensors", generator=tiny)
    assert torch.equal(again.render(), made.render())
    assert again.weight_changes.error == made.weight_changes.error
    assert again.drawer is not tiny


def test_it_stops_at_the_threshold_without_a_step(tiny, tune, pivot, target):
    fit = tune(stop_at=100.0)
    assert fit.steps == 5 and miss(fit, target, tiny) == miss(pivot, target, tiny)
    assert not fit.weight_changes.parts


def test_the_peers_threshold_is_that_of_their_network_only(pivot):
    by = {name: PivotalTuning()._settings([pivot.segments], name).stop_at for name in ("lpips_alex", "lpips_procfaces")}
    assert by == {"lpips_alex": 0.06, "lpips_procfaces": 0.0}
    assert PivotalTuning(stop_at=0.2)._settings([pivot.segments], "lpips_alex").stop_at == 0.2


def test_the_loss_may_see_single_chunks_only(tiny, pixels, pivot, target):
    from chunkygan.lightning.tuning import TuningSettings, seen_by

    settings = TuningSettings(1, 1e-3, 1.0, 0.0, 0.0, 0.75, 0.0, False)
    seen = seen_by(pivot.segments, ["left"])
    tuning = Tuning([Pivot(target, pivot.codes, pivot.segments, None, seen)], tiny, tiny, pixels, settings)
    with torch.no_grad():
        image = tuning.composite()
        expected = (seen * (image - target)).square().mean()
        assert float(tuning.terms()["perceptual"]) == pytest.approx(float(expected), rel=1e-4)


def test_an_unknown_chunk_is_named(tune):
    with pytest.raises(ProjectionError, match="no chunk 'lefd'.*did you mean 'left'"):
        tune(chunks=["lefd"])


def test_locality_holds_what_is_drawn_elsewhere(tiny, tune, pivot, target):
    def drift(fit):
        drawer = tuned(tiny, fit.weight_changes)
        ws = WPlus(tiny).sample(8, rng=torch.Generator().manual_seed(9))
        both = [g.synthesis(g.styles(ws), noise="none") for g in (tiny, drawer)]
        return float((both[0] - both[1]).square().mean())

    free, held = tune(rank=16), tune(rank=16, locality=10.0)
    assert drift(held) < 0.8 * drift(free)
    assert "locality" in held.history[-1] and miss(held, target, tiny) < miss(pivot, target, tiny)


def test_the_inverter_before_finds_the_codes(tiny, tune, target):
    fit = tune(begin=None, masks=Single((32, 32)), before={"name": "optimization", "steps": 3}, steps=2)
    assert fit.steps == 5 and len(fit.history) == 5
    assert fit.weight_changes.parts


def test_a_listener_can_stop_it_and_sees_the_picture(tune):
    seen = []

    def watch(step):
        seen.append((step.step, step.steps, tuple(step.preview().shape)))
        if step.step == 3:
            step.stop()

    assert len(tune(listeners=[watch]).history) == 3
    assert seen[-1] == (3, 12, (1, 3, 32, 32))


def test_a_recipe_runs_it_and_its_projection_is_read_again(tiny_run):
    overrides = {"name": "pivotal_tuning", "steps": 2, "before": {"name": "optimization", "steps": 2}}
    made = chunkygan.invert(tiny_run / "face.png", tiny_run / "recipe.yaml", inverter=overrides)
    made.save(tiny_run / "p.safetensors")
    assert torch.equal(chunkygan.load_projection(tiny_run / "p.safetensors").render(), made.render())


def test_it_is_in_the_catalogue():
    assert registry.get("inverter", "pivotal_tuning") is PivotalTuning


def test_packing_is_exact_at_full_rank_and_states_its_error():
    rng = torch.Generator().manual_seed(0)
    before = {"a": torch.zeros(12, 5, 3, 3), "b": torch.zeros(7), "c": torch.ones(3, 3)}
    after = {"a": torch.randn(12, 5, 3, 3, generator=rng) * 1e-3, "b": torch.full((7,), 0.5), "c": torch.ones(3, 3)}
    shapes = {name: tuple(value.shape) for name, value in before.items()}
    whole = pack(before, after, rank=None)
    assert whole.error < 1e-3 and set(whole.parts) == {"a.whole", "b.whole"}
    small = Packing(before, {**after, "b": before["b"]}).at(2)
    assert set(small.parts) == {"a.left", "a.right"} and small.parts["a.left"].shape == (12, 2)
    values = torch.linalg.svdvals(after["a"].double().flatten(1))
    assert small.error == pytest.approx(float((values[2:].square().sum() / values.square().sum()).sqrt()), rel=1e-3)
    torch.testing.assert_close(unpack(whole, shapes)["a"].float(), after["a"], atol=1e-6, rtol=1e-3)


def test_changes_of_another_generator_are_refused(tiny, tune, target, tmp_path):
    with pytest.raises(ShapeError, match="another generator"):
        tuned(tiny, WeightChanges({"no.such.weight.whole": torch.zeros(3)}, 0.0))
    name = next(name for name, value in tiny.public_state_dict().items() if value.ndim == 4)
    with pytest.raises(ShapeError, match="another generator"):
        tuned(tiny, WeightChanges({f"{name}.whole": torch.zeros(3)}, 0.0))
    with pytest.raises(ShapeError, match="damaged"):
        tuned(tiny, WeightChanges({f"{name}.left": torch.zeros(3, 2)}, 0.0))
    fit = tune(steps=1, rank=1)
    broken = WeightChanges({**fit.weight_changes.parts, "x.whole": torch.zeros(1)}, 0.0)
    made = projection(fit, target, tiny)
    object.__setattr__(made, "weight_changes", broken)
    made.save(tmp_path / "p.safetensors")
    with pytest.raises(ChunkyGANError, match=r"p\.safetensors.*another generator"):
        chunkygan.load_projection(tmp_path / "p.safetensors", generator=tiny)


def test_the_tuned_copy_is_made_once(tiny, tune):
    changes = tune(steps=1, rank=1).weight_changes
    assert tuned(tiny, changes) is tuned(tiny, changes)
    assert tuned(tiny, None) is tiny
