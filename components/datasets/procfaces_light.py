"""Light on faces: a coloured key light, soft ambient light, a rim of the opposite colour, and skin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .procfaces_camera import Surface
from .procfaces_colour import bump, linear, power, ramp, ridge, smoothstep
from .procfaces_geometry import EYE_HEIGHT, mouth_height
from .procfaces_parameters import FaceParameters
from .procfaces_window import below, between, within

_SKIN = [linear(0.99, 0.84, 0.75), linear(0.90, 0.71, 0.59), linear(0.68, 0.49, 0.38), linear(0.42, 0.27, 0.19)]
_WRAP = (0.55, 0.38, 0.30)  # red light travels furthest under skin, so shadows begin warm


@dataclass(frozen=True)
class Light:
    """The key light: direction to it, each (n, 1, 1), and colours (n, 3, 1, 1) of key, ambient and rim."""

    x: Tensor
    y: Tensor
    z: Tensor
    key: Tensor
    ambient: Tensor
    rim: Tensor


def light_of(p: FaceParameters) -> Light:
    """The light of each picture, from above and one side, its shadows in the opposite tint."""
    x, y, z = 0.95 * p["light_x"], -0.85 * p["light_y"], torch.full_like(p["yaw"], 0.75)
    length = torch.rsqrt(x * x + y * y + z * z)
    warm = p["light_warmth"]
    key = torch.stack([1 + 0.10 * warm, torch.ones_like(warm), 1 - 0.16 * warm], dim=1)
    back = torch.stack([1 - 0.14 * warm, torch.ones_like(warm), 1 + 0.14 * warm], dim=1)
    return Light(x * length, y * length, z * length, 0.86 * key, 0.25 * back, 0.35 * back)


def lit(light: Light, normal: tuple[Tensor, Tensor, Tensor], wrap: tuple[float, ...] = _WRAP) -> Tensor:
    """Light (n, 3, h, w) that a matt surface returns, per unit of its albedo."""
    nx, ny, nz = normal
    facing = nx * light.x + ny * light.y + nz * light.z
    reach = facing.new_tensor(wrap).reshape(1, 3, 1, 1)
    diffuse = (facing[:, None] + reach).clamp_(min=0).mul_(light.key / (1 + reach))
    sky = (0.8 - 0.35 * ny)[:, None]
    fresnel = (1 - nz).clamp_(min=0).pow(3) * (0.6 - nx * (light.x.sign() * light.x.abs().sqrt())).clamp_(min=0)
    fresnel.mul_((1 - ny).clamp_(0, 1))  # no light comes from below
    return diffuse.addcmul_(light.ambient, sky).addcmul_(light.rim, fresnel[:, None])


def shine(light: Light, normal: tuple[Tensor, Tensor, Tensor], sharpness: float) -> Tensor:
    """Highlight (n, h, w) in [0, 1] for a viewer in front."""
    hx, hy, hz = light.x, light.y, light.z + 1
    length = torch.rsqrt(hx * hx + hy * hy + hz * hz)
    nx, ny, nz = normal
    return power((nx * hx + ny * hy + nz * hz) * length, sharpness)


def skin_colour(p: FaceParameters) -> Tensor:
    """Albedo (n, 3, 1, 1) of plain skin."""
    warm = p["skin_warmth"][:, None] * p["skin_tone"].new_tensor([0.06, 0.0, -0.10]).reshape(1, 3, 1, 1)
    return ramp(p["skin_tone"], _SKIN) * (1 + warm)


def face_albedo(p: FaceParameters, face: Surface) -> Tensor:
    """Albedo (n, 3, h, w) of the skin of a head: tone, blush, freckles."""
    x, y, side = face.x, face.y, face.x.abs()
    base = EYE_HEIGHT + p["nose_length"]
    skin = skin_colour(p)
    rosy = bump((side - 0.40) / 0.20, (y - 0.30) / 0.16) * (0.28 + 0.3 * p["make_up"] + 0.15 * p["smile"])
    rosy = rosy + 0.35 * bump(x / 0.10, (y - base + 0.02) / 0.09) + 0.25 * bump((side - 0.72) / 0.2, (y - 0.1) / 0.3)
    redder = skin * skin.new_tensor([-0.02, -0.28, -0.28]).reshape(1, 3, 1, 1)
    albedo = (rosy.clamp_(0, 1)[:, None] * redder).add_(skin)
    spots = within(below(y, -0.19), _freckles, x, y) * p["freckles"]
    darker = skin.new_tensor([0.6, 0.9, 1.0]).reshape(1, 3, 1, 1) * -0.42
    return albedo.mul_((spots[:, None] * darker).add_(1))


def _freckles(x: Tensor, y: Tensor) -> Tensor:
    grain = torch.sin(37 * x + 11 * torch.sin(29 * y)) * torch.sin(41 * y + 13 * torch.sin(31 * x))
    return smoothstep(0.35, 0.8, grain) * bump(x.abs() / 0.5, (y - 0.25) / 0.22)


def face_shade(p: FaceParameters, face: Surface, light: Light) -> Tensor:
    """What hollows, folds and small shadows leave of the light: (n, h, w) in [0, 1]."""
    x, y = face.x, face.y
    shade = within(below(y, -0.22), lambda x, y: _hollow_shade(p, x, y, light) + _wrinkle_shade(p, x, y), x, y)
    forehead = within(between(y, -0.76, -0.18), _forehead_lines, x, y)
    return (1 - shade - p["wrinkles"] * forehead).clamp(0.15, 1)


def _hollow_shade(p: FaceParameters, x: Tensor, y: Tensor, light: Light) -> Tensor:
    """Sockets, what lies below nose, lip and chin, and the nose's shadow, (n, h, w)."""
    side, base, mouth = x.abs(), EYE_HEIGHT + p["nose_length"], mouth_height(p)
    hollow = 0.30 * bump((side - p["eye_spacing"] + 0.06) / 0.17, (y - EYE_HEIGHT + 0.05) / 0.09)
    hollow = hollow + 0.25 * bump(x / (0.13 * p["nose_width"]), (y - base - 0.055) / 0.035)
    hollow = hollow + 0.25 * bump(x / 0.16, (y - mouth - 0.125) / 0.035)
    chin = p["chin_length"]
    hollow = hollow + 0.55 * smoothstep(chin - 0.09, chin - 0.01, y)  # the jaw's underside, and its rim
    # the nose casts its shadow away from the key light
    away = x + light.x * 0.17
    beside = smoothstep(0.02, 0.12, -x * light.x.sign()) * light.x.abs()
    return hollow + 0.30 * beside * bump(away / 0.10, (y - base + 0.07) / 0.13)


