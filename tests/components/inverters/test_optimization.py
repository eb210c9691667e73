"""The optimization inverter: what it reaches, and the traps that the nearest programs fell into."""

import pytest
import torch

from chunkygan import memory
from chunkygan.components.inverters import optimization
from chunkygan.components.inverters.optimization import Optimization
from chunkygan.components.inverters.start import bank_of
from chunkygan.components.latent_spaces.s import S
from chunkygan.components.latent_spaces.w import W
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.components.mask_generators.painted import Painted
from chunkygan.components.mask_generators.single import Single
from chunkygan.drawing import composite
from chunkygan.errors import ProjectionError
from chunkygan.lightning.views import reduced
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Fit, Segments

SPACES = {"w": W, "w_plus": WPlus, "s": S}


@pytest.fixture
def target(tiny):
    """Two random pictures side by side: no single code draws it, two chunks can."""
    ws = tiny.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(11)))
    left, right = tiny.synthesis(tiny.styles(ws)).detach()
    return torch.cat([left[:, :, :16], right[:, :, 16:]], 2)[None]


@pytest.fixture
def project(tiny, pixels, target):
    def run(masks, *, spaces=("w_plus",), begin=None, listeners=(), state=None, seed=0, goal=target, **options):
        names = list(spaces) * (len(masks.names) if len(spaces) == 1 else 1)
        return Optimization(**{"steps": 30, **options}).project(
            goal, generator=tiny, spaces=[{"name": name} for name in names], mask_generator=masks,
            perceptual=pixels, start=begin, listeners=listeners, state=state, seed=seed,
        )  # fmt: skip

    return run


def drawn(tiny, fit, target, noise="const"):
    spaces = latent_spaces(fit.codes.spaces, tiny)
    styles = [space.to_styles(code[None]) for space, code in zip(spaces, fit.codes.values)]
    return composite(tiny, styles, fit.segments, target, noise=fit.noise or noise)


@pytest.mark.parametrize("space", SPACES)
def test_two_chunks_fit_what_one_code_cannot(tiny, project, halves, target, space):
    whole = project(Single((32, 32)), spaces=[space])
    chunks = project(halves, spaces=[space])
    miss = [float((drawn(tiny, fit, target) - target).square().mean()) for fit in (whole, chunks)]
    assert miss[1] < 0.8 * miss[0]


def test_the_fit_is_what_its_codes_draw(tiny, project, halves, target):
    """The last loss a fit reports, without latent noise, is that of the picture drawn from its result a step later."""
    fit = project(halves, latent_noise=0.0)
    assert float((drawn(tiny, fit, target) - target).square().mean()) == pytest.approx(
        fit.history[-1]["perceptual"], rel=0.05
    )


def test_one_chunk_is_plain_projection(tiny, pixels, project, target):
    """Against a loop written out by hand, without masks, windows or Lightning."""
    options = dict(steps=12, lr=0.1, latent_noise=0.0, rampup=0.25, rampdown=0.5)
    fit = project(Single((32, 32)), **options)
    space = WPlus(tiny)
    offset = torch.zeros(space.code_shape, requires_grad=True)
    adam = torch.optim.Adam([offset], lr=1.0)
    for step in range(12):
        t = (step + 0.5) / 12
        factor = min(1, t / 0.25) * (0.5 - 0.5 * torch.cos(torch.tensor(torch.pi * min(1, (1 - t) / 0.5))).item())
        adam.param_groups[0]["lr"] = 0.1 * factor
        adam.zero_grad()
        image = tiny.synthesis(tiny.styles((space.mean() + space.scale() * offset)[None]))
        (image - target).square().mean().backward()
        adam.step()
    expected = (space.mean() + space.scale() * offset).detach()
    torch.testing.assert_close(fit.codes.values[0], expected, atol=1e-4, rtol=1e-4)


def test_frugal_memory_changes_nothing(project, halves):
    joint, frugal = (project(halves, steps=10, memory=mode) for mode in ("joint", "frugal"))
    for a, b in zip(joint.codes.values, frugal.codes.values):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_memory_is_chosen_by_what_is_free_and_told_where_it_is_little(project, halves, monkeypatch, recwarn):
    monkeypatch.setattr(optimization, "FEW_PIXELS", 0)
    joint = project(halves, steps=4)
    assert not [w for w in recwarn if "one by one" in str(w.message)]
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1)
    with pytest.warns(UserWarning, match="one by one"):
        frugal = project(halves, steps=4)
    for a, b in zip(joint.codes.values, frugal.codes.values):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_same_seed_gives_the_same_fit_and_another_seed_another(project, halves):
    fits = [project(halves, steps=8, latent_noise=0.2, seed=seed) for seed in (1, 1, 2)]
    codes = [fit.codes.values[0] for fit in fits]
    assert torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[0], codes[2])


