"""Pictures fitted at once: each goes the way that it goes alone, and leaves without taking the others along."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chunkygan import memory
from chunkygan.components.inverters import optimization
from chunkygan.components.inverters.optimization import Optimization
from chunkygan.components.mask_generators.painted import Painted
from chunkygan.components.mask_generators.seghead import SegHeadMasks
from chunkygan.components.mask_generators.single import Single
from chunkygan.drawing import composite, cover_of_segments
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.interfaces import FitRequest, MaskGenerator
from chunkygan.lightning.batch_drawing import Sketch, drawn_together
from chunkygan.lightning.batch_fit import BatchFit
from chunkygan.lightning.batch_members import on_plateau
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Fit, Segments, Window
from chunkygan.windows import Cover

SIZE = (32, 32)


@pytest.fixture
def targets(tiny: Any) -> Tensor:
    """(3, 3, 32, 32)"""
    ws = tiny.mapping(torch.randn(3, 16, generator=torch.Generator().manual_seed(11)))
    return tiny.synthesis(tiny.styles(ws)).clamp(-1, 1).detach()


def masks(kind: str) -> MaskGenerator:
    if kind == "whole":
        return Single(SIZE)
    if kind == "static":
        left = (torch.arange(32) < 16).float().expand(1, 32, 32)
        return Painted(SIZE, array=left.numpy(), rest="static")
    labels = (torch.arange(32)[:, None] // 11 + (torch.arange(32) > 20)).clamp(max=2).expand(32, 32)
    return Painted(SIZE, array=labels.numpy(), feather=2)


KINDS = ("whole", "painted", "static")


@pytest.fixture
def requests(targets: Tensor) -> list[FitRequest]:
    """A picture with one code, one in three chunks, and one that is kept but for its left half."""
    made = [masks(kind) for kind in KINDS]
    return [FitRequest(t[None], [{"name": "w_plus"}] * len(m.names), m) for t, m in zip(targets, made)]


@pytest.fixture
def together(tiny: Any, pixels: Any) -> Any:
    """Fits of requests in one batch, in their order; what went wrong in place of a fit."""

    def run(asked: list[FitRequest], *, seed: int = 0, **options: Any) -> list[Any]:
        inverter = Optimization(**{"steps": 8, "l2": 0.5, **options})
        found = dict(inverter.project_all(asked, generator=tiny, perceptual=pixels, seed=seed))
        return [found[i] for i in range(len(asked))]

    return run


@pytest.fixture
def alone(together: Any) -> Any:
    def run(asked: list[FitRequest], **options: Any) -> list[Any]:
        return [together([one], **options)[0] for one in asked]

    return run


def assert_same(one: Fit, other: Fit, tolerance: float = 1e-4) -> None:
    """To rounding, which Adam's first steps enlarge where gradients are small."""
    assert one.steps == other.steps
    for a, b in zip(one.codes.values, other.codes.values):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(one.segments.masks, other.segments.masks, atol=tolerance, rtol=tolerance)
    assert [row.keys() for row in one.history] == [row.keys() for row in other.history]
    for mine, theirs in zip(one.history, other.history):
        assert mine == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize(
    ("space", "memory"), [("w", "joint"), ("w_plus", "joint"), ("s", "joint"), ("w_plus", "frugal")]
)
def test_a_batch_ends_where_each_picture_ends_alone(requests, together, alone, space, memory):
    asked = [replace(one, spaces=[{"name": space}] * len(one.spaces)) for one in requests]
    for one, other in zip(together(asked, memory=memory), alone(asked, memory=memory)):
        assert_same(one, other)


def test_pictures_with_terms_noise_and_spaces_of_their_own_end_as_alone(requests, together, alone):
    mixed = [requests[0], replace(requests[1], spaces=[{"name": n} for n in ("w", "s", "w_plus")]), requests[2]]
    options = {"dispersion": 1e-3, "coherence": 0.5, "fit_noise": True, "noise_regularisation": 1.0, "seed": 3}
    for one, other in zip(together(mixed, **options), alone(mixed, **options)):
        assert_same(one, other)
        for a, b in zip(one.noise, other.noise):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


class Border(MaskGenerator):
    """Two halves with a soft border whose place is a parameter."""

    names = ("left", "right")

    def __init__(self, place: float) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.tensor(place))

    def forward(self) -> Tensor:
        left = torch.sigmoid((self.place - torch.arange(32.0)) / 2).expand(32, 32)
        return torch.stack([left, 1 - left])[None]