def _forehead_lines(x: Tensor, y: Tensor) -> Tensor:
    lines = smoothstep(0.3, 1.0, torch.sin(44 * (y + 0.12 * x * x)))
    return 0.16 * lines * bump(x / 0.40, (y + 0.47) / 0.14)


def _wrinkle_shade(p: FaceParameters, x: Tensor, y: Tensor) -> Tensor:
    """Crow's feet, bags under the eyes and the folds beside the mouth, (n, h, w)."""
    side, base, mouth = x.abs(), EYE_HEIGHT + p["nose_length"], mouth_height(p)
    feet = smoothstep(0.2, 1.0, torch.sin(30 * (y - 0.02) / (0.25 + (side - 0.4).clamp(min=0))))
    feet = 0.20 * feet * bump((side - 0.545) / 0.06, (y - EYE_HEIGHT) / 0.10)
    along = (y - base) / (mouth - base + 0.05)
    fold = side - (0.13 * p["nose_width"] + (0.16 + 0.05 * p["smile"]) * along)
    fold = ridge(fold / 0.028) * smoothstep(-0.15, 0.2, along) * smoothstep(1.35, 0.8, along)
    bags = bump((side - p["eye_spacing"]) / 0.13, (y - EYE_HEIGHT - 0.125) / 0.022)
    creases = (0.30 * p["wrinkles"] + 0.13 * p["smile"].clamp(min=0)) * fold
    return p["wrinkles"] * (feet + 0.22 * bags) + creases
