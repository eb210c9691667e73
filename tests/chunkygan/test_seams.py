"""The measure of seams."""

import pytest
import torch

from chunkygan.components.blenders.poisson import Poisson
from chunkygan.errors import ShapeError
from chunkygan.seams import seam_mismatch


def test_a_jump_across_a_border_is_its_height_in_both_directions():
    owners = torch.zeros(6, 6, dtype=torch.long)
    owners[2:4, 2:4] = 1
    image = torch.zeros(1, 3, 6, 6)
    image[..., 2:4, 2:4] = 0.25
    assert seam_mismatch(image, torch.zeros(2, 3, 6, 6), owners) == pytest.approx(0.25)
    assert seam_mismatch(image.mT, torch.zeros(2, 3, 6, 6), owners) == pytest.approx(0.25)


def test_steps_that_the_sources_have_themselves_are_no_seam():
    source = torch.rand(1, 3, 5, 5)
    owners = torch.randint(0, 2, (5, 5), generator=torch.Generator().manual_seed(0))
    assert seam_mismatch(source, source.expand(2, -1, -1, -1), owners) == 0
    assert seam_mismatch(source, torch.rand(2, 3, 5, 5), torch.zeros(5, 5, dtype=torch.long)) == 0  # no border


def test_poisson_mends_what_alpha_leaves():
    rng = torch.Generator().manual_seed(1)
    photo = torch.rand(1, 3, 16, 16, generator=rng)
    drawn = photo + 0.3
    owners = torch.zeros(16, 16, dtype=torch.long)
    owners[4:12, 5:16] = 1
    pasted = torch.where(owners == 1, drawn, photo)
    sources = torch.cat([photo, drawn])
    assert seam_mismatch(pasted, sources, owners) == pytest.approx(0.3, rel=1e-5)
    mended = Poisson().blend(drawn, photo, owners[None].float())
    assert seam_mismatch(mended, sources, owners) < 1e-5


def test_a_source_that_is_not_there_is_refused():
    with pytest.raises(ShapeError, match="owners"):
        seam_mismatch(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.ones(4, 4, dtype=torch.long))
