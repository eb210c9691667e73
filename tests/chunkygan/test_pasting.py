"""Edited chunks in the photo."""

import pytest
import torch

from chunkygan.components.blenders.alpha import Alpha
from chunkygan.components.blenders.poisson import Poisson
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.photos.pasting import edited_chunks, pasted, seams
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments


@pytest.fixture
def projection(tiny, halves):
    rng = torch.Generator().manual_seed(2)
    codes = Codes(tuple(WPlus(tiny).sample(2, rng=rng)), ({"name": "w_plus"},) * 2)
    with torch.no_grad():
        masks = halves()[0]
    return Projection(torch.rand(1, 3, 32, 32, generator=rng), codes, Segments(masks, ("left", "right")), tiny)


@pytest.mark.parametrize("blender", [Alpha(), Poisson()], ids=["alpha", "poisson"])
def test_only_edited_chunks_leave_the_photo(projection, blender):
    edited = projection.edit(torch.randn(16), 1.0, chunk="right")
    picture = pasted(edited, blender)
    outside = (projection.masks[1] == 0).expand(1, 3, -1, -1)
    assert torch.equal(picture[outside], projection.target[outside])
    assert (picture != projection.target).any()
    assert edited_chunks(edited) == (1,)


def test_nothing_edited_is_the_photo(projection):
    assert torch.equal(pasted(projection, Alpha()), projection.target)
    disabled = projection.edit(torch.randn(16), 1.0).change_edit(0, enabled=False)
    assert torch.equal(pasted(disabled, Alpha()), projection.target)


def test_poisson_leaves_less_of_a_seam(projection):
    edited = projection.edit(torch.randn(16), 1.0, chunk="right")
    hard = (projection.masks > 0.5).float()
    edited = Projection(
        edited.target, edited.codes, Segments(hard, ("left", "right")), edited.generator, edits=edited.edits
    )
    by = {name: seams(edited, pasted(edited, b), (1,)) for name, b in (("alpha", Alpha()), ("poisson", Poisson()))}
    assert by["poisson"] < 0.6 * by["alpha"]
    assert seams(edited, edited.render()) > 0
