"""The resampling that cuts a face out of a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from chunkygan.components.identity.crop import resample_box


def pictures(n: int = 1, height: int = 20, width: int = 24) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_whole_picture_at_its_own_size_is_the_picture() -> None:
    assert torch.allclose(resample_box(pictures(), (0, 0, 1, 1), (20, 24)), pictures(), atol=1e-6)


def test_a_box_on_whole_pixels_at_its_own_size_is_the_crop() -> None:
    cut = resample_box(pictures(), (6 / 24, 5 / 20, 18 / 24, 15 / 20), (10, 12))
    assert torch.allclose(cut, pictures()[..., 5:15, 6:18], atol=1e-6)


def test_beyond_the_picture_its_border_repeats() -> None:
    cut = resample_box(pictures(), (0, -4 / 20, 1, 1), (24, 24))
    assert torch.allclose(cut[..., :4, :], pictures()[..., :1, :].expand(-1, -1, 4, -1), atol=1e-6)
    assert torch.allclose(cut[..., 4:, :], pictures(), atol=1e-6)


@pytest.mark.parametrize("size", [(7, 9), (31, 40)])
def test_it_scales_as_pillow_does(size) -> None:
    channel = pictures()[0, 0]
    box = (0.11, 0.07, 0.93, 0.88)
    pixels = (box[0] * 24, box[1] * 20, box[2] * 24, box[3] * 20)
    expected = Image.fromarray(channel.numpy()).resize(size[::-1], Image.Resampling.BILINEAR, box=pixels)
    # Pillow does not look beyond its box, so only what lies a pixel inside agrees.
    inside = (slice(2, -2), slice(2, -2))
    ours = resample_box(pictures()[:, :1], box, size)[0, 0].numpy()
    assert np.abs(ours - np.asarray(expected))[inside].max() < 1e-5


def test_it_is_differentiable() -> None:
    x = pictures(height=6, width=5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda image: resample_box(image, (0.1, -0.1, 0.9, 0.8), (4, 3)), (x,))