def test_an_interrupted_fit_goes_on_to_the_same_end(project, halves, tmp_path):
    def interrupt(step):
        if step.step == 7:
            raise KeyboardInterrupt

    options = dict(steps=20, latent_noise=0.1, fit_noise=True)
    whole = project(halves, **options)
    with pytest.raises(KeyboardInterrupt):
        project(halves, listeners=[interrupt], state=tmp_path / "fit.ckpt", **options)
    resumed = project(halves, state=tmp_path / "fit.ckpt", **options)
    assert len(resumed.history) == resumed.steps == 20
    assert all(a == pytest.approx(b) for a, b in zip(resumed.history, whole.history))
    for a, b in zip((*whole.codes.values, *whole.noise), (*resumed.codes.values, *resumed.noise)):
        assert torch.equal(a, b)


def test_listeners_see_every_step_and_can_stop(project, halves):
    seen = []

    def watch(step):
        seen.append((step.step, step.losses["total"], tuple(step.preview().shape)))
        if step.step == 5:
            step.stop()

    fit = project(halves, listeners=[watch])
    assert [s[0] for s in seen] == [1, 2, 3, 4, 5]
    assert all(shape == (1, 3, 32, 32) for *_, shape in seen)
    assert fit.steps == 5
    assert [row["total"] for row in fit.history] == pytest.approx([loss for _, loss, _ in seen])


def test_a_plateau_ends_the_fit_when_asked(project, tiny, halves):
    goal = tiny.synthesis(tiny.styles(tiny.w_avg.expand(1, tiny.num_ws, -1)))  # the start is the answer already
    assert project(halves, goal=goal, steps=200, patience=5, latent_noise=0.0).steps < 60
    assert project(halves, goal=goal, steps=60, latent_noise=0.0).steps == 60


def test_weights_masks_and_modes_are_left_as_they_were(tiny, project, halves):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    masks = halves().clone()
    project(halves, steps=3, fit_noise=True)
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())
    assert torch.equal(halves(), masks)
    assert not tiny.training
    assert not any(p.requires_grad or p.grad is not None for p in tiny.parameters())


def test_fitted_noise_is_kept_normalised_and_used_again(tiny, project, halves, target):
    fit = project(halves, fit_noise=True, noise_regularisation=1.0, latent_noise=0.0)
    assert len(fit.noise) == len(tiny.noise_maps())
    for fitted, own in zip(fit.noise, tiny.noise_maps()):
        assert not torch.allclose(fitted, own)
        assert float(fitted.mean()) == pytest.approx(0, abs=1e-5)
        assert float(fitted.square().mean()) == pytest.approx(1, abs=1e-4)
    losses = []
    again = project(halves, steps=1, begin=fit, latent_noise=0.0, listeners=[lambda s: losses.append(s.losses)])
    assert losses[0]["perceptual"] == pytest.approx(
        float((drawn(tiny, fit, target) - target).square().mean()), rel=1e-3
    )
    for kept, fitted in zip(again.noise, fit.noise):
        assert torch.equal(kept, fitted)  # given, but not fitted further


@pytest.mark.parametrize(("first", "then"), [("w", "w_plus"), ("w_plus", "s"), ("w", "s"), ("w_plus", "w_plus")])
def test_a_fit_starts_from_another_one_in_any_wider_space(tiny, project, halves, target, first, then):
    before = project(halves, spaces=[first])
    losses = []
    project(
        halves, spaces=[then], begin=before, steps=1, latent_noise=0.0, listeners=[lambda s: losses.append(s.losses)]
    )
    miss = float((drawn(tiny, before, target) - target).square().mean())
    assert losses[0]["perceptual"] == pytest.approx(miss, rel=1e-3)


def test_one_code_starts_all_chunks(project, halves):
    whole = project(Single((32, 32)), steps=10)
    fit = project(halves, begin=whole, steps=10)
    assert fit.history[0]["perceptual"] <= whole.history[-1]["perceptual"] * 1.2


