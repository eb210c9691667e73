"""What is worn on a head: hats, face masks, odd glasses and eye patches."""

from __future__ import annotations

import torch
from torch import Tensor

from .procfaces_canvas import Canvas
from .procfaces_colour import bump, edge, hue_colour, linear, mix, ridge, smoothstep
from .procfaces_geometry import EYE_HEIGHT, Camera, Surface, meet_head, meet_shell
from .procfaces_light import Light, lit, shine
from .procfaces_parameters import FaceParameters

Looks = tuple[Tensor, ...]
_CLOTH = (0.25, 0.25, 0.25)  # how far light wraps round woven things


def _rgb(like: Tensor, *srgb: float) -> Tensor:
    return like.new_tensor(linear(*srgb)).reshape(1, 3, 1, 1)


def _hair_thickness(p: FaceParameters) -> Tensor:
    """How much the hair adds at the crown, (n, 1, 1); what is worn over it adds more."""
    length = smoothstep(0.0, 0.5, p["hair_length"])
    return 0.03 + (0.06 + 0.13 * p["hair_volume"]) * (0.55 + 0.45 * length) * (1 - 0.8 * p["baldness"])


def paint_hat(
    canvas: Canvas, p: FaceParameters, worn: Tensor, looks: Looks, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays a knitted hat with a cuff, or one with a brim and a band."""
    kind, hue, shade, accent = looks
    brimmed = (kind > 0.5).to(worn.dtype)
    thick = _hair_thickness(p) * 0.75 + 0.10
    shell = meet_shell(p, camera, thick, torch.full_like(thick, 0.5))
    wider = meet_shell(p, camera, thick + 0.035, torch.full_like(thick, 0.5))
    colour = hue_colour(hue, 0.05 + 0.40 * shade, 0.6)
    second = hue_colour(accent, torch.full_like(accent, 0.35), 0.75)
    _lay_brim(canvas, p, worn * brimmed, thick, camera, light, colour, soft)
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
    x, y = camera.x - cx, camera.y - cy
    half = 1.02 + 0.5 * thick
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
    canvas: Canvas, p: FaceParameters, worn: Tensor, looks: Looks, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays a pleated face mask with ear loops."""
    kind, hue, shade, pattern = looks
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
    cord = edge(torch.maximum(loops - 0.012, half - side), soft) * cloth.cover * smoothstep(-0.35, -0.2, cloth.z)
    pale = 0.4 * albedo + 0.6 * _rgb(x, 0.92, 0.92, 0.92)
    canvas.lay(0.9 * cord * worn, pale * lit(light, cloth.normal), "cloth")


def paint_odd_glasses(
    canvas: Canvas, p: FaceParameters, worn: Tensor, looks: Looks, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays thick coloured glasses, one lens round and clear, the other angular, larger and dark."""
    flip, hue, second, tint = looks
    r = camera.rotation[:, :, :, None, None]
    depth = (0.83 + 0.02 * p["cheeks"] - r[:, 0, 2] * camera.x - r[:, 1, 2] * camera.y) / r[:, 2, 2]
    x, y, _ = camera.to_head(depth)
    dark = (x * torch.where(flip < 0.5, -1.0, 1.0) > 0).to(x.dtype)  # which side each pixel is on
    dx = (x.abs() - p["eye_spacing"] - 0.02) / mix(x.new_tensor(0.215), x.new_tensor(0.255), dark)
    dy = (y - EYE_HEIGHT - 0.02) / mix(x.new_tensor(0.215), x.new_tensor(0.175), dark)
    power = 2.0 + 6.0 * dark
    reach = ((dx.abs() + 1e-4).pow(power) + (dy.abs() + 1e-4).pow(power)).pow(1 / power)
    ring = (reach - 1) * 0.20
    bridge = torch.maximum((y - EYE_HEIGHT + 0.03 - 0.3 * x * x).abs() - 0.022, x.abs() - 0.12)
    frame = edge(torch.minimum(ring.abs() - 0.028, bridge), soft)
    face = meet_head(p, camera)
    arm = torch.maximum((face.y - EYE_HEIGHT + 0.03).abs() - 0.022, 0.50 - face.x.abs())
    frame = torch.maximum(frame, edge(arm, soft) * face.cover * smoothstep(-0.1, 0.1, face.z)) * worn
    round_colour = hue_colour(hue, torch.full_like(hue, 0.40), 0.85)
    bright = mix(round_colour, hue_colour(second, torch.full_like(hue, 0.30), 0.85), dark[:, None])
    round_edge = (0.75 + 0.45 * smoothstep(0.028, 0.0, (ring + 0.006).abs()))[:, None]
    canvas.lay(frame, bright * (0.35 + 0.75 * light.key) * round_edge, "eye_g")
    inside = edge(ring, soft) * worn
    glare = smoothstep(0.10, -0.10, (dx + 0.8 * dy + 0.3).abs() - 0.2)
    canvas.lay(inside * glare * (0.14 + 0.16 * dark), (0.95 * light.key + 0.1).expand(-1, -1, *x.shape[1:]), "eye_g")
    glass = hue_colour(tint, 0.05 + 0.05 * smoothstep(-1.0, 1.0, dy), 0.8) * (0.4 + light.key)
    canvas.lay(inside * (0.10 + 0.74 * dark), glass, "eye_g")


def paint_patch(
    canvas: Canvas, p: FaceParameters, worn: Tensor, looks: Looks, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays a patch over one eye, and the strap that runs slantwise round the head."""
    flip, hue, shade, shape = looks
    sign = torch.where(flip < 0.5, -1.0, 1.0)
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
    shell = meet_shell(p, camera, _hair_thickness(p) + 0.005, 0.20 + 0.95 * smoothstep(0.0, 0.5, p["hair_length"]))
    across = sign * shell.x
    line = EYE_HEIGHT - 0.12 + 0.36 * (across - 0.30) - 0.10 * across * across
    strap = edge((shell.y - line).abs() - 0.024, soft) * shell.cover * smoothstep(0.0, 0.15, shell.z)
    canvas.lay(strap * worn, leather * lit(light, shell.normal, _CLOTH) + 0.5 * gloss, "eye_g")
