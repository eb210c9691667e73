"""Chunks that begin at an encoder's codes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chunkygan import recipe, registry
from chunkygan.components.inverters.encoder_init import EncoderInit, filled_codes
from chunkygan.errors import ProjectionError, RecipeError, ShapeError, WeightsError
from chunkygan.interfaces import Encoder, FitRequest
from chunkygan.types import Segments


class Oracle(Encoder):
    """Knows of two pictures which is nearer, and gives its code: the perfect encoder of a world of two pictures."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.ws = two_codes(generator)
        self.pictures = generator.synthesis(generator.styles(self.ws))
        self.seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        distances = torch.cdist(images.flatten(1), self.pictures.flatten(1))
        return self.ws[distances.argmin(1)]


def two_codes(generator: Any) -> torch.Tensor:
    return generator.mapping(torch.randn(2, generator.z_dim, generator=torch.Generator().manual_seed(3)) * 2)


@pytest.fixture
def oracle() -> dict[str, Any]:
    registry.register("encoder", "oracle", Oracle)
    return {"name": "oracle"}


def project(inverter: EncoderInit, target: torch.Tensor, tiny: Any, masks: Any, pixels: Any, **more: Any) -> Any:
    spaces = [{"name": "w_plus"}] * len(masks.names)
    return inverter.project(target, generator=tiny, spaces=spaces, mask_generator=masks, perceptual=pixels, **more)


def test_the_whole_pictures_code_serves_every_chunk(oracle, tiny, halves, pixels) -> None:
    ws = two_codes(tiny)
    target = tiny.synthesis(tiny.styles(ws[1:]))
    fit = project(EncoderInit(oracle), target, tiny, halves, pixels)
    assert all(torch.allclose(code, ws[1]) for code in fit.codes.values)
    assert fit.segments.names == ("left", "right") and fit.steps == 0


def test_filled_pictures_give_each_chunk_its_own_code(oracle, tiny, halves, pixels) -> None:
    ws = two_codes(tiny)
    left, right = tiny.synthesis(tiny.styles(ws))
    masks = halves()[0]
    target = (masks[0] * left + masks[1] * right)[None]
    whole = project(EncoderInit(oracle), target, tiny, halves, pixels).codes.values
    assert torch.equal(whole[0], whole[1])
    filled = filled_codes(target, _Own(tiny, masks), tiny, Segments(masks, halves.names), torch.stack(whole), rounds=2)
    assert torch.allclose(filled[0], ws[0]) and torch.allclose(filled[1], ws[1])


class _Own(Encoder):
    """Gives the two codes in turn, as a perfect encoder of the two filled pictures would."""

    def __init__(self, generator: Any, masks: torch.Tensor) -> None:
        super().__init__()
        self.ws, self.masks = two_codes(generator), masks
        self.pictures = generator.synthesis(generator.styles(self.ws))
        self.calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.ws[(self.calls - 1) % 2][None]


def test_pictures_begun_by_an_encoder_go_on_together(oracle, tiny, halves, pixels) -> None:
    inverter = EncoderInit(oracle, then={"name": "optimization", "steps": 4})
    targets = tiny.synthesis(tiny.styles(two_codes(tiny))).split(1)
    spaces = [{"name": "w_plus"}] * 2
    asked = [FitRequest(one, spaces, halves) for one in (*targets, targets[0][..., :16])]
    found = dict(inverter.project_all(asked, generator=tiny, perceptual=pixels))
    assert inverter.fits_together and isinstance(found[2], ShapeError)
    for target, fit in zip(targets, (found[0], found[1])):
        alone = project(inverter, target, tiny, halves, pixels)
        for a, b in zip(fit.codes.values, alone.codes.values):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert [len(found[i].history) for i in (0, 1)] == [4, 4] and not EncoderInit(oracle).fits_together


def test_a_worse_code_is_not_taken(tiny, halves) -> None:
    ws = two_codes(tiny)
    masks = halves()[0]
    target = tiny.synthesis(tiny.styles(ws[:1]))

    class Wrong(Encoder):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return ws[1:]

    kept = filled_codes(target, Wrong(), tiny, Segments(masks, halves.names), ws[:1].repeat(2, 1, 1), rounds=3)
    assert torch.equal(kept, ws[:1].repeat(2, 1, 1))


def test_another_inverter_goes_on(oracle, tiny, halves, pixels) -> None:
    target = tiny.synthesis(tiny.styles(two_codes(tiny)[1:]))
    then = {"name": "optimization", "steps": 2, "latent_noise": 0.0, "lr": 1e-6}
    inverter = EncoderInit(oracle, chunks="filled", then=then, trainer={"accelerator": "cpu"})
    steps = []
    fit = project(inverter, target, tiny, halves, pixels, listeners=[lambda step: steps.append(step.step)])
    assert steps == [1, 2] and fit.steps == 2
    assert all(torch.allclose(code, two_codes(tiny)[1], atol=1e-3) for code in fit.codes.values)


def test_codes_land_in_each_chunks_space(oracle, tiny, halves, pixels) -> None:
    target = tiny.synthesis(tiny.styles(two_codes(tiny)[:1]))
    fit = EncoderInit(oracle).project(
        target, generator=tiny, spaces=[{"name": "w"}, {"name": "s"}], mask_generator=halves, perceptual=pixels
    )
    assert fit.codes.values[0].shape == (16,)
    assert fit.codes.values[1].shape == (sum(tiny.style_dims),)


def test_a_start_is_refused(oracle, tiny, halves, pixels) -> None:
    target = tiny.synthesis(tiny.styles(two_codes(tiny)[:1]))
    fit = project(EncoderInit(oracle), target, tiny, halves, pixels)
    with pytest.raises(ProjectionError, match="makes a start of its own"):
        project(EncoderInit(oracle), target, tiny, halves, pixels, start=fit)


def test_missing_weights_are_said_before_anything_runs(tiny) -> None:
    with pytest.raises(WeightsError, match="no weight file 'nothing.pt'"):
        EncoderInit({"name": "psp", "weights": "nothing.pt"}, generator=tiny)


def test_nested_components_are_checked_with_the_recipe() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.load("invert_psp", ["inverter.encoder.name=psq", "inverter.then.stepz=3"])
    message = str(caught.value)
    assert "inverter.encoder.name: no encoder 'psq'" in message and "did you mean 'psp'" in message
    assert "inverter.then.stepz: optimization takes no such option" in message


def test_the_recipe_is_good() -> None:
    data = recipe.load("invert_psp").data
    assert data["inverter"]["encoder"]["name"] == "psp" and data["inverter"]["then"]["name"] == "optimization"
