"""Hats and face masks."""

from __future__ import annotations

import torch
from torch import Tensor

from .procfaces_camera import Camera, Surface
from .procfaces_canvas import Canvas
from .procfaces_colour import bump, edge, hue_colour, linear, mix, ridge, smoothstep
from .procfaces_geometry import head_window, meet_head, meet_shell
from .procfaces_hair import hair_thickness
from .procfaces_light import Light, lit
from .procfaces_parameters import FaceParameters
from .procfaces_window import Window

Looks = tuple[Tensor, ...]
_CLOTH = (0.25, 0.25, 0.25)  # how far light wraps round woven things
_MASK = (0.38, 1.0, 0.0, 1.0)  # share of the picture that a mask can touch: top, bottom, left, right


def _rgb(like: Tensor, *srgb: float) -> Tensor:
    return like.new_tensor(linear(*srgb)).reshape(1, 3, 1, 1)


def paint_hat(
    canvas: Canvas, p: FaceParameters, worn: Tensor, looks: Looks, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays a knitted hat with a cuff, or one with a brim and a band."""
    kind, hue, shade, accent = looks
    brimmed = (kind > 0.5).to(worn.dtype)
    thick = hair_thickness(p) * 0.75 + 0.10
    around = head_window(p, camera, 1.045 + thick)
    rays = camera.window(around)
    shell = meet_shell(p, rays, thick, torch.full_like(thick, 0.5))
    wider = meet_shell(p, rays, thick + 0.035, torch.full_like(thick, 0.5))
    colour = hue_colour(hue, 0.05 + 0.40 * shade, 0.6)
    second = hue_colour(accent, torch.full_like(accent, 0.35), 0.75)
    _lay_brim(canvas, p, worn * brimmed, thick, camera, light, colour, soft)
    canvas = canvas.window(around)
    _lay_band(canvas, worn * brimmed, wider, light, 0.5 * second + 0.125 * colour, soft)
    _lay_cuff(canvas, worn * (1 - brimmed), wider, light, second, soft)
    line = -0.36 - 0.04 * shell.z
    turn = torch.atan2(shell.x, shell.z + 0.35)
    ribs = 1 + 0.16 * (1 - brimmed) * torch.sin(34 * turn) * smoothstep(-1.0, -0.8, shell.y)
    felt = 1 - 0.20 * brimmed * ridge(shell.x / 0.12) * smoothstep(-0.75, -0.95, shell.y)
    shown = colour * lit(light, shell.normal, _CLOTH) * (ribs * felt)[:, None]
    canvas.lay(worn * edge(shell.y - line, soft) * shell.cover, shown, "hat")


def _lay_cuff(canvas: Canvas, worn: Tensor, wider: Surface, light: Light, colour: Tensor, soft: Tensor) -> None:
    low, high = -0.33 - 0.05 * wider.z, -0.56 - 0.05 * wider.z
    turn = torch.atan2(wider.x, wider.z + 0.35)
    rolled = 0.30 * smoothstep(0.05, 0.0, low - wider.y) + 0.22 * smoothstep(0.04, 0.0, wider.y - high)
    knit = 1 + 0.20 * torch.sin(34 * turn) - rolled
    cover = edge(torch.maximum(wider.y - low, high - wider.y), soft) * wider.cover * worn
    canvas.lay(cover, colour * lit(light, wider.normal, _CLOTH) * knit[:, None], "hat")


def _lay_band(canvas: Canvas, worn: Tensor, wider: Surface, light: Light, colour: Tensor, soft: Tensor) -> None:
    cover = edge((wider.y + 0.46 + 0.04 * wider.z).abs() - 0.065, soft) * wider.cover * worn
    canvas.lay(cover, colour * lit(light, wider.normal, _CLOTH), "hat")


def _lay_brim(
    canvas: Canvas,
    p: FaceParameters,
    worn: Tensor,
    thick: Tensor,
    camera: Camera,
    light: Light,
    colour: Tensor,
    soft: Tensor,
) -> None:
    """A brim seen nearly edge-on, its front dipping towards the viewer."""
    cx, cy, _ = camera.project((torch.zeros_like(p["yaw"]), -0.40, 0.25))
    half = 1.02 + 0.5 * thick
    around = camera.box(cx - half - 0.05, cx + half + 0.05, cy - 0.25, cy + 0.25)
    canvas, camera = canvas.window(around), camera.window(around)
    x, y = camera.x - cx, camera.y - cy
    q = (x / half).clamp(-1, 1)
    round_q = (1 - q * q).clamp(min=1e-4).sqrt()
    tilt = 0.5 + 1.4 * torch.sin(-p["pitch"])
    under = -0.02 - 0.08 * q * q + (0.10 + 0.10 * tilt) * round_q
    over = -0.02 - 0.08 * q * q - 0.06 * round_q
    distance = torch.maximum(torch.maximum(y - under, over - y), x.abs() - half)
    slope = ((y - over) / (under - over).clamp(min=0.02)).clamp(0, 1)
    ny = -0.75 + 0.6 * slope
    normal = (0.45 * q, ny, (1 - ny * ny - 0.2 * q * q).clamp(min=0.04).sqrt())
    rim = 1 + 0.35 * ridge((under - y - 0.012) / 0.012)
    canvas.lay(edge(distance, soft) * worn, colour * lit(light, normal, _CLOTH) * rim[:, None], "hat")


def hat_shadow(face: Surface, light: Light, looks: Looks) -> Tensor:
    """Shadow (n, h, w) in [0, 1] of a hat on the forehead, deeper below a brim and a high light."""
    reach = 0.10 + 0.30 * (looks[0] > 0.5).to(face.y.dtype) * (0.4 - light.y).clamp(0.3, 1)
    return smoothstep(-0.30 + reach, -0.34, face.y)


def _mask_relief(p: FaceParameters, x: Tensor, y: Tensor) -> Tensor:
    """Cloth that hangs from the nose to the chin and touches neither mouth nor cheeks."""
    over_nose = 0.17 * bump(x / 0.30, (y - 0.36) / 0.34)
    return 0.035 + over_nose + 0.13 * bump(x / 0.42, (y - 0.72) / 0.42)


def paint_mask(
    canvas: Canvas,
    p: FaceParameters,
    worn: Tensor,
    looks: Looks,
    camera: Camera,
    face: Surface,
    light: Light,
    soft: Tensor,
) -> None:
    """Lays a pleated face mask, and its ear loops where they lie on the head's own surface, `face`."""
    kind, hue, shade, pattern = looks
    around = head_window(p, camera, margin=0.14) & Window.of_shares(camera.x, camera.per_pixel, _MASK)
    canvas, camera = canvas.window(around), camera.window(around)
    cloth = meet_head(p, camera, relief_of=_mask_relief)
    x, y, side = cloth.x, cloth.y, cloth.x.abs()
    top = 0.205 + 0.10 * smoothstep(0.05, 0.28, side) + 0.05 * smoothstep(0.3, 0.6, side)
    bottom = p["chin_length"] + 0.03 - 0.55 * (side - 0.16).clamp(min=0)
    half = 0.60 - 0.05 * smoothstep(0.4, 0.9, y)
    distance = torch.maximum(torch.maximum(top - y, y - bottom), side - half)
    pleats = sum(ridge((y - 0.44 - 0.13 * k - 0.05 * x * x) / 0.018) for k in range(3)) * smoothstep(0.58, 0.50, side)
    seam = ridge((distance + 0.035) / 0.010)
    medical = mix(_rgb(x, 0.62, 0.80, 0.90), _rgb(x, 0.93, 0.94, 0.94), smoothstep(0.45, 0.55, shade)[:, None])
    dark = hue_colour(hue, 0.06 + 0.25 * shade, 0.6)
    dots = smoothstep(0.55, 0.75, torch.sin(26 * x) * torch.sin(26 * y)) * smoothstep(0.45, 0.55, pattern)
    printed = mix(dark, _rgb(x, 0.95, 0.92, 0.86), dots[:, None])
    albedo = mix(medical, printed, (kind > 0.5).to(x.dtype)[:, None])
    folds = 1 - 0.26 * pleats - 0.16 * seam
    shown = albedo * lit(light, cloth.normal, _CLOTH) * folds[:, None]
    canvas.lay(edge(distance, soft) * cloth.cover * worn, shown, "cloth")
    loops = torch.minimum((y - 0.36 + 0.75 * (side - half)).abs(), (y - 0.66 + 1.15 * (side - half)).abs())
    skin = around.spread(face.cover, face.view)
    cord = edge(torch.maximum(loops - 0.012, half - side), soft) * skin * smoothstep(-0.35, -0.2, cloth.z)
    pale = 0.4 * albedo + 0.6 * _rgb(x, 0.92, 0.92, 0.92)
    canvas.lay(0.9 * cord * worn, pale * lit(light, cloth.normal), "cloth")
