"""Hole filling: the correction's outer part is matched, its inner part is what the refined code draws."""

import pytest
import torch

from chunkygan.components.inverters.optimization import Optimization
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.editing.hole_filling import fill_hole
from chunkygan.editing.moves import channel_direction
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments


@pytest.fixture
def photo(tiny):
    ws = tiny.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(8)))
    return tiny.synthesis(tiny.styles(ws)).detach()


@pytest.fixture
def edited(tiny, photo):
    """A loose mask, its fit, and an edit that changes what is drawn everywhere."""
    code = WPlus(tiny).sample(1, rng=torch.Generator().manual_seed(3))[0]
    mask = torch.zeros(32, 32)
    mask[12:20, 12:20] = 1
    segments = Segments(torch.ones(1, 32, 32), ("eyes",), 1 - mask)
    made = Projection(photo, Codes((code,), ({"name": "w_plus"},)), segments, tiny)
    return made.edit(torch.randn(16, generator=torch.Generator().manual_seed(5)), 1.0, name="glasses")


@pytest.fixture
def parts():
    outer, inner = torch.zeros(32, 32), torch.zeros(32, 32)
    outer[6:26, 6:26] = 1
    inner[10:22, 10:22] = 1
    return outer, inner


def options(pixels, **more):
    inverter = Optimization(steps=60, lr=0.05, latent_noise=0.0, trainer={"accelerator": "cpu"})
    return {"perceptual": pixels, "inverter": inverter, **more}


def test_the_ring_is_matched_the_hole_keeps_the_edit_and_the_rest_is_the_photo(edited, parts, pixels, photo):
    outer, inner = parts
    filled = fill_hole(edited, outer, inner, **options(pixels))
    ring = ((outer > 0) & (inner == 0)).expand(1, 3, -1, -1)
    hole = (inner > 0).expand(1, 3, -1, -1)

    def miss(picture, goal, where):
        return float((picture - goal)[where].square().mean())

    first, refined = edited.drawn(), filled.drawn()
    assert miss(refined, photo, ring) < 0.5 * miss(first, photo, ring)
    assert miss(refined, first, hole) < miss(photo, first, hole)
    picture = filled.render()
    outside = (outer == 0).expand(1, 3, -1, -1)
    assert torch.equal(picture[outside], photo[outside])
    torch.testing.assert_close(picture[hole], refined[hole], atol=1e-5, rtol=0)
    assert filled.segments.names == ("fill",) and not filled.edits


def test_edits_of_single_channels_go_on_in_s(edited, parts, pixels, tiny):
    moved = edited.edit(channel_direction(tiny, [(3, 2, 1.0)]), 2.0)
    inverter = Optimization(steps=1, lr=1e-9, latent_noise=0.0, trainer={"accelerator": "cpu"})
    filled = fill_hole(moved, *parts, perceptual=pixels, inverter=inverter)
    assert filled.codes.spaces == ({"name": "s"},)
    torch.testing.assert_close(filled.drawn(), moved.drawn(), atol=1e-4, rtol=0)


def test_parts_without_pixels_and_several_chunks_are_refused(edited, parts, pixels, tiny, halves):
    outer, inner = parts
    with pytest.raises(ShapeError, match="inner part has no pixel"):
        fill_hole(edited, outer, torch.zeros(32, 32), **options(pixels))
    with pytest.raises(ShapeError, match="outer"):
        fill_hole(edited, outer[1:], inner, **options(pixels))
    with torch.no_grad():
        masks = halves()[0]
    two = Projection(
        edited.target, Codes(edited.codes.values * 2, edited.codes.spaces * 2), Segments(masks, ("a", "b")), tiny
    )
    with pytest.raises(ProjectionError, match="name one of a, b"):
        fill_hole(two, outer, inner, **options(pixels))
