"""From parameters to pictures: lays every part front to back, then averages the supersampling away."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .procfaces_camera import Camera
from .procfaces_canvas import Canvas
from .procfaces_colour import mix, to_display
from .procfaces_earrings import paint_earrings
from .procfaces_extras import Extras, painted_skin, shadow_of, wear_in_front, wear_under_hair
from .procfaces_features import paint_brows, paint_eyes, paint_mouth, paint_nose
from .procfaces_geometry import EYE_HEIGHT, aligned_camera, head_window, meet_head, mouth_height
from .procfaces_hair import beard_cover, hair_colour, paint_cap, paint_curtain
from .procfaces_light import Light, face_albedo, face_shade, light_of, lit, shine
from .procfaces_parameters import FaceParameters
from .procfaces_scene import paint_background, paint_ears, paint_glasses, paint_neck
from .procfaces_window import Window

_AT_ONCE = 2**17  # samples a pass: its layers then stay in the processor's cache, and its windows are narrow


# Where parts are, and draw nothing outside. On the head: how far left and right, and from which height to which.
_BROWS, _EYES, _NOSE = (0.60, -0.36, EYE_HEIGHT), (0.68, -0.23, 0.19), (0.24, 0.0, 0.55)
_MOUTH = (0.35, 0.27)  # how far left and right, and above and below the line between the lips
_GLASSES = (0.32, 0.70, 0.0, 1.0)  # top, bottom, left and right, as shares of the picture


@dataclass(frozen=True)
class Rendering:
    """Pictures with the truth about them.

    Attributes:
        image: (n, 3, h, w) in [-1, 1].
        labels: (n, h, w) int64, index into `CLASSES` of the largest share.
        masks: (n, 19, h, w) shares of `CLASSES`, summing to 1 at every pixel.
        attributes: (n, a), columns `ATTRIBUTE_NAMES`, in the units of `RANGES`.
        identity: (n, d) in [-1, 1], columns `IDENTITY_NAMES`: equal in every shot of one person.
    """

    image: Tensor
    labels: Tensor
    masks: Tensor
    attributes: Tensor
    identity: Tensor


@torch.no_grad()
def render(
    p: FaceParameters, resolution: int = 128, *, supersampling: int = 2, extras: Extras | None = None
) -> Rendering:
    """Draws faces.

    Args:
        p: n faces; the device of their values draws.
        resolution: pixels a side.
        supersampling: samples per pixel and side, averaged.
        extras: what the faces wear besides, n rows; None: nothing.
    """
    samples = (resolution * supersampling) ** 2
    at_once = max(1, _AT_ONCE // samples) if p.values.device.type == "cpu" else 256
    order = torch.arange(len(p)) if extras is None else extras.alike()  # a pass draws an extra for all of its faces
    passes = [
        _draw(FaceParameters(p.values[part]), resolution, supersampling, extras and extras.of(part))
        for part in order.split(at_once)
    ]
    image, masks = (torch.cat(parts) for parts in zip(*passes))
    if extras is not None:
        image, masks = (drawn[order.argsort()] for drawn in (image, masks))
    labels = masks.max(dim=1).indices  # argmax of PyTorch takes four times as long
    return Rendering(image, labels, masks, p.attributes(), p.identity())


def _draw(p: FaceParameters, resolution: int, supersampling: int, extras: Extras | None) -> tuple[Tensor, Tensor]:
    camera, light = aligned_camera(p, resolution, supersampling), light_of(p)
    canvas = Canvas.blank(camera.x, supersampling)
    soft = 1.3 * camera.fine
    hair = hair_colour(p)
    if extras is not None:
        wear_in_front(canvas, p, extras, camera, light, soft)
    _draw_head(canvas, p, camera, light, hair, soft, extras)
    paint_earrings(canvas, p, camera, light, soft)
    paint_ears(canvas, p, camera, light, soft)
    paint_neck(canvas, p, camera, light, soft)
    paint_curtain(canvas, p, camera, light, hair, soft)  # behind the neck
    picture = canvas.averaged()
    paint_background(picture, p, light, supersampling)  # has no edges that more samples would soften
    return to_display(picture.light), picture.masks


def _draw_head(
    canvas: Canvas, p: FaceParameters, camera: Camera, light: Light, hair: Tensor, soft: Tensor, extras: Extras | None
) -> None:
    """Lays glasses, hair on the skull, the features and the skin."""
    around = head_window(p, camera)
    rays = camera.window(around)
    face = meet_head(p, rays)
    brows, eyes, nose = (face.box(*place, camera.per_pixel) for place in (_BROWS, _EYES, _NOSE))
    reach, high = _MOUTH
    mouth = face.box(reach, mouth_height(p) - high, mouth_height(p) + high, camera.per_pixel)
    glasses = Window.of_shares(camera.x, camera.per_pixel, _GLASSES)
    paint_glasses(canvas.window(glasses), p, camera.window(glasses), face, light, soft)
    shadow = around.of(paint_cap(canvas, p, camera, light, hair, soft), camera.view)
    if extras is not None:
        wear_under_hair(canvas, p, extras, camera, face, light, soft)
        shadow = shadow_of(p, extras, rays, face, light, shadow)
    received = lit(light, face.normal).mul_((face_shade(p, face, light) * (1 - 0.42 * shadow))[:, None])
    gloss = shine(light, face.normal, 22.0) * (1 - shadow)
    paint_brows(canvas.window(brows), p, face.window(brows), brows.of(received, around), hair, soft)
    paint_eyes(canvas.window(eyes), p, face.window(eyes), light, eyes.of(received, around), soft)
    shine_there = mouth.of(gloss, around)
    paint_mouth(canvas.window(mouth), p, face.window(mouth), mouth.of(received, around), shine_there, soft)
    beard = beard_cover(p, face)
    albedo = mix(face_albedo(p, face), 0.75 * hair + 0.01, 0.93 * beard[:, None])
    if extras is not None:
        albedo = painted_skin(albedo, p, extras, face, soft)
    skin = (albedo * received).addcmul_((0.10 * gloss * (1 - beard))[:, None], light.key)
    paint_nose(canvas.window(nose), p, face.window(nose), nose.of(skin, around), nose.of(received, around), soft)
    canvas.window(around).lay(face.cover, skin, "skin")