def test_a_start_with_the_wrong_number_of_codes_is_refused(project, halves, target):
    three = Fit(Codes((torch.zeros(16),) * 3, ({"name": "w"},) * 3), Segments(torch.zeros(3, 32, 32), ("a", "b", "c")))
    with pytest.raises(ProjectionError, match="3 codes, but there are 2 chunks"):
        project(halves, begin=three)


def test_codes_that_are_not_finite_are_refused(project, halves):
    broken = Fit(
        Codes((torch.full((16,), float("nan")),), ({"name": "w"},)), Segments(torch.ones(1, 32, 32), ("image",))
    )
    with pytest.raises(ProjectionError, match="not finite"):
        project(halves, begin=broken)


def test_a_fit_that_leaves_the_numbers_says_so(project, halves):
    with pytest.raises(ProjectionError, match=r"smaller inverter\.lr"):
        project(halves, lr=1e30, latent_noise=0.0)


def test_a_bank_begins_nearer_than_the_mean(project, halves):
    mean, bank = (
        project(halves, start=start, steps=1, latent_noise=0.0, bank_truncation=1.0) for start in ("mean", "bank")
    )
    assert bank.history[0]["perceptual"] < mean.history[0]["perceptual"]


def test_the_bank_chooses_for_every_chunk_on_its_own(tiny, project, halves, target):
    """The target's halves are samples of the bank: each is found for its half."""
    ws = torch.randn(200, 16, generator=torch.Generator().manual_seed(4))  # how the bank of seed 4 begins
    pictures = tiny.synthesis(tiny.styles(tiny.mapping(ws[[20, 90]])), noise="none")
    goal = torch.cat([pictures[:1, :, :, :16], pictures[1:, :, :, 16:]], 3)
    hard = Painted((32, 32), array=(torch.arange(32).expand(32, 32) >= 16).int().numpy())
    fit = project(hard, goal=goal, start="bank", bank_samples=200, bank_truncation=1.0, steps=1, lr=1e-9, seed=4)
    for code, index in zip(fit.codes.values, (20, 90)):
        torch.testing.assert_close(code, tiny.mapping(ws[index : index + 1])[0], atol=1e-3, rtol=1e-3)


def test_a_regression_begins_no_farther_than_the_bank_and_finds_what_no_sample_is(tiny, project, halves, target):
    ws = tiny.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(77)), truncation=0.5)
    one, two = tiny.synthesis(tiny.styles(ws), noise="none")
    goal = torch.cat([one[:, :, :16], two[:, :, 16:]], 2)[None]
    hard = Painted((32, 32), array=(torch.arange(32).expand(32, 32) >= 16).int().numpy())

    def first(start):
        fit = project(hard, goal=goal, start=start, steps=1, latent_noise=0.0, bank_samples=100, seed=4)
        return fit.history[0]["perceptual"]

    assert first("regression") < 0.7 * first("bank") < 0.7 * first("mean")


def test_a_bank_serves_every_picture_and_is_drawn_again_for_another_seed(tiny):
    options = dict(samples=5, truncation=0.7)
    first = bank_of(tiny, **options, seed=1)
    assert bank_of(tiny, **options, seed=1) is first
    assert not torch.equal(bank_of(tiny, **options, seed=2).ws, first.ws)
    assert torch.equal(first.ws[0], tiny.w_avg.expand(tiny.num_ws, -1))


def test_coarse_steps_compare_partial_sums_with_the_shrunk_target_and_the_last_are_full(tiny, project, halves, target):
    options = dict(steps=4, latent_noise=0.0, lr=1e-9)
    coarse, full = project(halves, coarse_size=16, coarse_until=0.5, **options), project(halves, **options)
    spaces = latent_spaces(coarse.codes.spaces, tiny)
    styles = [s.to_styles(s.mean()[None]) for s in spaces]
    small = [reduced(value, 16) for value in (target, halves()[0])]
    images = torch.cat([tiny.synthesis(style, size=16) for style in styles])
    by_hand = float(((images * small[1][:, None]).sum(0) - small[0][0]).square().mean())
    told = [row["perceptual"] for row in coarse.history]
    assert told[:2] == pytest.approx([by_hand] * 2, rel=1e-4)
    assert told[2:] == pytest.approx([row["perceptual"] for row in full.history[2:]], rel=1e-4)


