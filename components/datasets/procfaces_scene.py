"""What surrounds a face: ears, glasses, neck, clothes and the background."""

from __future__ import annotations

import torch
from torch import Tensor

from .procfaces_camera import Camera, Surface
from .procfaces_canvas import Canvas
from .procfaces_colour import bump, edge, hue_colour, smoothstep, superellipse
from .procfaces_geometry import EYE_HEIGHT
from .procfaces_light import Light, lit, skin_colour
from .procfaces_parameters import FaceParameters

_UNSEEN = 0.002  # glasses of which no more is there change no pixel by one grey level


def paint_glasses(canvas: Canvas, p: FaceParameters, camera: Camera, face: Surface, light: Light, soft: Tensor) -> None:
    """Lays frames that stand in a plane in front of the face, and a reflection on their lenses."""
    here = p["glasses"] * (p["glasses"] > _UNSEEN)
    if not here.any():
        return
    r = camera.rotation[:, :, :, None, None]
    flat = 0.80 + 0.02 * p["cheeks"]
    depth = (flat - r[:, 0, 2] * camera.x - r[:, 1, 2] * camera.y) / r[:, 2, 2]
    x, y, _ = camera.to_head(depth)
    side = x.abs()
    dx, dy = (side - p["eye_spacing"] - 0.012) / 0.225, (y - EYE_HEIGHT - 0.03) / (0.205 - 0.045 * p["glasses_shape"])
    ring = (superellipse(dx, dy, 2.1 + 3.5 * p["glasses_shape"]) - 1) * 0.20
    thick = (0.010 + 0.012 * p["glasses_shape"]) * (0.3 + 0.7 * here)
    bridge = torch.maximum((y - EYE_HEIGHT + 0.02 - 0.35 * x * x).abs() - thick, side - 0.12)
    frame = edge(torch.minimum(ring.abs() - thick, bridge), soft)
    temple = torch.maximum((face.y - EYE_HEIGHT + 0.03).abs() - thick, 0.52 - face.x.abs())
    arm = camera.view.spread(edge(temple, soft) * face.cover * smoothstep(-0.1, 0.1, face.z), face.view)
    shade = 0.10 + 0.10 * p["cloth_light"]
    dark = hue_colour(p["background_hue"], 0.25 * shade + 0.015, 0.5) * (0.5 + light.key)
    glare = smoothstep(0.06, -0.06, (dx + 0.7 * dy + 0.35).abs() - 0.16) * edge(ring, soft) * 0.16
    canvas.lay(torch.maximum(frame, arm) * here, dark.expand(-1, -1, *x.shape[1:]), "eye_g")
    canvas.lay((glare + 0.04 * edge(ring, soft)) * here, (0.95 * light.key + 0.1).expand(-1, -1, *x.shape[1:]), "eye_g")