def test_masks_that_move_do_so_as_alone(requests, targets, tiny, tiny_head, together, alone):
    def asked() -> list[FitRequest]:
        drawn = SegHeadMasks(tiny, SIZE, targets[:1], weights=tiny_head, start="bank", small="drop")
        moving = [drawn, Border(20.0), masks("painted")]
        return [
            FitRequest(t[None], [{"name": "w_plus"}] * len(m.names), m) for t, m in zip(targets.flip(0), moving)
        ]

    options = {"masks_join": 0.2, "masks_freeze": 0.8, "mask_lr": 0.02, "mask_guard": 1.0}
    for one, other in zip(together(asked(), **options), alone(asked(), **options)):
        assert_same(one, other)
        assert one.areas == {name: pytest.approx(pair, rel=1e-3) for name, pair in other.areas.items()}
        assert set(one.areas) in ({"sky", "sea", "sand"}, {"left", "right"}, set())


def test_a_picture_that_leaves_the_numbers_leaves_alone(requests, together, alone):
    far = Codes((torch.full((8, 16), 1e30),), ({"name": "w_plus"},))
    broken = replace(requests[0], start=Fit(far, Segments(torch.ones(1, 32, 32), ("image",))))
    first, second, third = together([requests[0], broken, requests[1]])
    assert isinstance(second, ProjectionError) and "smaller inverter.lr" in str(second)
    for one, other in zip((first, third), alone([requests[0], requests[1]])):
        assert_same(one, other)


def test_a_picture_that_cannot_be_begun_and_one_whose_listener_fails_leave_alone(requests, targets, together, alone):
    def fail(step: Any) -> None:
        if step.step == 4:
            raise OSError("no space")

    asked = [replace(requests[0], target=targets[:1] * float("nan")), replace(requests[1], listeners=[fail])]
    first, second, third = together([*asked, requests[2]])
    assert isinstance(first, ProjectionError) and "not finite" in str(first)
    assert isinstance(second, OSError)
    assert_same(third, alone(requests[2:])[0])


def test_pictures_that_stop_early_are_there_first_and_have_their_own_number_of_steps(tiny, pixels, requests, alone):
    def stop(step: Any) -> None:
        if step.step == 4:
            step.stop()

    asked = [requests[0], replace(requests[1], listeners=[stop]), requests[2]]
    found = [*Optimization(steps=8, l2=0.5).project_all(asked, generator=tiny, perceptual=pixels)]
    assert [(place, fit.steps) for place, fit in found] == [(1, 4), (0, 8), (2, 8)]
    for (_, fit), other in zip(found[1:], alone([requests[0], requests[2]])):
        assert_same(fit, other)


def test_a_plateau_ends_its_picture_only(requests, together, alone):
    """Asked for an improvement that one of two pictures brings and the other does not."""
    options = {"latent_noise": 0.0, "steps": 6}
    losses = [[row["total"] for row in fit.history] for fit in alone(requests[:2], **options)]
    ratios = [sum(own[2:4]) / sum(own[:2]) for own in losses]
    found = together(requests[:2], patience=2, min_improvement=1 - sum(ratios) / 2, **options)
    assert [fit.steps for fit in found] == ([6, 4] if ratios[0] < ratios[1] else [4, 6])


def test_a_plateau_is_a_mean_loss_that_hardly_falls():
    history = [{"total": torch.tensor(value)} for value in (4.0, 2.0, 2.0, 3.0)]  # means 3 and 2.5
    assert on_plateau(history, 2, 0.2) and not on_plateau(history, 2, 0.1)
    assert not on_plateau(history[:3], 2, 0.2) and not on_plateau([*history, history[0]], 2, 0.2)
    assert on_plateau([{"total": torch.tensor(0.0)}] * 4, 2, 0.0)


def interrupted_at(number: int) -> Any:
    def interrupt(step: Any) -> None:
        if step.step == number:
            raise KeyboardInterrupt

    return interrupt


def with_states(requests: list[FitRequest], folder: Path, **extra: Any) -> list[FitRequest]:
    return [replace(one, state=folder / f"{i}.ckpt", **extra) for i, one in enumerate(requests)]


