"""StyleGAN2's discriminator against slower formulas: names, filters, scaling, group statistics, second derivatives."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from chunkygan.components.discriminators.stylegan2 import StyleGAN2Discriminator
from chunkygan.components.discriminators.stylegan2_layers import EqualConv, filter_down, minibatch_deviation
from chunkygan.errors import ShapeError

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


def discriminator(**settings):
    torch.manual_seed(0)
    made = StyleGAN2Discriminator(**{"resolution": (16, 16), "channels": [8, 8, 4], **settings})
    for name, value in made.named_parameters():
        if name.endswith("bias"):
            value.data.normal_()
    return made


def test_names_and_shapes_are_nvidias():
    shapes = {name: tuple(value.shape) for name, value in discriminator().state_dict().items()}
    assert shapes == {
        "b16.fromrgb.weight": (4, 3, 1, 1), "b16.fromrgb.bias": (4,),
        "b16.conv0.weight": (4, 4, 3, 3), "b16.conv0.bias": (4,),
        "b16.conv1.weight": (8, 4, 3, 3), "b16.conv1.bias": (8,), "b16.skip.weight": (8, 4, 1, 1),
        "b8.conv0.weight": (8, 8, 3, 3), "b8.conv0.bias": (8,),
        "b8.conv1.weight": (8, 8, 3, 3), "b8.conv1.bias": (8,), "b8.skip.weight": (8, 8, 1, 1),
        "b4.conv.weight": (8, 9, 3, 3), "b4.conv.bias": (8,),
        "b4.fc.weight": (8, 128), "b4.fc.bias": (8,), "b4.out.weight": (1, 8), "b4.out.bias": (1,),
    }  # fmt: skip


def test_a_conditional_one_has_a_mapping_and_reads_a_direction():
    state = discriminator(c_dim=3, mapping_layers=2).state_dict()
    assert state["b4.out.weight"].shape == (8, 8)
    assert {name for name in state if name.startswith("mapping.")} == {
        f"mapping.{layer}.{kind}" for layer in ("embed", "fc0", "fc1") for kind in ("weight", "bias")
    }


def test_a_state_with_resampling_filters_loads():
    made = discriminator()
    state = {**made.state_dict(), "b8.conv1.resample_filter": TAPS[:, None] * TAPS}
    assert not made.load_state_dict(state).missing_keys


def test_the_filter_is_the_outer_product_over_64():
    x = torch.randn(2, 3, 6, 6)
    kernel = (TAPS[:, None] * TAPS).expand(3, 1, 4, 4)
    for pad, stride in ((2, 1), (1, 2)):
        torch.testing.assert_close(
            filter_down(x, pad, stride=stride), F.conv2d(x, kernel, padding=pad, stride=stride, groups=3)
        )


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_halving_convolution_filters_then_strides_with_scaled_weights(kernel):
    torch.manual_seed(1)
    layer, x = EqualConv(3, 5, kernel, down=True), torch.randn(2, 3, 8, 8)
    full = (TAPS[:, None] * TAPS).expand(3, 1, 4, 4)
    smooth = F.conv2d(x, full, padding=2 if kernel == 3 else 1, groups=3)
    wanted = F.conv2d(smooth, layer.weight / math.sqrt(3 * kernel**2), stride=2)
    wanted = F.leaky_relu(wanted + layer.bias[:, None, None], 0.2) * math.sqrt(2)
    found = layer(x)
    assert found.shape == (2, 5, 4, 4)
    torch.testing.assert_close(found, wanted)


def test_the_clamp_bounds_what_the_gain_scales():
    layer = EqualConv(3, 4, 3, clamp=0.5)
    assert float(layer(100 * torch.randn(2, 3, 8, 8), gain=0.1).detach().abs().max()) == pytest.approx(0.05)


def test_the_deviation_of_a_group_by_hand():
    x = torch.tensor([[1.0], [5.0], [3.0], [5.0]]).reshape(4, 1, 1, 1)  # groups {0, 2} and {1, 3}
    out = minibatch_deviation(x, 2, 1)
    torch.testing.assert_close(out[:, 1].flatten(), torch.tensor([1.0, 1e-4, 1.0, 1e-4]))
    assert torch.equal(out[:, :1], x)


def test_a_group_shrinks_to_what_divides_the_batch():
    assert minibatch_deviation(torch.randn(6, 2, 3, 3), 4, 1).shape == (6, 3, 3, 3)
    alone = minibatch_deviation(torch.randn(1, 2, 3, 3), 4, 1)
    assert float(alone[:, 2].max()) == pytest.approx(1e-4)


def test_equal_pictures_score_alike_and_others_do_not():
    made, x = discriminator(), torch.randn(1, 3, 16, 16)
    logits = made(torch.cat([x, x, x, x]))
    torch.testing.assert_close(logits, logits[:1].expand(4))
    assert made(torch.randn(4, 3, 16, 16)).std() > 0


@pytest.mark.parametrize("settings", [{}, {"c_dim": 2, "mapping_layers": 1}], ids=["plain", "classes"])
def test_first_and_second_derivatives_are_right(settings):
    made = discriminator(resolution=(8, 8), channels=[2, 2], **settings).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.double, requires_grad=True)
    c = torch.eye(2, dtype=torch.double) if settings else None

    def call(images):
        return made(images, c)

    assert torch.autograd.gradcheck(call, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, x, fast_mode=True)


@pytest.mark.parametrize("kernel, down", [(3, True), (1, True), (3, False)])
def test_second_derivatives_of_a_layer_reach_its_weights(kernel, down):
    layer = EqualConv(2, 2, kernel, down=down).double()
    x = torch.randn(1, 2, 4, 4, dtype=torch.double, requires_grad=True)

    def call(images, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (images,))

    assert torch.autograd.gradgradcheck(call, (x, layer.weight, layer.bias))


@pytest.mark.parametrize("resolution", [(4, 4), (24, 24), (16, 20)])
def test_a_size_out_of_reach_is_refused(resolution):
    if resolution == (16, 20):
        assert discriminator(resolution=resolution)(torch.randn(1, 3, 16, 20)).shape == (1,)
        return
    with pytest.raises(ShapeError, match="shorter side of 8, 16, 32"):
        StyleGAN2Discriminator(resolution)


def test_too_few_channels_are_refused():
    with pytest.raises(ShapeError, match="channels: 3 resolutions"):
        discriminator(channels=[8, 8])


def test_a_batch_in_half_precision_gives_finite_single_precision_logits():
    made = discriminator()
    with torch.autocast("cpu", torch.bfloat16):
        logits = made(torch.randn(4, 3, 16, 16))
    assert logits.dtype == torch.float32 and bool(logits.isfinite().all())
