"""Odd glasses and eye patches."""

from __future__ import annotations

import torch
from torch import Tensor

from .procfaces_camera import Camera, Surface
from .procfaces_canvas import Canvas
from .procfaces_colour import bump, edge, hue_colour, linear, mix, ridge, smoothstep, superellipse
from .procfaces_geometry import EYE_HEIGHT, head_window, meet_head, meet_shell
from .procfaces_hair import hair_thickness
from .procfaces_light import Light, lit, shine
from .procfaces_parameters import FaceParameters
from .procfaces_window import Window

Looks = tuple[Tensor, ...]
_CLOTH = (0.25, 0.25, 0.25)  # how far light wraps round woven things
_LENSES = (0.32, 0.70, 0.0, 1.0)  # share of the picture that glasses can touch: top, bottom, left, right


def _rgb(like: Tensor, *srgb: float) -> Tensor:
    return like.new_tensor(linear(*srgb)).reshape(1, 3, 1, 1)


def paint_odd_glasses(
    canvas: Canvas, p: FaceParameters, worn: Tensor, looks: Looks, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays thick coloured glasses, one lens round and clear, the other angular, larger and dark; without their arms."""
    tint = looks[3]
    around = Window.of_shares(camera.x, camera.per_pixel, _LENSES)
    canvas, camera = canvas.window(around), camera.window(around)
    r = camera.rotation[:, :, :, None, None]
    depth = (0.83 + 0.02 * p["cheeks"] - r[:, 0, 2] * camera.x - r[:, 1, 2] * camera.y) / r[:, 2, 2]
    x, y, _ = camera.to_head(depth)
    dark, bright = _sides(x, looks)
    dx = (x.abs() - p["eye_spacing"] - 0.02) / mix(x.new_tensor(0.215), x.new_tensor(0.255), dark)
    dy = (y - EYE_HEIGHT - 0.02) / mix(x.new_tensor(0.215), x.new_tensor(0.175), dark)
    ring = (superellipse(dx, dy, 2.0 + 6.0 * dark) - 1) * 0.20
    bridge = torch.maximum((y - EYE_HEIGHT + 0.03 - 0.3 * x * x).abs() - 0.022, x.abs() - 0.12)
    frame = edge(torch.minimum(ring.abs() - 0.028, bridge), soft) * worn
    round_edge = (0.75 + 0.45 * smoothstep(0.028, 0.0, (ring + 0.006).abs()))[:, None]
    canvas.lay(frame, bright * (0.35 + 0.75 * light.key) * round_edge, "eye_g")
    inside = edge(ring, soft) * worn
    glare = smoothstep(0.10, -0.10, (dx + 0.8 * dy + 0.3).abs() - 0.2)
    canvas.lay(inside * glare * (0.14 + 0.16 * dark), (0.95 * light.key + 0.1).expand(-1, -1, *x.shape[1:]), "eye_g")
    glass = hue_colour(tint, 0.05 + 0.05 * smoothstep(-1.0, 1.0, dy), 0.8) * (0.4 + light.key)
    canvas.lay(inside * (0.10 + 0.74 * dark), glass, "eye_g")


def paint_odd_arms(canvas: Canvas, worn: Tensor, looks: Looks, face: Surface, light: Light, soft: Tensor) -> None:
    """Lays the arms of odd glasses on the temples."""
    arm = torch.maximum((face.y - EYE_HEIGHT + 0.03).abs() - 0.022, 0.50 - face.x.abs())
    cover = edge(arm, soft) * face.cover * smoothstep(-0.1, 0.1, face.z) * worn
    _, bright = _sides(face.x, looks)
    canvas.window(face.view).lay(cover, 0.75 * bright * (0.35 + 0.75 * light.key), "eye_g")


def _sides(x: Tensor, looks: Looks) -> tuple[Tensor, Tensor]:
    """1 on the side of the dark lens, else 0, (n, h, w), and the frame's colour there, (n, 3, h, w)."""
    flip, hue, second, _ = looks
    dark = (x * torch.where(flip < 0.5, -1.0, 1.0) > 0).to(x.dtype)
    round_colour = hue_colour(hue, torch.full_like(hue, 0.40), 0.85)
    return dark, mix(round_colour, hue_colour(second, torch.full_like(hue, 0.30), 0.85), dark[:, None])


def paint_patch(
    canvas: Canvas, p: FaceParameters, worn: Tensor, looks: Looks, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays a patch over one eye, and the strap that runs slantwise round the head."""
    flip, hue, shade, shape = looks
    sign, thick = torch.where(flip < 0.5, -1.0, 1.0), hair_thickness(p) + 0.005
    around = head_window(p, camera, 1.01 + thick, margin=0.10)
    canvas, camera = canvas.window(around), camera.window(around)
    cover = meet_head(
        p, camera, relief_of=lambda _, x, y: 0.03 + 0.10 * bump((x - sign * 0.30) / 0.25, (y - 0.03) / 0.25)
    )
    x, y = sign * cover.x - p["eye_spacing"] - 0.005, cover.y - EYE_HEIGHT - 0.015
    flat_top = (-y / 0.15).clamp(min=0) ** 4
    reach = torch.sqrt((x / (0.205 + 0.02 * shape)) ** 2 + (y.clamp(min=0) / 0.20) ** 2 + flat_top + 1e-6)
    distance = (reach - 1) * 0.17
    dyed = hue_colour(hue, torch.full_like(hue, 0.16), 0.7)
    leather = mix(_rgb(x, 0.13, 0.11, 0.10), dyed, smoothstep(0.5, 0.7, shade)[:, None])
    stitch = ridge((distance + 0.03) / 0.008) * smoothstep(-0.2, 0.4, torch.sin(42 * torch.atan2(y, x)))
    gloss = 0.22 * shine(light, cover.normal, 14.0)[:, None] * light.key
    shown = leather * lit(light, cover.normal, _CLOTH) * (1 + 1.2 * stitch)[:, None] + gloss
    canvas.lay(edge(distance, soft) * cover.cover * worn, shown, "eye_g")
    shell = meet_shell(p, camera, thick, 0.20 + 0.95 * smoothstep(0.0, 0.5, p["hair_length"]))
    across = sign * shell.x
    line = EYE_HEIGHT - 0.12 + 0.36 * (across - 0.30) - 0.10 * across * across
    strap = edge((shell.y - line).abs() - 0.024, soft) * shell.cover * smoothstep(0.0, 0.15, shell.z)
    canvas.lay(strap * worn, leather * lit(light, shell.normal, _CLOTH) + 0.5 * gloss, "eye_g")