def test_a_perceptual_size_shrinks_what_is_compared(tiny, project, halves, target):
    fit = project(halves, steps=1, latent_noise=0.0, perceptual_size=8, l2=1.0)
    styles = [s.to_styles(s.mean()[None]) for s in latent_spaces(fit.codes.spaces, tiny)]
    image = composite(tiny, styles, fit.segments, target)
    assert fit.history[0]["perceptual"] == pytest.approx(
        float((reduced(image, 8) - reduced(target, 8)).square().mean()), rel=1e-4
    )
    assert fit.history[0]["l2"] == pytest.approx(float((image - target).square().mean()), rel=1e-4)


def test_a_fit_interrupted_while_coarse_ends_where_an_unbroken_one_does(project, halves, tmp_path):
    def interrupt(step):
        if step.step == 3:
            raise KeyboardInterrupt

    options = dict(steps=8, coarse_size=16, coarse_until=0.6)
    whole = project(halves, **options)
    with pytest.raises(KeyboardInterrupt):
        project(halves, listeners=[interrupt], state=tmp_path / "fit.ckpt", **options)
    again = project(halves, state=tmp_path / "fit.ckpt", **options)
    assert all(torch.equal(a, b) for a, b in zip(whole.codes.values, again.codes.values))


def test_previews_of_coarse_steps_have_the_full_size(project, halves):
    shapes = []
    project(halves, steps=2, coarse_size=8, listeners=[lambda step: shapes.append(tuple(step.preview().shape))])
    assert shapes == [(1, 3, 32, 32)] * 2


def test_sizes_that_make_no_sense_are_refused(project, halves):
    from chunkygan.errors import RecipeError, ShapeError

    with pytest.raises(RecipeError, match="coarse_until"):
        project(halves, coarse_until=1.0)
    with pytest.raises(RecipeError, match="betas"):
        project(halves, betas=[0.9, 1.0])
    with pytest.raises(ShapeError, match="size must be one of"):
        project(halves, coarse_size=17)


def test_mixed_precision_ends_near_single_precision(tiny, project, halves, target):
    """bfloat16 keeps 8 bits; the fit's end, drawn in single precision, is 5 % worse at most."""
    miss = []
    for precision in ("32-true", "bf16-mixed"):
        fit = project(halves, latent_noise=0.0, trainer={"accelerator": "cpu", "precision": precision})
        assert all(code.dtype == torch.float32 for code in fit.codes.values)
        miss.append(float((drawn(tiny, fit, target) - target).square().mean()))
    assert miss[1] < 1.05 * miss[0]


def test_chunks_that_are_held_together_fit_as_well_as_one_code(tiny, project, halves, target):
    """A steep dispersion must not slow down what the chunks do together: they end where one code for both ends."""
    one, held = project(Single((32, 32)), steps=60), project(halves, steps=60, dispersion=100.0)
    miss = [float((drawn(tiny, fit, target) - target).square().mean()) for fit in (one, held)]
    assert miss[1] < 1.1 * miss[0]


def test_dispersion_keeps_codes_together(project, halves):
    apart, together = (project(halves, dispersion=weight) for weight in (0.0, 1.0))

    def spread(fit):
        codes = torch.stack(fit.codes.values)
        return float((codes - codes.mean(0)).square().sum())

    assert spread(together) < 0.2 * spread(apart)


def test_each_chunk_may_have_a_space_of_its_own(tiny, project, halves, target):
    fit = project(halves, spaces=("w", "s"), dispersion=1e-4)
    assert [tuple(code.shape) for code in fit.codes.values] == [W(tiny).code_shape, S(tiny).code_shape]
    assert fit.history[-1]["perceptual"] < fit.history[0]["perceptual"]


def test_a_static_area_stays_the_photo_and_steers_nothing(tiny, project, target):
    only_left = torch.zeros(1, 32, 32)
    only_left[:, :, :16] = 1
    fit = project(Painted((32, 32), array=only_left.numpy(), rest="static"))
    image = drawn(tiny, fit, target)
    assert torch.equal(image[..., 16:], target[..., 16:])
    assert not torch.equal(image[..., :16], target[..., :16])


def test_a_target_of_another_size_or_with_nan_is_refused(project, halves, target):
    from chunkygan.errors import ShapeError

    with pytest.raises(ShapeError, match="target"):
        project(halves, goal=target[..., :16])
    with pytest.raises(ProjectionError, match="not finite"):
        project(halves, goal=target * float("nan"))
