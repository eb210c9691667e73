"""Eyes, brows, nose and mouth: painted on the head's surface, in the head's own coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from .procfaces_camera import Surface
from .procfaces_canvas import Canvas
from .procfaces_colour import bump, edge, linear, mix, ramp, ridge, smoothstep
from .procfaces_geometry import EYE_HEIGHT, mouth_height
from .procfaces_light import Light, skin_colour
from .procfaces_parameters import FaceParameters

_IRIS = [linear(0.25, 0.14, 0.08), linear(0.42, 0.26, 0.12), linear(0.42, 0.46, 0.24), linear(0.36, 0.55, 0.72)]


def _rgb(like: Tensor, *srgb: float) -> Tensor:
    return like.new_tensor(linear(*srgb)).reshape(1, 3, 1, 1)


def paint_eyes(canvas: Canvas, p: FaceParameters, face: Surface, light: Light, lit: Tensor, soft: Tensor) -> None:
    """Lays both eyes: lashes, catch-light, pupil, iris, white, in the shadow of the upper lid."""
    side = torch.where(face.x < 0, -1.0, 1.0)
    across = side * face.x - p["eye_spacing"]  # from the eye's middle outwards
    down = face.y - EYE_HEIGHT + p["eye_tilt"] * across
    arch = 1 - (across / (0.158 * p["eye_size"])) ** 2
    squint = p["eye_open"] - 0.16 * p["smile"].clamp(min=0)
    top, bottom = -0.092 * p["eye_size"] * squint * arch, 0.052 * p["eye_size"] * (0.4 + 0.6 * squint) * arch
    hole = edge(torch.maximum(top - down, down - bottom), soft) * face.cover
    colour = _eyeball(p, face, side, across, down, top, light) * (0.35 + 0.65 * lit)
    thick = 0.013 + 0.010 * (0.5 - 0.5 * p["gender"]) + 0.012 * p["make_up"]
    reach = smoothstep(-0.30, 0.05, arch)
    lash = edge((down - top + 0.3 * thick).abs() - thick * (0.5 + 0.5 * reach), soft) * reach * face.cover
    left = (side < 0).to(lash.dtype)
    canvas.lay_pair(lash, 0.5 * _rgb(lash, 0.16, 0.10, 0.08) * lit, "eye", left)
    canvas.lay_pair(hole, colour, "eye", left)
    skin = skin_colour(p)
    crease = ridge((down - top + 0.042 + 0.012 * p["eye_open"]) / 0.014) * smoothstep(-0.25, 0.2, arch)
    rim = ridge((down - bottom - 0.012) / 0.012) * smoothstep(-0.1, 0.3, arch)
    lid = bump(across / 0.17, (down + 0.085) / 0.05) * p["make_up"]
    canvas.lay((0.42 * crease + 0.22 * rim).clamp(0, 1) * face.cover, skin * _rgb(lash, 0.6, 0.42, 0.38) * lit, "skin")
    canvas.lay(0.45 * lid * face.cover, skin * _rgb(lash, 0.62, 0.50, 0.62) * lit, "skin")


def _eyeball(
    p: FaceParameters, face: Surface, side: Tensor, across: Tensor, down: Tensor, top: Tensor, light: Light
) -> Tensor:
    """Linear light (n, 3, h, w) of the ball: the eyes keep to the camera, plus the gaze."""
    aside = 0.040 * p["gaze"] - 0.055 * torch.sin(p["yaw"])
    dx, dy = across - side * aside, down + 0.012 + 0.05 * torch.sin(p["pitch"])
    radius = torch.sqrt(dx * dx + dy * dy + 1e-8) / (0.072 * p["eye_size"])
    iris = ramp(p["eye_colour"], _IRIS)
    glow = 0.75 + 0.9 * smoothstep(-0.3, 0.9, dy / 0.07) * smoothstep(0.3, 0.8, radius)
    ring = smoothstep(0.75, 1.0, radius)
    ball = iris * (glow * (1 - 0.65 * ring))[:, None]
    ball = ball * smoothstep(0.34, 0.50, radius)[:, None] + 0.004
    white = _rgb(ball, 0.95, 0.93, 0.92) * (1 - 0.35 * smoothstep(0.07, 0.16, across.abs()))[:, None]
    colour = mix(ball, white, smoothstep(0.94, 1.14, radius)[:, None])
    colour = colour * (1 - 0.55 * smoothstep(0.055, 0.0, down - top))[:, None]
    glint = bump((dx - side * (0.022 * light.x)) / 0.017, (dy + 0.026) / 0.017)
    return colour + 0.95 * (glint * smoothstep(1.2, 0.9, radius))[:, None]


def paint_brows(canvas: Canvas, p: FaceParameters, face: Surface, lit: Tensor, hair: Tensor, soft: Tensor) -> None:
    """Lays both brows: an arch that thins outwards, of short strands."""
    side = torch.where(face.x < 0, -1.0, 1.0)
    along = (side * face.x - p["eye_spacing"] + 0.02) / 0.21
    height = 0.192 + 0.025 * p["brow_raise"] - 0.015 * p["gender"]
    bend = 0.02 + 0.045 * p["brow_arch"]
    middle = EYE_HEIGHT - height - bend * (1 - ((along - 0.10) / 1.3) ** 2) + bend - 0.004 * along
    thick = p["brow_thickness"] * (1.12 - 0.35 * along.clamp(-1, 1)) * smoothstep(1.25, 0.55, along)
    strands = 1 + 0.12 * torch.sin(60 * (along * 0.5 + (face.y - middle) * 2.2))
    cover = edge((face.y - middle).abs() - thick * strands, 1.6 * soft) * smoothstep(-1.12, -0.80, along)
    cover = cover * smoothstep(1.22, 1.0, along) * face.cover
    colour = 0.42 * hair + 0.02 * skin_colour(p)
    canvas.lay_pair(0.88 * cover, colour * lit, "brow", (side < 0).to(cover.dtype))


def paint_mouth(canvas: Canvas, p: FaceParameters, face: Surface, lit: Tensor, gloss: Tensor, soft: Tensor) -> None:
    """Lays the lips, and between them teeth and the dark of the mouth."""
    smile = p["smile"]
    half = p["mouth_width"] * (1 + 0.22 * smile)
    q = face.x / half
    arch, corner = 1 - q * q, q * q
    line = mouth_height(p) + 0.02 - 0.080 * smile * corner + 0.02 * smile
    gap = (0.115 * p["mouth_open"] + 0.02 * smile.clamp(min=0)) * arch
    above, below = line - 0.42 * gap, line + 0.75 * gap
    full = p["lip_fullness"] * (1 - 0.18 * smile)
    bow = 1 - 0.28 * ridge(face.x / 0.035) + 0.10 * ridge((face.x.abs() - 0.06) / 0.04)
    peak = above - 0.058 * full * arch * bow
    floor = below + 0.070 * full * arch * (0.75 + 0.25 * arch)
    within = face.cover * smoothstep(-0.02, 0.10, arch)
    red = _lip_colour(p)
    upper = red * (0.70 + 0.25 * smoothstep(0.0, -0.05, face.y - above))[:, None]
    lower = red * (0.92 + 0.35 * bump(face.x / 0.10, (face.y - below - 0.032) / 0.022))[:, None]
    seam = edge((face.y - line).abs() - 0.006, 1.2 * soft) * smoothstep(0.03, 0.0, gap) * within
    canvas.lay(0.75 * seam, _rgb(q, 0.26, 0.09, 0.08) * lit, "mouth")
    canvas.lay(edge(torch.maximum(peak - face.y, face.y - above), soft) * within, upper * lit, "u_lip")
    shiny = lower * lit + (0.10 + 0.18 * p["make_up"])[:, None] * gloss[:, None]
    canvas.lay(edge(torch.maximum(below - face.y, face.y - floor), soft) * within, shiny, "l_lip")
    inner = edge(torch.maximum(above - face.y, face.y - below), soft) * within * smoothstep(0.0, 0.02, gap)
    canvas.lay(inner, _mouth_inside(q, face.y, above, below) * (0.3 + 0.7 * lit), "mouth")


def _lip_colour(p: FaceParameters) -> Tensor:
    skin = skin_colour(p)
    natural = skin * _rgb(skin, 0.90, 0.66, 0.66)
    return mix(
        natural, _rgb(skin, 0.76, 0.15, 0.22) * (0.5 + 0.5 * skin.mean(1, keepdim=True)), 0.8 * p["make_up"][:, None]
    )


def _mouth_inside(q: Tensor, y: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """Upper teeth, then tongue and dark."""
    teeth = smoothstep(0.062, 0.050, y - above) * smoothstep(1.0, 0.55, q.abs())
    gaps = 1 - 0.12 * smoothstep(0.9, 1.0, torch.cos(q * 22))
    dark = mix(_rgb(q, 0.30, 0.07, 0.07), _rgb(q, 0.62, 0.26, 0.26), smoothstep(0.06, 0.0, below - y)[:, None])
    white = _rgb(q, 0.96, 0.93, 0.88) * (gaps * smoothstep(-0.012, 0.02, y - above))[:, None]
    return mix(dark, white, teeth[:, None])


def paint_nose(canvas: Canvas, p: FaceParameters, face: Surface, skin: Tensor, lit: Tensor, soft: Tensor) -> None:
    """Lays the nostrils and marks the nose, whose form the surface's relief already carries."""
    base, width, side = EYE_HEIGHT + p["nose_length"], p["nose_width"], face.x.abs()
    nostril = bump((side - 0.060 * width) / (0.032 * width), (face.y - base - 0.030) / 0.015)
    canvas.lay((0.75 * nostril).clamp(0, 1) * face.cover, _rgb(nostril, 0.22, 0.10, 0.08) * lit, "nose")
    along = (face.y - EYE_HEIGHT) / p["nose_length"]
    half = width * (0.060 + 0.090 * smoothstep(0.35, 0.95, along))
    rounded = half * torch.sqrt((1 - ((along - 0.9).clamp(min=0) / 0.22) ** 2).clamp(min=0))
    region = edge(side - rounded, 2 * soft) * smoothstep(0.05, 0.25, along) * smoothstep(1.12, 1.08, along)
    canvas.lay(region * face.cover, skin, "nose")
