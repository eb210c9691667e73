"""Layers of the residual network: a strided pointwise convolution is what it says, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from chunkygan.components.identity.ir_se50 import Pointwise


@pytest.mark.parametrize("side", [1, 7, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_pointwise_convolution_is_the_strided_one(side, stride) -> None:
    """Few channels, channels last: where the strided convolution of some CPUs' libraries writes beyond its buffer."""
    torch.manual_seed(side)
    layer = Pointwise(4, 8, stride).to(memory_format=torch.channels_last)
    x = torch.randn(4, 4, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    drawn = layer(x)
    exact, weight = x.detach().double().requires_grad_(), layer.weight.detach().double().requires_grad_()
    wanted = F.conv2d(exact, weight, stride=stride)
    assert drawn.shape == wanted.shape and torch.allclose(drawn.double(), wanted, atol=1e-5)
    drawn.square().sum().backward()
    wanted.square().sum().backward()
    for mine, true in ((x.grad, exact.grad), (layer.weight.grad, weight.grad)):
        assert mine is not None and true is not None and torch.allclose(mine.double(), true, rtol=1e-4, atol=1e-4)