def ear_place(p: FaceParameters, camera: Camera, sign: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Middle of the left (-1) or right (1) ear in camera coordinates, half its width and half its height, (n, 1, 1)."""
    cx, cy, _ = camera.project((sign * (p["head_width"] + 0.015), 0.15, -0.08))
    return cx, cy, (0.085 - sign * 0.06 * torch.sin(p["yaw"])) * p["ear_size"], 0.205 * p["ear_size"]


def paint_ears(canvas: Canvas, p: FaceParameters, camera: Camera, light: Light, soft: Tensor) -> None:
    """Lays both ears, flat ovals at the sides of the head, behind it."""
    for sign, name in ((-1.0, "l_ear"), (1.0, "r_ear")):
        cx, cy, turned, high = ear_place(p, camera, sign)
        wide, tall = (1.1 * half * (1 + soft / 0.11) for half in (turned, high))
        around = camera.box(cx - wide, cx + wide, cy - tall, cy + tall)
        if not canvas.window(around).left.any():  # under hair, or behind the head
            continue
        rays = camera.window(around)
        dx, dy = (rays.x - cx) / turned, (rays.y - cy) / high
        dx = dx + 0.25 * sign * dy
        reach = torch.sqrt(dx * dx + dy * dy + 1e-6)
        normal = _unit(0.45 * dx + sign * 0.25, 0.3 * dy, torch.full_like(dx, 0.8))
        fold = 1 - 0.38 * bump((dx + 0.15 * sign) / 0.45, dy / 0.55) - 0.15 * smoothstep(0.75, 1.0, reach)
        rosy = skin_colour(p) * dx.new_tensor([1.0, 0.84, 0.82]).reshape(1, 3, 1, 1)
        shown = rosy * lit(light, normal) * fold[:, None]
        canvas.window(around).lay(edge((reach - 1) * 0.11, soft), shown, name)


def paint_neck(canvas: Canvas, p: FaceParameters, camera: Camera, light: Light, soft: Tensor) -> None:
    """Lays the clothes with a collar, then the neck, in the chin's shadow."""
    cx, cy, _ = camera.project((0.0, 0.85, -0.25))
    cx, cy = 0.75 * cx, cy - 0.85
    below = camera.box(-torch.inf, torch.inf, cy + 1.1, torch.inf)
    _lay_cloth(canvas.window(below), p, camera.window(below), cx, cy, light, soft)
    aside = torch.where(soft < 0.017, 0.75, torch.inf)  # further out it shows through the soft edges of coarse pictures
    around = camera.box(cx - aside, cx + aside, cy + 0.2, torch.inf)
    rays = camera.window(around)
    x, y = rays.x - cx, rays.y - cy
    half = 0.40 + 0.045 * p["gender"] + 0.55 * (y - 1.0).clamp(min=0) ** 2 + 0.06 * smoothstep(1.0, 0.6, y)
    round_x = (x / half).clamp(-1, 1)
    normal = _unit(0.85 * round_x, torch.full_like(x, 0.05), torch.sqrt(1.05 - round_x * round_x))
    shadow = 1 - 0.62 * smoothstep(0.30, 0.0, y - p["chin_length"] + 0.10 + 0.25 * x * x - 0.12 * x * light.x)
    cords = 1 - 0.10 * bump((x.abs() - 0.13 - 0.25 * (1.2 - y)) / 0.05, (y - 1.1) / 0.3)
    skin = skin_colour(p) * lit(light, normal) * (shadow * cords)[:, None]
    neck = edge(x.abs() - half, soft) * smoothstep(0.2, 0.4, y)
    bare = edge(_shoulder(p, x) + 0.02 - y, soft)
    canvas.window(around).lay(torch.maximum(neck, bare), skin, "neck")


def _shoulder(p: FaceParameters, x: Tensor) -> Tensor:
    """Height (n, h, w) of the shoulders, so far from the neck's middle."""
    return 1.12 + 0.24 * (x * x + 0.02).sqrt() - 0.02 * p["gender"]


def _lay_cloth(
    canvas: Canvas, p: FaceParameters, camera: Camera, cx: Tensor, cy: Tensor, light: Light, soft: Tensor
) -> None:
    x, y = camera.x - cx, camera.y - cy
    opening = 1.19 + 0.16 * p["cloth_light"] - 0.9 * x * x
    distance = torch.maximum(_shoulder(p, x), opening) - y
    folds = 0.10 * torch.sin(9 * x.abs() + 6 * y) + 0.06 * torch.sin(23 * x.abs() - 9 * y)
    normal = _unit(0.55 * x, -0.35 + folds, torch.full_like(x, 0.8))
    colour = hue_colour(p["cloth_hue"], 0.03 + 0.45 * p["cloth_light"] ** 1.5, 0.55)
    collar = 1 - 0.35 * smoothstep(0.05, 0.0, -distance)
    canvas.lay(edge(distance, soft), colour * lit(light, normal, (0.2, 0.2, 0.2)) * collar[:, None], "cloth")


def paint_background(canvas: Canvas, p: FaceParameters, light: Light, per_pixel: int) -> None:
    """Lays a gradient with a soft glow and, where it is cluttered, blurred shapes.

    The canvas has one sample a pixel, which serves here: at the middle of what were `per_pixel` ones a side.
    """
    size = canvas.left.shape[-1]
    ticks = torch.linspace(-1, 1, size * per_pixel, device=canvas.left.device).reshape(size, per_pixel).mean(1)
    u, v = ticks.reshape(1, 1, size), ticks.reshape(1, size, 1)
    busy = p["clutter"].abs() ** 2
    glow = 0.8 + 0.45 * bump((u - 0.4 * p["light_x"]) / 1.1, (v + 0.2) / 1.1) - 0.22 * v
    for i in range(4):
        at_x = torch.sin(2.4 * i + 2.2 * p["clutter"]) * 0.95
        at_y = torch.cos(1.7 * i + 0.6 * p["clutter"]) * 0.6 - 0.3
        radius = 0.22 + 0.09 * i
        disc = smoothstep(1.25, 0.75, torch.sqrt((u - at_x) ** 2 + (v - at_y) ** 2) / radius)
        glow = glow + (0.55 if i % 2 else -0.30) * busy * disc
    colour = hue_colour(p["background_hue"], 0.05 + 0.55 * p["background_light"], 0.35)
    canvas.lay(torch.ones_like(canvas.left), colour * (0.45 + 0.6 * light.key) * glow[:, None], "background")


def _unit(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    length = torch.rsqrt(x * x + y * y + z * z)
    return x * length, y * length, z * length
