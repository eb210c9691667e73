"""Augmentation's changes of colour: (n, 4, 4) matrices on (red, green, blue, 1) of pictures in [-1, 1]."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from chunkygan.lightning.adversarial_chance import Chance

BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0
"""Deviations: of what is added; of the binary logarithms of factors on all, and on colour against grey."""


def colour_changes(chance: Chance) -> Tensor:
    """Brightness, contrast, light for dark, a turn of hue, and saturation, each where its gate says."""
    device = chance.rng.device
    eye, along, across, one, turn = (matrix.to(device) for matrix in _axes())
    lift = torch.zeros(chance.n, 4, 4, device=device)
    lift[:, :3, 3] = chance.choose(chance.normal() * BRIGHTNESS, 0)[:, None]
    contrast = _wide(chance.choose(2 ** (chance.normal() * CONTRAST), 1))
    inverted = _wide(chance.choose((chance.uniform() * 2).floor(), 0))
    angle = _wide(chance.choose((chance.uniform() * 2 - 1) * math.pi, 0))
    saturation = _wide(chance.choose(2 ** (chance.normal() * SATURATION), 1))
    total = contrast * (along + across) + one
    total = total @ (eye + lift)
    total = (eye - 2 * inverted * along) @ total
    total = (along + angle.cos() * across + angle.sin() * turn + one) @ total
    return (along + saturation * across + one) @ total


def recolour(images: Tensor, changes: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) with every pixel's colour multiplied by its picture's matrix, (n, 4, 4)."""
    return (changes[:, :3, :3] @ images.flatten(2) + changes[:, :3, 3:]).reshape(images.shape)


def _axes() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Identity; projections onto grey, onto colour without grey, and onto the constant; a quarter turn about grey."""
    eye, one = torch.eye(4), torch.diag(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    grey = torch.tensor([1.0, 1.0, 1.0, 0.0]) / math.sqrt(3)
    along, turn = torch.outer(grey, grey), torch.zeros(4, 4)
    turn[:3, :3] = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    return eye, along, eye - one - along, one, turn


def _wide(x: Tensor) -> Tensor:
    return x[:, None, None]
