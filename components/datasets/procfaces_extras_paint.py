"""What is painted on skin: bindis and face paint, as changes of its colour."""

from __future__ import annotations

import torch
from torch import Tensor

from .procfaces_camera import Surface
from .procfaces_colour import edge, hue_colour, linear, mix, ridge, smoothstep
from .procfaces_geometry import EYE_HEIGHT, mouth_height
from .procfaces_parameters import FaceParameters

Looks = tuple[Tensor, ...]


def _rgb(like: Tensor, *srgb: float) -> Tensor:
    return like.new_tensor(linear(*srgb)).reshape(1, 3, 1, 1)


def paint_bindi(albedo: Tensor, worn: Tensor, looks: Looks, face: Surface, soft: Tensor) -> Tensor:
    """Albedo with a mark between the brows: round to drop-shaped, sometimes ringed with gold."""
    drop, hue, ring, size = looks
    y = face.y - EYE_HEIGHT + 0.23
    radius = 0.056 + 0.022 * size
    narrow = radius * (1 - 0.45 * drop * smoothstep(0.0, -0.12, y))
    reach = torch.sqrt((face.x / narrow) ** 2 + (y / (radius * (1 + 0.7 * drop))) ** 2 + 1e-6)
    mark = edge((reach - 1) * radius, soft) * worn
    rim = edge((reach - 1.35) * radius, soft) * worn * smoothstep(0.55, 0.6, ring)
    red = mix(_rgb(albedo, 0.78, 0.05, 0.12), _rgb(albedo, 0.45, 0.04, 0.20), hue[:, None])
    return mix(mix(albedo, _rgb(albedo, 0.90, 0.70, 0.25), rim[:, None]), red, mark[:, None])


def paint_face(albedo: Tensor, p: FaceParameters, worn: Tensor, looks: Looks, face: Surface, soft: Tensor) -> Tensor:
    """Albedo with one of three paints: stripes on the cheeks, a mask round the eyes, or one half of the face."""
    kind, hue, second, side = looks
    soft = 2 * soft
    colour = hue_colour(hue, torch.full_like(hue, 0.42), 0.85).clamp(max=0.9)
    opposite = hue_colour((hue + 0.5) % 1, torch.full_like(hue, 0.3), 0.9)
    other = mix(_rgb(albedo, 0.96, 0.95, 0.93), opposite, smoothstep(0.4, 0.6, second)[:, None])
    for which, (cover, accent) in enumerate((_stripes(face, soft), _domino(face, soft), _half(p, face, side, soft))):
        here = worn * (((3 * kind).floor().clamp(max=2)) == which).to(albedo.dtype)
        grain = 0.93 - 0.08 * torch.sin(61 * face.x + 7 * torch.sin(23 * face.y))
        albedo = mix(albedo, colour, (cover * here * grain)[:, None])
        albedo = mix(albedo, other, (accent * here * grain)[:, None])
    return albedo


def _stripes(face: Surface, soft: Tensor) -> tuple[Tensor, Tensor]:
    """Three slanting strokes on each cheek, the middle one in the second colour."""
    side = face.x.abs()
    strokes = []
    for k in range(3):
        middle = 0.27 + 0.105 * k - 0.16 * (side - 0.38)
        taper = 0.030 * smoothstep(0.10, 0.30, side) * smoothstep(0.64, 0.50, side) + 0.004
        ends = smoothstep(0.14, 0.20, side) * smoothstep(0.62, 0.56, side)
        strokes.append(edge((face.y - middle).abs() - taper, soft) * ends)
    return torch.maximum(strokes[0], strokes[2]), strokes[1]


def _domino(face: Surface, soft: Tensor) -> tuple[Tensor, Tensor]:
    """A painted mask round both eyes with winged ends, and its outline."""
    side, y = face.x.abs(), face.y - EYE_HEIGHT
    wing = 0.30 * (side - 0.30).clamp(min=0)
    top = -0.21 - 0.06 * ridge((side - 0.34) / 0.2) - 0.9 * wing + 0.06 * ridge(face.x / 0.1)
    bottom = 0.20 + 0.05 * ridge((side - 0.30) / 0.16) - 1.2 * wing - 0.10 * ridge(face.x / 0.11)
    distance = torch.maximum(torch.maximum(top - y, y - bottom), side - 0.63)
    return edge(distance, soft), edge((distance + 0.012).abs() - 0.014, soft)


def _half(p: FaceParameters, face: Surface, side: Tensor, soft: Tensor) -> tuple[Tensor, Tensor]:
    """One half of the face with a jagged border, and a star-like spot in the other's cheek."""
    sign = torch.where(side < 0.5, -1.0, 1.0)
    jag = 0.035 * torch.asin(torch.sin(16 * face.y).clamp(-0.999, 0.999))
    cover = edge(-sign * face.x + jag + 0.02, soft) * smoothstep(1.08, 1.0, face.y)
    x, y = face.x + sign * 0.36, face.y - 0.5 * (EYE_HEIGHT + mouth_height(p)) - 0.05
    angle = torch.atan2(y, x)
    radius = 0.085 + 0.035 * torch.cos(5 * angle + 1.57)
    return cover, edge(torch.sqrt(x * x + y * y + 1e-6) - radius, soft)
