"""A hand that covers part of the face: palm, fingers and thumb, rounded, with nails and knuckles."""

from __future__ import annotations

import torch
from torch import Tensor

from .procfaces_camera import Camera
from .procfaces_canvas import Canvas
from .procfaces_colour import bump, edge, linear, mix, ridge, smoothstep
from .procfaces_geometry import normals
from .procfaces_light import Light, lit, shine, skin_colour
from .procfaces_parameters import FaceParameters
from .procfaces_window import Window, whole

Looks = tuple[Tensor, ...]

# (x, y) from, (x, y) to, radius at either end; y runs from the finger tips down to the wrist. Back of a right hand.
_FINGERS = (
    ((-0.225, -0.06), (-0.36, -0.46), 0.086, 0.064),
    ((-0.085, -0.12), (-0.13, -0.66), 0.090, 0.066),
    ((0.060, -0.11), (0.075, -0.63), 0.088, 0.064),
    ((0.195, -0.04), (0.255, -0.46), 0.080, 0.056),
)
_PALM = (
    ((-0.19, 0.00), (-0.13, 0.42), 0.125, 0.130),
    ((-0.05, -0.04), (-0.03, 0.46), 0.125, 0.135),
    ((0.08, -0.02), (0.06, 0.46), 0.125, 0.135),
    ((0.17, 0.03), (0.12, 0.44), 0.105, 0.120),
    ((0.0, 0.45), (0.02, 1.60), 0.205, 0.270),
)
_THUMB = (((-0.17, 0.36), (-0.36, 0.16), 0.125, 0.090), ((-0.36, 0.16), (-0.46, -0.08), 0.092, 0.066))
_REACH = 0.34
"""How far from the picture's middle, in head units, the hand is laid."""


def _placed(camera: Camera, looks: Looks, shift: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """The hand's own coordinates (n, h, w) of the rays: mirrored, turned and moved by its looks."""
    flip, turn, height, aside = looks
    sign = torch.where(flip < 0.5, -1.0, 1.0)
    x, y = camera.x, camera.y
    if shift is not None:
        x, y = x - shift[0], y - shift[1]
    x = sign * x - _REACH + 0.22 * (aside - 0.5)
    y = y - 0.66 - 0.22 * (height - 0.5)
    angle = -0.55 + 0.55 * (turn - 0.5)
    c, s = angle.cos(), angle.sin()
    return (c * x - s * y) / 0.92, (s * x + c * y) / 0.92


def _capsule(
    x: Tensor, y: Tensor, part: tuple[tuple[float, float], tuple[float, float], float, float]
) -> tuple[Tensor, Tensor]:
    """Distance (n, h, w) from a rounded, tapering limb, negative inside, and its height above the picture."""
    (ax, ay), (bx, by), start, stop = part
    lx, ly = bx - ax, by - ay
    t = (((x - ax) * lx + (y - ay) * ly) / (lx * lx + ly * ly)).clamp(0, 1)
    radius = start + (stop - start) * t
    square = (x - ax - t * lx) ** 2 + (y - ay - t * ly) ** 2
    return (square + 1e-8).sqrt() - radius, (radius * radius - square).clamp(min=0).add(1e-6).sqrt()


def _hand(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Distance from the hand and its height: limbs run softly into each other, fingers stay apart."""
    distances, heights = zip(*(_capsule(x, y, part) for part in (*_FINGERS, *_PALM, *_THUMB)))
    palm = torch.stack(heights[len(_FINGERS) :])
    melted = torch.logsumexp(34 * palm, 0) / 34 - 0.0678  # log(10) / 34: flat ground stays at 0
    fingers = torch.stack(heights[: len(_FINGERS)]).amax(0)
    both = torch.logsumexp(60 * torch.stack([melted, fingers]), 0) / 60
    return torch.stack(distances).amin(0), both


def paint_hand(
    canvas: Canvas, p: FaceParameters, worn: Tensor, looks: Looks, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays a hand on the cheek and the mouth, the back of it towards the viewer."""
    x, y = _placed(camera, looks)
    around = Window.around((x > -0.57) & (x < 0.35) & (y > -0.77) & (worn > 0), camera.per_pixel)  # what limbs reach
    canvas, camera = canvas.window(around), camera.window(around)
    x, y = (around.of(part, whole(part)).contiguous() for part in (x, y))
    distance, height = _hand(x, y)
    normal = normals(1.15 * height, camera.sample)
    albedo = skin_colour(p)
    rosy = albedo * albedo.new_tensor([1.0, 0.80, 0.78]).reshape(1, 3, 1, 1)
    flush, nails, creases = _details(x, y)
    albedo = mix(albedo.expand(-1, -1, *x.shape[1:]), rosy, flush[:, None])
    pink = skin_colour(p) * 0.55 + albedo.new_tensor(linear(0.93, 0.74, 0.70)).reshape(1, 3, 1, 1) * 0.45
    albedo = mix(albedo, pink, (0.85 * nails)[:, None])
    rim = 1 - 0.45 * smoothstep(-0.035, 0.0, distance)
    gloss = ((0.07 + 0.25 * nails) * shine(light, normal, 18.0))[:, None] * light.key
    shown = albedo * lit(light, normal) * (rim * (1 - 0.28 * creases))[:, None] + gloss
    canvas.lay(edge(distance, soft) * worn, shown, "skin")


def _details(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flush of knuckles and tips, nails, and creases over the joints, (n, h, w) each in [0, 1]."""
    flush, nails, creases = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)
    for (ax, ay), (bx, by), _, tip in (*_FINGERS, _THUMB[1]):
        lx, ly = bx - ax, by - ay
        length = (lx * lx + ly * ly) ** 0.5
        along = ((x - ax) * lx + (y - ay) * ly) / length
        across = ((x - ax) * ly - (y - ay) * lx) / length
        flush = torch.maximum(flush, 0.8 * bump((along - length) / 0.10, across / 0.07))
        flush = torch.maximum(flush, 0.6 * bump(along / 0.09, across / 0.09))
        round_nail = ((along - length - 0.25 * tip) / (0.85 * tip)).abs() ** 3 + (across / (0.62 * tip)).abs() ** 3
        nails = torch.maximum(nails, smoothstep(1.15, 0.85, round_nail))
        for joint in (0.42, 0.46, 0.72, 0.755):
            crease = ridge((along - joint * length) / 0.010) * smoothstep(0.07, 0.03, across.abs())
            creases = torch.maximum(creases, crease)
    return flush, nails, creases


def hand_shadow(camera: Camera, light: Light, looks: Looks) -> Tensor:
    """Shadow (n, h, w) in [0, 1] of the hand, thrown away from the light."""
    x, y = _placed(camera, looks, (-0.10 * light.x, -0.10 * light.y + 0.02))
    return 0.9 * smoothstep(0.07, -0.05, _hand(x, y)[0])
