"""Hair: the cap on the skull, the curtain behind it, and what grows on the face."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from .procfaces_camera import Camera, Surface
from .procfaces_canvas import Canvas
from .procfaces_colour import bump, edge, linear, mix, ramp, ridge, smoothstep
from .procfaces_geometry import EYE_HEIGHT, head_window, meet_shell, mouth_height
from .procfaces_light import Light
from .procfaces_parameters import FaceParameters
from .procfaces_window import below, within

_CURTAIN, _CURTAIN_FROM = (0.0, 0.0, -0.22), 0.16
"""Where on the head the curtain hangs, and the least length of hair that has one."""
_SHADES = [
    linear(0.09, 0.07, 0.07), linear(0.20, 0.13, 0.09), linear(0.36, 0.23, 0.14),
    linear(0.58, 0.42, 0.26), linear(0.88, 0.74, 0.50),
]  # fmt: skip


def hair_colour(p: FaceParameters) -> Tensor:
    """Albedo (n, 3, 1, 1): a shade, tinted red, greyed."""
    shade = ramp(p["hair_shade"], _SHADES)
    red = shade * shade.new_tensor([1.65, 0.72, 0.42]).reshape(1, 3, 1, 1) + shade.new_tensor([0.04, 0.0, 0.0]).reshape(
        1, 3, 1, 1
    )
    grey = shade.new_tensor(linear(0.80, 0.80, 0.81)).reshape(1, 3, 1, 1)
    return mix(mix(shade, red, 0.75 * p["hair_red"][:, None]), grey, 0.85 * p["hair_grey"][:, None])


def hair_thickness(p: FaceParameters) -> Tensor:
    """How much the hair adds to the head at the crown, (n, 1, 1)."""
    length = smoothstep(0.0, 0.5, p["hair_length"])
    return 0.03 + (0.06 + 0.13 * p["hair_volume"]) * (0.55 + 0.45 * length) * (1 - 0.8 * p["baldness"])


def _strands(across: Tensor, along: Tensor, p: FaceParameters) -> Tensor:
    """Brightness (n, h, w) about 1 of strands: fine and coarse waves across them, bent by the curl."""
    bent = across + p["hair_curl"] * (0.05 * torch.sin(11 * along) + 0.03 * torch.sin(23 * along + 9 * across))
    fine = torch.sin(46 * bent + 2.0 * torch.sin(5 * along)) * torch.sin(83 * bent + 3 * along)
    coarse = torch.sin(17 * bent + 1.3 * torch.sin(3 * along))
    return 1 + 0.20 * fine + 0.24 * coarse


def _hairline(p: FaceParameters, x: Tensor, z: Tensor) -> Tensor:
    """Height (n, h, w) down to which the skull is covered, by where on it: front, temples, sides, back."""
    strands = 0.016 * torch.sin(40 * x) + 0.010 * torch.sin(71 * x + 1.0)
    parting = 0.55 * p["hair_parting"] * 0.5
    swept = -0.61 + 0.35 * x * x - 0.05 * p["gender"] - 0.06 * ridge((x - parting) / 0.10)
    fringe = -0.30 - 0.10 * ridge((x - parting) / 0.13) + 0.30 * x * x + 1.2 * strands
    amount = smoothstep(0.45, 1.0, p["hair_fringe"]) * (1 - p["baldness"])
    front = mix(swept + 0.4 * strands, fringe, amount * smoothstep(0.0, 0.25, p["hair_length"] + 0.1))
    front = mix(front, -1.02 + 0.30 * x * x, p["baldness"])
    temple = -0.02 + 0.50 * smoothstep(0.15, 0.5, p["hair_length"]) - 0.05 * p["gender"]
    back = 0.42 + 0.5 * p["hair_length"]
    line = mix(temple + 0.12 * p["baldness"], front, smoothstep(0.36, 0.58, z))
    return mix(back, line, smoothstep(-0.25, 0.05, z))


def paint_cap(canvas: Canvas, p: FaceParameters, camera: Camera, light: Light, colour: Tensor, soft: Tensor) -> Tensor:
    """Lays the hair on the skull; returns its shadow (n, h, w) on the face below the hairline."""
    length, thick = smoothstep(0.0, 0.5, p["hair_length"]), hair_thickness(p)
    _, lowest, _ = camera.project((0.0, 0.65 + 0.5 * p["hair_length"], -torch.sign(p["pitch"])))
    around = head_window(p, camera, 1.01 + thick) & camera.box(-torch.inf, torch.inf, -torch.inf, 1.02 * lowest)
    shell = meet_shell(p, camera.window(around), thick, 0.20 + 0.95 * length)
    x, y, z = shell.x, shell.y, shell.z
    below = y - _hairline(p, x, z)
    wave = 0.02 * p["hair_curl"] * torch.sin(26 * x + 18 * y)
    crown = smoothstep(-0.12, 0.08, y + 1.35 - 1.05 * p["baldness"])  # a bald head keeps its sides
    cover = edge(below + wave, 2.2 * soft) * shell.cover * crown
    parting = 0.275 * p["hair_parting"]
    across = (x - parting) / (0.30 + (1 - (y / 1.03) ** 2).clamp(min=0.02).sqrt()) * 1.1
    tone = _strands(across, y - 0.5 * z, p)
    line = ridge((x - parting) / 0.028) * smoothstep(-0.5, -0.75, y) * (1 - _parting_hidden(p))
    shown = hair_light(colour, tone * (1 - 0.45 * line), shell.normal, light, y)
    canvas.window(around).lay(cover, shown, "hair")
    return camera.view.spread(smoothstep(0.13, -0.02, below) * shell.cover, around)


def _parting_hidden(p: FaceParameters) -> Tensor:
    """How much of a fringe (n, 1, 1) hides the parting."""
    return (0.6 * p["hair_fringe"] + 0.4 * p["hair_curl"]).clamp(0, 1)


def hair_light(colour: Tensor, tone: Tensor, normal: tuple[Tensor, Tensor, Tensor], light: Light, y: Tensor) -> Tensor:
    """Light (n, 3, h, w) from strands: matt, with the bright band across them that hair shows."""
    nx, ny, nz = normal
    facing = (nx * light.x + ny * light.y + nz * light.z).add_(0.45).clamp_(min=0).div_(1.45)
    band = ridge((ny + 0.52 + 0.08 * (tone - 1)) / 0.17) * (0.4 + 0.6 * facing)
    gloss = (0.16 * band).mul_(tone).mul_(tone)
    matt = tone.clamp(min=0.25)
    shown = (colour * light.key) * facing.mul_(matt)[:, None]
    shown.addcmul_(colour * light.ambient, (0.7 - 0.3 * ny).mul_(matt)[:, None])
    return shown.addcmul_((0.10 + colour.sqrt()) * light.key, gloss[:, None])


def paint_curtain(
    canvas: Canvas, p: FaceParameters, camera: Camera, light: Light, colour: Tensor, soft: Tensor
) -> None:
    """Lays long hair that hangs behind head, neck and shoulders."""
    length = p["hair_length"]
    if not (length > _CURTAIN_FROM).any():
        return
    cx, cy, _ = camera.project(_CURTAIN)
    reach, low = p["head_width"] + 0.05 + 0.05 + (0.11 + 0.13 * p["hair_volume"]) * length, 0.2 + 1.75 * length
    around = camera.box(cx - reach, cx + reach, cy - 0.85, cy + low)
    for side in canvas.open_halves(around):
        _lay_curtain(canvas.window(side), p, camera.window(side), light, colour, soft)


def _lay_curtain(canvas: Canvas, p: FaceParameters, camera: Camera, light: Light, colour: Tensor, soft: Tensor) -> None:
    cx, cy, _ = camera.project(_CURTAIN)
    x, y, length = camera.x - cx, camera.y - cy, p["hair_length"]
    half = p["head_width"] + 0.02 + (0.06 + 0.13 * p["hair_volume"]) * length + 0.05 * smoothstep(0.0, 0.9, y) * length
    half = half + 0.03 * p["hair_curl"] * torch.sin(9 * y + 2 * torch.sign(x))
    round_top = torch.sqrt((1 - (y.clamp(max=0) / 1.05) ** 2).clamp(min=0))
    end = 0.05 + 1.75 * length + 0.03 * torch.sin(17 * x) + 0.05 * torch.sin(5 * x)
    shape = torch.maximum(torch.maximum(x.abs() - half * round_top, (y - end) * 0.7), -0.8 - y)
    tone = _strands(x * 1.1, y, p)
    nx = (x / half).clamp(-1, 1) * 0.75
    normal = (nx, torch.full_like(nx, -0.15), (1 - nx * nx).sqrt())
    depth = 0.35 + 0.65 * smoothstep(0.55, 1.0, x.abs() / half)  # darker behind the neck
    there = smoothstep(_CURTAIN_FROM, 0.24, length) * (1 - 0.6 * p["baldness"])
    canvas.lay(edge(shape, 2.5 * soft) * there, hair_light(colour, tone * depth, normal, light, y), "hair")


def beard_cover(p: FaceParameters, face: Surface) -> Tensor:
    """How much of the skin (n, h, w) beard and moustache hide."""
    grown = torch.maximum(p["beard"], p["moustache"]) > 1e-3
    if not grown.any():
        return torch.zeros_like(face.y)
    return within(below(face.y, EYE_HEIGHT), functools.partial(_beard, p), face.x, face.y) * grown


def _beard(p: FaceParameters, x: Tensor, y: Tensor) -> Tensor:
    side, mouth = x.abs(), mouth_height(p)
    line = mouth - 0.02 - 0.55 * (side - 0.28).clamp(min=0) - 1.3 * (side - 0.5).clamp(min=0)
    jaw = smoothstep(-0.03, 0.10, y - line) * smoothstep(0.15, 0.26, side + 0.9 * (y - mouth).clamp(min=0))
    chin = smoothstep(mouth + 0.09, mouth + 0.17, y) * smoothstep(0.42, 0.30, side)
    goatee = torch.maximum(jaw * smoothstep(0.15, 0.6, p["beard"]), chin)
    lip = bump(x / (0.19 + 0.02 * p["smile"]), (y - mouth + 0.095 - 0.12 * x * x) / 0.042)
    texture = 0.86 + 0.14 * torch.sin(58 * x + 3 * torch.sin(20 * y)) * torch.sin(33 * y + 9 * side)
    full = goatee * smoothstep(0.0, 0.75, p["beard"])
    return torch.maximum(full, (1.25 * lip * p["moustache"]).clamp(0, 1)) * texture * smoothstep(EYE_HEIGHT, 0.2, y)
