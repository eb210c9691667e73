"""Soft edges, bumps and colours the face renderer draws with.

They are most of its work, so they change their own intermediate results in place: large tensors then stay in the
processor's cache.
"""

from __future__ import annotations

import torch
from torch import Tensor


def smoothstep(low: float | Tensor, high: float | Tensor, x: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, a cubic with flat ends between; falling where high < low."""
    return _flat_ends((x - low).mul_(1 / (high - low)))


def _flat_ends(t: Tensor) -> Tensor:
    """The cubic of `smoothstep` for t, which it overwrites."""
    t.clamp_(0, 1)
    return (-2 * t).add_(3).mul_(t).mul_(t)


def edge(distance: Tensor, width: Tensor) -> Tensor:
    """Coverage in [0, 1] of a shape from its signed distance (negative inside).

    Args:
        distance: (n, h, w) in head units.
        width: (n, 1, 1) half the width of the soft edge, in head units.
    """
    return _flat_ends((distance * (-0.5 / width)).add_(0.5))


def bump(x: Tensor, y: Tensor) -> Tensor:
    """Nearly exp(-x^2 - y^2), but 0 from a distance of 2 on: exp itself crawls where it underflows."""
    return torch.addcmul(x * x, y, y).mul_(-0.25).add_(1).clamp_(min=0).square_().square_()


def ridge(x: Tensor) -> Tensor:
    """Nearly exp(-x^2), 0 from a distance of 2 on."""
    return (x * x).mul_(-0.25).add_(1).clamp_(min=0).square_().square_()


def power(x: Tensor, exponent: float) -> Tensor:
    """x to a power, for x >= 0; several times quicker on a CPU than `torch.pow`, which also takes negative x.

    What would be less than 1e-30 is 1e-30: where exp underflows, it takes sixty times as long.
    """
    return x.clamp(min=10 ** (-30 / max(exponent, 1))).log_().mul_(exponent).exp_()


def superellipse(x: Tensor, y: Tensor, exponent: Tensor) -> Tensor:
    """(|x|^e + |y|^e)^(1 / e): 1 on a circle for an exponent of 2, on ever squarer shapes for larger ones, up to 8."""
    across, along = (((side.abs() + 1e-4).log_() * exponent).exp_() for side in (x, y))
    return (across + along).log_().div_(exponent).exp_()


def mix(a: Tensor, b: Tensor, amount: Tensor | float) -> Tensor:
    """a where amount is 0, b where it is 1."""
    return torch.lerp(a, b, amount)


def linear(*srgb: float) -> tuple[float, ...]:
    """A display colour (0 to 1 each) in linear light."""
    return tuple(c**2.2 for c in srgb)


def ramp(position: Tensor, stops: list[tuple[float, ...]]) -> Tensor:
    """Colours (n, 3, 1, 1) along evenly spaced stops, for positions (n, 1, 1) in [0, 1]."""
    colours = position.new_tensor(stops)  # (k, 3)
    where = position.reshape(-1, 1) * (len(stops) - 1)
    ticks = torch.arange(len(stops), dtype=position.dtype, device=position.device)
    tent = (1 - (where - ticks).abs()).clamp(min=0)  # (n, k)
    return (tent @ colours)[:, :, None, None]


def hue_colour(hue: Tensor, light: Tensor, saturation: float) -> Tensor:
    """Linear-light colours (n, 3, 1, 1) round the colour wheel.

    Args:
        hue: (n, 1, 1) in [0, 1], one open turn (its ends are not joined, so it is smooth).
        light: (n, 1, 1) in [0, 1].
        saturation: 0 grey to 1 full.
    """
    phase = hue.new_tensor([0.0, 2.1, 4.2]).reshape(1, 3, 1, 1)
    wave = torch.cos(5.4 * hue[:, None] - phase)
    return light[:, None] * (1 + saturation * wave).clamp(min=0.02)


def to_display(light: Tensor) -> Tensor:
    """Linear light to a picture in [-1, 1], highlights rolled off."""
    rolled = light.clamp(min=1e-5)
    rolled = rolled * (1 + 0.12 * rolled) / (1 + 0.22 * rolled)
    return power(rolled.clamp(max=1.0), 1 / 2.2).mul_(2).sub_(1).clamp_(-1, 1)
