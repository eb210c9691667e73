"""The alpha blender: a weighted mean, and the photo itself outside."""

import pytest
import torch

from chunkygan.components.blenders.alpha import Alpha
from chunkygan.errors import ShapeError


def test_it_is_the_mean_by_the_mask_and_the_photo_outside():
    drawn, photo = torch.rand(2, 3, 6, 5), torch.rand(2, 3, 6, 5)
    mask = torch.rand(2, 6, 5)
    mask[:, 2:] = 0
    drawn[:, :, 5] = float("nan")  # nothing of what is not looked at gets in
    joined = Alpha().blend(drawn, photo, mask)
    assert torch.equal(joined[:, :, 2:], photo[:, :, 2:])
    share = mask[:, None, :2]
    torch.testing.assert_close(joined[:, :, :2], share * drawn[:, :, :2] + (1 - share) * photo[:, :, :2])


def test_several_chunks_are_blended_as_equation_3_does():
    drawn, photo = torch.rand(2, 3, 4, 4), torch.rand(1, 3, 4, 4)
    masks = torch.tensor([0.5, 0.25])[:, None, None].expand(2, 4, 4)
    joined = Alpha().blend_chunks(drawn, photo, masks)
    torch.testing.assert_close(joined, (0.5 * drawn[:1] + 0.25 * drawn[1:]) + 0.25 * photo)


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match="mask"):
        Alpha().blend(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 5))
