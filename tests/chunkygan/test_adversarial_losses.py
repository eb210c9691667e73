"""Losses of adversarial training against formulas by hand and networks whose gradients are known."""

from __future__ import annotations

import math

import pytest
import torch

from chunkygan.lightning.adversarial_losses import (
    average_keep,
    default_gamma,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    lazy,
    moving_mean,
    path_length_penalty,
    path_lengths,
)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_losses_are_the_logarithms_of_the_paper():
    drawn, real = torch.tensor([-1.0, 0.5]), torch.tensor([2.0, -0.3])
    hand = -sum(math.log(sigmoid(x)) for x in (-1.0, 0.5)) / 2
    assert float(generator_loss(drawn)) == pytest.approx(hand, rel=1e-5)
    hand = -sum(math.log(sigmoid(x)) for x in (2.0, -0.3)) / 2 - sum(math.log(1 - sigmoid(x)) for x in (-1.0, 0.5)) / 2
    assert float(discriminator_loss(real, drawn)) == pytest.approx(hand, rel=1e-5)


def test_the_gradient_penalty_of_a_linear_discriminator_is_its_squared_length():
    weight, images = torch.randn(3, 4, 5), torch.randn(6, 3, 4, 5, requires_grad=True)
    penalty = gradient_penalty((images * weight).sum((1, 2, 3)), images)
    torch.testing.assert_close(penalty, weight.square().sum())


def test_the_gradient_penalty_reaches_the_weights():
    weight, images = torch.randn(3, 4, 5, requires_grad=True), torch.randn(2, 3, 4, 5, requires_grad=True)
    gradient_penalty((images * weight).sum((1, 2, 3)), images).backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())


def test_path_lengths_of_a_linear_generator_are_those_of_its_matrix():
    n, rows, width, shape = 4, 2, 5, (3, 6, 8)
    matrix = torch.randn(math.prod(shape), width)
    ws = torch.randn(n, rows, width, requires_grad=True)
    noise = torch.randn(n, *shape)
    images = (ws @ matrix.T).sum(1).reshape(n, *shape)  # every row moves the picture alike
    hand = (noise.flatten(1) @ matrix / math.sqrt(6 * 8)).norm(dim=1)
    lengths = path_lengths(images, ws, noise)
    torch.testing.assert_close(lengths, hand, rtol=1e-4, atol=1e-4)
    mean = torch.tensor(1.5)
    torch.testing.assert_close(path_length_penalty(lengths, mean), ((hand - 1.5) ** 2).mean(), rtol=1e-4, atol=1e-4)
    assert float(moving_mean(mean, lengths)) == pytest.approx(1.5 + 0.01 * (float(hand.mean()) - 1.5), rel=1e-5)


def test_the_average_keeps_half_after_its_half_life():
    assert average_keep(32, 10**9, 32.0, 0.0) == 0.5
    assert average_keep(16, 10**9, 32.0, 0.0) ** 2 == pytest.approx(0.5)
    assert average_keep(32, 100, 10_000.0, 0.05) == pytest.approx(0.5 ** (32 / 5))  # ramp-up: 5 pictures
    assert average_keep(32, 0, 10_000.0, 0.05) == 0.0


def test_lazy_settings_shrink_rate_and_momenta():
    assert lazy(0.002, (0.0, 0.99), 16) == {"lr": 0.002 * 16 / 17, "betas": (0.0, 0.99 ** (16 / 17))}
    assert lazy(0.002, (0.0, 0.99), 0) == {"lr": 0.002, "betas": (0.0, 0.99)}


def test_the_penalty_s_default_factor_follows_resolution_and_batch():
    assert default_gamma(128, 32) == pytest.approx(0.1024)
