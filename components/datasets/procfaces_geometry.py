"""The head as a surface: rotated, seen by an aligned camera, met by one ray for every pixel."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from .procfaces_camera import Camera, Surface, turned
from .procfaces_colour import bump, edge, power, ridge, smoothstep
from .procfaces_parameters import FaceParameters
from .procfaces_window import Window, below, within

DEPTH = 0.80  # half the depth of the skull, in head units
EYE_HEIGHT = 0.02
_EYES_IN_PICTURE = -0.01  # of the picture's height, from its middle: where FFHQ's alignment puts them
_EYES_TO_MOUTH = 0.222  # of the picture's height
_INSET_AT = 128  # from this resolution on a head keeps its size; a smaller picture's coarse rays need a wider rim
_CHEEKS = 0.03  # how far, in head units, they stand out of the smooth head's outline
_SMOOTH = -0.25  # above this height nothing stands out of it


def mouth_height(p: FaceParameters) -> Tensor:
    """Height (n, 1, 1) of the line between the lips."""
    return EYE_HEIGHT + p["nose_length"] + 0.20


def rotation_of(p: FaceParameters) -> Tensor:
    """(n, 3, 3) from head to camera axes: pitch, then yaw. Roll is the camera's, see `aligned_camera`."""
    yaw, pitch = p["yaw"].flatten(), p["pitch"].flatten()
    cy, sy, cp, sp = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
    rows = [cy, sy * sp, sy * cp, torch.zeros_like(cy), cp, -sp, -sy, cy * sp, cy * cp]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def aligned_camera(p: FaceParameters, resolution: int, supersampling: int) -> Camera:
    """The camera that FFHQ's alignment would choose, from the face's true landmarks.

    The midpoint of the eyes and the middle of the mouth land on fixed points of the picture, which
    fixes shift, scale and roll; `roll` turns the picture by the little that a landmark detector
    leaves over. So a generator finds eyes and mouths always in the same place.

    Args:
        p: n faces.
        resolution: pixels a side of the finished picture.
        supersampling: rays per pixel and side.
    """
    rotation, size = rotation_of(p), resolution * supersampling
    mouth, zero = mouth_height(p), torch.zeros_like(p["yaw"])
    ex, ey, _ = turned(rotation, (zero, EYE_HEIGHT, _front(p, EYE_HEIGHT + zero, p["eye_spacing"])))
    mx, my, _ = turned(rotation, (zero, mouth, _front(p, mouth, zero)))
    down_x, down_y = mx - ex, my - ey
    scale = torch.sqrt(down_x**2 + down_y**2)
    down_x, down_y = down_x / scale, down_y / scale
    span = scale / _EYES_TO_MOUTH  # head units across the picture
    ticks = (torch.arange(size, dtype=zero.dtype, device=zero.device) + 0.5) / size - 0.5
    u, v = ticks[None, None, :], ticks[None, :, None]
    c, s = p["roll"].cos(), p["roll"].sin()
    cos, sin = span * (c * down_y - s * down_x), span * (s * down_y + c * down_x)
    high = span * _EYES_IN_PICTURE
    columns = _with_base(rotation, cos * u, -sin * u)
    rows = _with_base(rotation, ex - high * down_x + sin * v, ey - high * down_y + cos * v)
    inset, view = 1.25 * span / min(resolution, _INSET_AT), Window(0, size, 0, size)
    return Camera(rotation, columns, rows, span / size, 0.5 * span / resolution, inset, supersampling, view)