def test_an_interrupted_batch_goes_on_to_the_same_end(requests, together, tmp_path):
    options = {"fit_noise": True, "latent_noise": 0.1}
    whole = together(requests, **options)
    asked = with_states(requests, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        together([*asked[:2], replace(asked[2], listeners=[interrupted_at(5)])], **options)
    for one, other in zip(together(asked, **options), whole):
        assert all(torch.equal(a, b) for a, b in zip(one.codes.values, other.codes.values))
        assert len(one.history) == 8


def test_pictures_of_an_interrupted_batch_go_on_in_any_company(requests, together, alone, tmp_path):
    """One alone, the others with each other, one of which was interrupted later and so is at another size."""
    options = {"coarse_size": 16, "coarse_until": 0.5}
    whole, asked = alone(requests, **options), with_states(requests, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        together([*asked[:2], replace(asked[2], listeners=[interrupted_at(3)])], **options)
    with pytest.raises(KeyboardInterrupt):
        together([replace(asked[1], listeners=[interrupted_at(6)])], **options)
    found = [*together(asked[:1], **options), *together(asked[1:], **options)]
    for one, other in zip(found, whole):
        assert_same(one, other)


def test_what_had_stopped_when_the_others_were_interrupted_is_not_fitted_again(requests, together, tmp_path):
    def stop(step: Any) -> None:
        if step.step == 3:
            step.stop()

    asked = with_states(requests[:2], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        together([replace(asked[0], listeners=[stop, interrupted_at(3)]), asked[1]])
    heard: list[Any] = []
    stopped, other = together([replace(asked[0], listeners=[heard.append]), asked[1]])
    assert (stopped.steps, other.steps, heard) == (3, 8, [])


def test_a_damaged_state_is_said_and_ends_that_picture_only(requests, together, tmp_path):
    asked = with_states(requests[:2], tmp_path)
    (tmp_path / "0.ckpt").write_bytes(b"nothing of the kind")
    first, second = together(asked)
    assert isinstance(first, ProjectionError) and "0.ckpt" in str(first) and "delete it" in str(first)
    assert second.steps == 8


def test_the_state_of_other_chunks_is_refused(requests, together, tmp_path):
    asked = with_states(requests[:2], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        together([replace(asked[0], listeners=[interrupted_at(2)])])
    other = replace(asked[1], state=tmp_path / "0.ckpt")
    (found,) = together([other])
    assert isinstance(found, ProjectionError) and "of other chunks" in str(found)


def test_a_fault_of_what_is_shared_reaches_every_picture(requests, together):
    found = together(requests, coarse_size=17)
    assert all(isinstance(one, ShapeError) for one in found)


def test_a_full_device_is_said_with_what_to_do(requests, together, monkeypatch):
    def full(*_: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(BatchFit, "training_step", full)
    found = together(requests)
    assert all("3 pictures in one fit are too many: a smaller batch" in str(one) for one in found)


def test_what_is_drawn_together_is_what_is_drawn_apart(tiny, requests, targets):
    """Also where only one of the pictures has noise maps of its own."""
    rng = torch.Generator().manual_seed(5)
    sketches, wanted = [], []
    for one, target, own in zip(requests, targets, (False, True, False)):
        spaces = latent_spaces(one.spaces, tiny)
        codes = [space.mean() + space.scale() * torch.randn(space.code_shape, generator=rng) for space in spaces]
        noise: Any = [torch.randn(m.shape, generator=rng) for m in tiny.noise_maps()] if own else "const"
        static = one.mask_generator.static()
        segments = Segments(one.mask_generator()[0], one.mask_generator.names, None if static is None else static[0])
        sketches.append(Sketch(codes, spaces, segments, cover_of_segments(tiny, segments), noise))
        styles = [space.to_styles(code[None]) for space, code in zip(spaces, codes)]
        wanted.append(composite(tiny, styles, segments, target[None], noise=noise))
    for drawn, image in zip(drawn_together(tiny, sketches, targets), wanted):
        torch.testing.assert_close(drawn.image, image, atol=1e-5, rtol=1e-5)


def test_memory_is_asked_for_all_pictures(requests, together, alone, monkeypatch):
    asked: list[tuple[int, int]] = []

    def mode(generator: Any, cover: Cover, device: Any, *, perceptual: Any, pictures: int) -> str:
        asked.append((len(cover.windows), pictures))
        return "joint"

    monkeypatch.setattr(optimization, "FEW_PIXELS", 32 * 32)
    monkeypatch.setattr("chunkygan.lightning.batch_fit.fitting_mode", mode)
    together(requests[:1], steps=1)
    assert asked == []
    together([requests[0]] * 3, steps=1)
    assert asked == [(3, 3)]


def test_more_pictures_need_more_memory(tiny):
    cover = Cover((Window(0, 0, 32, 32),) * 2, (0, 1))
    one, two = (memory.step_bytes(tiny, cover, pictures=n) for n in (1, 2))
    assert two.joint > one.joint and two.frugal > one.frugal


def test_a_loss_that_is_scaled_by_what_it_is_keeps_pictures_apart(requests, tiny, pixels, monkeypatch):
    inverter = Optimization(steps=2, trainer={"precision": "16-mixed", "accelerator": "cpu"})
    assert not inverter.fits_together and Optimization().fits_together
    sizes: list[int] = []
    run = optimization.fitting.run_batch
    monkeypatch.setattr(
        optimization.fitting, "run_batch", lambda members, **_: sizes.append(len(members)) or run(members)
    )
    assert len([*inverter.project_all(requests, generator=tiny, perceptual=pixels)]) == 3
    assert sizes == [1, 1, 1]
