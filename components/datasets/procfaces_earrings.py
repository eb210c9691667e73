"""Earrings: studs, hoops and drops of metal, on every lobe that neither hair nor the head hides."""

from __future__ import annotations

import torch
from torch import Tensor

from .procfaces_camera import Camera
from .procfaces_canvas import Canvas
from .procfaces_colour import bump, edge, hue_colour, linear, mix, smoothstep
from .procfaces_light import Light, lit, shine
from .procfaces_parameters import FaceParameters
from .procfaces_scene import ear_place

_METALS = linear(0.86, 0.87, 0.90), linear(0.96, 0.78, 0.38)
_NAME = "ear_r"


def paint_earrings(canvas: Canvas, p: FaceParameters, camera: Camera, light: Light, soft: Tensor) -> None:
    """Lays what hangs in front of the ears; the ears, and all behind them, come after it."""
    if not p["earrings"].any():
        return
    silver, gold = (p.values.new_tensor(metal).reshape(1, 3, 1, 1) for metal in _METALS)
    metal = mix(silver, gold, smoothstep(0.3, 0.7, p["earring_metal"])[:, None])
    hoop = smoothstep(0.32, 0.38, p["earring_shape"]) * smoothstep(0.72, 0.66, p["earring_shape"])
    drop = smoothstep(0.66, 0.72, p["earring_shape"])
    size = 0.8 + 0.5 * p["earrings"]
    for sign in (-1.0, 1.0):
        cx, cy, turned, high = ear_place(p, camera, sign)
        cy = cy + 0.84 * high
        worn = smoothstep(0.0, 0.15, p["earrings"]) * _lobe_seen(canvas, camera, cx, cy)
        around = camera.box(cx - 0.2, cx + 0.2, cy - 0.1, cy + 0.4)
        here, rays = canvas.window(around), camera.window(around)
        x, y = rays.x - cx, rays.y - cy
        _lay_ball(here, worn, x, y, size * (0.032 - 0.010 * (hoop + drop)), metal, light, soft)
        _lay_hoop(here, worn * hoop, x, y, 0.085 * size, 7.0 * turned, metal, light, soft)
        stone = hue_colour(p["cloth_hue"], torch.full_like(size, 0.30), 0.85)
        _lay_drop(here, worn * drop, x, y, 0.045 * size, stone, light, soft)


def _lobe_seen(canvas: Canvas, camera: Camera, cx: Tensor, cy: Tensor) -> Tensor:
    """(n, 1, 1): 1 where nothing laid so far hides the lobe at camera coordinates (n, 1, 1), 0 where it is hidden."""
    around = camera.box(cx - 0.06, cx + 0.06, cy - 0.06, cy + 0.06)
    rays = camera.window(around)
    weight = bump((rays.x - cx) / 0.03, (rays.y - cy) / 0.03)
    left = (weight * canvas.window(around).left).sum((1, 2), keepdim=True)
    return smoothstep(0.3, 0.7, left / weight.sum((1, 2), keepdim=True).clamp(min=1e-6))


def _lay_ball(
    canvas: Canvas, worn: Tensor, x: Tensor, y: Tensor, radius: Tensor, colour: Tensor, light: Light, soft: Tensor
) -> None:
    nx, ny = (x / radius).clamp(-1, 1), (y / radius).clamp(-1, 1)
    reach = torch.sqrt(x * x + y * y + 1e-8)
    normal = (0.9 * nx, 0.9 * ny, (1 - 0.81 * (nx * nx + ny * ny)).clamp(min=0.1).sqrt())
    canvas.lay(worn * edge(reach - radius, soft), _polished(colour, normal, light), _NAME)


def _lay_hoop(
    canvas: Canvas,
    worn: Tensor,
    x: Tensor,
    y: Tensor,
    radius: Tensor,
    aspect: Tensor,
    colour: Tensor,
    light: Light,
    soft: Tensor,
) -> None:
    """A ring that hangs by its top, seen as narrow as the ear is."""
    dx, dy = x / (radius * aspect), y / radius - 0.95
    reach = torch.sqrt(dx * dx + dy * dy + 1e-6)
    gx, gy = dx / (radius * aspect), dy / radius
    slope = torch.rsqrt(gx * gx + gy * gy + 1e-6)
    distance = (reach - 1) * reach * slope
    across = (distance / 0.014).clamp(-0.95, 0.95)
    normal = (across * gx * slope, across * gy * slope, (1 - across * across).sqrt())
    canvas.lay(worn * edge(distance.abs() - 0.014, soft), _polished(colour, normal, light), _NAME)


def _lay_drop(
    canvas: Canvas, worn: Tensor, x: Tensor, y: Tensor, radius: Tensor, colour: Tensor, light: Light, soft: Tensor
) -> None:
    """A stone, round below and drawn out above, whose tip is at the lobe."""
    down = y / radius - 3.0
    above = (-down).clamp(0, 3) / 3
    nx = x / (radius * (1 - 0.9 * above))
    ny = torch.where(down > 0, down, -above)
    reach = torch.sqrt(nx * nx + ny * ny + 1e-6)
    normal = (0.8 * nx.clamp(-1, 1), 0.8 * ny.clamp(-1, 1), (1 - 0.64 * reach * reach).clamp(min=0.1).sqrt())
    canvas.lay(worn * edge((reach - 1) * radius, soft), _polished(colour, normal, light), _NAME)


def _polished(colour: Tensor, normal: tuple[Tensor, Tensor, Tensor], light: Light) -> Tensor:
    """Light (n, 3, h, w) from something smooth: dark where it looks away from the light, with a highlight."""
    gloss = shine(light, normal, 14.0)[:, None]
    return 0.8 * colour * lit(light, normal, (0.05, 0.05, 0.05)) + 0.9 * colour.sqrt() * light.key * gloss