def _with_base(rotation: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(n, 5, ...): camera coordinates x and y, and the head coordinates of points there at depth 0."""
    turned = rotation[:, :2].transpose(1, 2) @ torch.stack([x, y], 1).flatten(2)
    return torch.cat([torch.stack([x, y], 1), turned.reshape(-1, 3, *x.shape[1:])], 1)


def head_window(
    p: FaceParameters, camera: Camera, grow: float | Tensor = 1.0, *, margin: float = _CHEEKS
) -> Window:
    """The window of the heads, grown at the crown by a factor (n, 1, 1): of the boxes round their ellipsoids.

    Args:
        margin: what stands out of them, in head units.
    """
    r = camera.rotation[:, :, :, None, None]
    x = torch.hypot(p["head_width"] * grow * r[:, 0, 0], DEPTH * grow * r[:, 0, 2])
    up, down = (torch.hypot(high * r[:, 1, 1], DEPTH * grow * r[:, 1, 2]) for high in (1.02 * grow, p["chin_length"]))
    return camera.box(-x - margin, x + margin, -up - margin, down + margin)


def _front(p: FaceParameters, y: Tensor, x: Tensor) -> Tensor:
    """z of the smooth head (without nose and so on) at x, y on its front."""
    width, taken = _profile(p, y)
    return DEPTH * (1 - taken - (x / width) ** 2).clamp(min=0.01).sqrt()


def _profile(p: FaceParameters, y: Tensor) -> tuple[Tensor, Tensor]:
    """Half-width of the head at height y, and what its height takes of the ellipsoid's equation."""
    low = (y / p["chin_length"]).clamp_(min=0)
    high = (y * (-1 / 1.02)).clamp_(min=0)
    width = power(low.clamp(max=1.0), 1.6).mul_(-p["jaw_taper"]).add_(1).addcmul_(high, high, value=-0.03)
    return width.mul_(p["head_width"]), low.sqrt().mul_(low).mul_(low).add_(power(high, 2.6))


def _relief(p: FaceParameters, x: Tensor, y: Tensor) -> Tensor:
    """How far (n, h, w) the features stand out of the smooth head, towards the front."""
    return within(below(y, _SMOOTH), functools.partial(_features, p), x, y)


def _features(p: FaceParameters, x: Tensor, y: Tensor) -> Tensor:
    side = x.abs()
    base = EYE_HEIGHT + p["nose_length"]
    width = p["nose_width"]
    down = smoothstep(EYE_HEIGHT - 0.12, base - 0.03, y)
    bridge = ridge(x / (width * (0.055 + 0.05 * down)))
    out = bridge * (0.03 + 0.17 * down) * smoothstep(base + 0.07, base - 0.04, y) * smoothstep(_SMOOTH, -0.05, y)
    out = out + 0.055 * bump((side - 0.095 * width) / 0.055, (y - base + 0.01) / 0.05)
    out = out - 0.075 * bump((side - p["eye_spacing"] + 0.02) / 0.19, (y - EYE_HEIGHT) / 0.13)
    out = out + 0.055 * bump((side - p["eye_spacing"]) / 0.12, (y - EYE_HEIGHT) / 0.09)
    cheek = 0.02 + 0.05 * p["cheeks"] + 0.04 * p["smile"]
    out = out + cheek * bump((side - 0.37) / 0.20, (y - 0.30) / 0.17)
    out = out + 0.05 * bump(x / 0.24, (y - mouth_height(p)) / 0.13)
    return out + 0.06 * bump(x / 0.17, (y - p["chin_length"] + 0.15) / 0.12)


Relief = Callable[[FaceParameters, Tensor, Tensor], Tensor]
"""(face, x, y) -> how far (n, h, w) a surface stands out of the smooth head."""


def meet_head(p: FaceParameters, camera: Camera, *, steps: int = 4, relief_of: Relief = _relief) -> Surface:
    """Where the rays meet the head, or what fits over it: an ellipsoid whose width follows the height, plus a relief.

    The ray meets an ellipsoid in closed form; what depends on the point itself (width at its height,
    relief) is taken from the last estimate, which settles in a few steps as it changes slowly.
    """
    depth = torch.full_like(camera.x, 0.7)
    relief = torch.zeros_like(depth)
    for step in range(steps):
        y = camera.along(1, depth)
        new = relief_of(p, camera.along(0, depth), y) if step else relief
        relief = new if step < 2 else 0.5 * (relief + new)
        depth, inside = _meet_ellipsoid(p, camera, y, relief, 1.0)
    x, y, z = camera.to_head(depth)
    return Surface(x, y, z, _cover(inside, camera), normals(depth, camera.sample), camera.view)


def meet_shell(p: FaceParameters, camera: Camera, thick: Tensor, ends: Tensor) -> Surface:
    """Where the rays meet what hair is painted on: the smooth head, grown.

    Args:
        thick: (n, 1, 1) how much larger than the head it is at the crown.
        ends: (n, 1, 1) height at which it has come down to the skin.

    Returns:
        The surface, its points shrunk back onto the head.
    """
    depth = torch.full_like(camera.x, 0.6)
    for _ in range(3):
        y = camera.along(1, depth)
        grow = 1.01 + thick * smoothstep(ends, ends - 0.85, y)
        depth, inside = _meet_ellipsoid(p, camera, y / grow, 0.0, grow)
    x, y, z = camera.to_head(depth)
    normal = normals(depth, camera.sample)
    return Surface(x / grow, y / grow, z / grow, _cover(inside, camera), normal, camera.view)


def _meet_ellipsoid(
    p: FaceParameters, camera: Camera, y: Tensor, relief: float | Tensor, grow: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Depth (n, h, w) of the front crossing and the discriminant, positive where there is one.

    Args:
        y: height on the head, before it grew.
    """
    width, taken = _profile(p, y)
    x0, _, z0 = camera.base
    deep, r = DEPTH * grow, camera.rotation[:, 2, :, None, None]
    ax, az, z0 = r[:, 0], r[:, 2] / deep, (z0 - relief) / deep
    flat = width.mul_(grow).square_().reciprocal_()
    a, b = flat * (ax * ax) + az * az, x0 * flat
    c = (b * x0).addcmul_(z0, z0).add_(taken).sub_(1)
    b = b.mul_(ax).add_(z0.mul_(az))
    inside = (b * b).addcmul_(a, c, value=-1)
    return inside.clamp(min=1e-4).sqrt_().sub_(b).div_(a), inside


def _cover(inside: Tensor, camera: Camera) -> Tensor:
    """Soft coverage from a field that is positive inside: its value over its slope is a distance."""
    dy, dx = torch.gradient(inside, dim=(1, 2))
    slope = torch.sqrt(dx * dx + dy * dy + 1e-8) / camera.sample
    return edge(camera.inset - inside / slope, 1.2 * camera.fine)


def normals(depth: Tensor, sample: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit normals (x, y, z) of a depth map (n, h, w), by differences of samples that far apart."""
    dy, dx = torch.gradient(depth, dim=(1, 2))
    dx, dy = (dx / sample).clamp(-6, 6), (dy / sample).clamp(-6, 6)
    length = torch.rsqrt(1 + dx * dx + dy * dy)
    return -dx * length, -dy * length, length
