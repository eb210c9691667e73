"""What no training picture shows: face masks, bindis, odd glasses, eye patches, hands, hats and face paint.

Their classes in the label map: a hat is ``hat``; odd glasses and eye patches are ``eye_g``; a face mask is ``cloth``; a
hand is ``skin``. A bindi and face paint change the colour of the skin only, and no label.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .procfaces_camera import Camera, Surface
from .procfaces_canvas import Canvas
from .procfaces_extras_glasses import paint_odd_arms, paint_odd_glasses, paint_patch
from .procfaces_extras_hand import hand_shadow, paint_hand
from .procfaces_extras_paint import paint_bindi, paint_face
from .procfaces_extras_worn import hat_shadow, paint_hat, paint_mask
from .procfaces_light import Light
from .procfaces_parameters import FaceParameters

EXTRAS = ("mask", "bindi", "odd_glasses", "patch", "hand", "hat", "paint")
LOOKS = 4
"""How many numbers say what an extra looks like; each kind reads them in its own way."""


@dataclass(frozen=True)
class Extras:
    """What n faces wear.

    Attributes:
        worn: (n, len(EXTRAS)) 1 where a face wears it, else 0.
        look: (n, LOOKS) in [0, 1]: colours, shapes and sides.
    """

    worn: Tensor
    look: Tensor

    def of(self, faces: Tensor) -> Extras:
        """What some faces wear, by their numbers."""
        return Extras(self.worn[faces], self.look[faces])

    def alike(self) -> Tensor:
        """The numbers of all faces, (n,), in an order in which those that wear the same are neighbours."""
        return (self.worn @ (2.0 ** torch.arange(len(EXTRAS))).to(self.worn)).argsort(stable=True)

    def wears(self, name: str) -> Tensor | None:
        """(n, 1, 1) 1 where a face wears it; None where none does."""
        worn = self.worn[:, EXTRAS.index(name), None, None]
        return worn if bool(worn.any()) else None

    def looks(self) -> tuple[Tensor, ...]:
        """`LOOKS` tensors (n, 1, 1)."""
        return tuple(self.look[:, i, None, None] for i in range(LOOKS))


def extras_of(items: list[int], seed: int) -> Extras:
    """One extra an item, in turn, so that every kind is equally frequent; looks from a generator of the item's own."""
    worn, generator, looks = torch.zeros(len(items), len(EXTRAS)), torch.Generator(), []
    for row, item in enumerate(items):
        worn[row, item % len(EXTRAS)] = 1
        looks.append(torch.rand(LOOKS, generator=generator.manual_seed(8 * (seed * 10**9 + item) + 5)))
    return Extras(worn, torch.stack(looks))


def prepared(p: FaceParameters, extras: Extras) -> FaceParameters:
    """The faces without glasses of their own below an eye patch or odd glasses, and without a fringe over a bindi."""
    worn = extras.worn.to(p.values)
    bare = 1 - worn[:, [EXTRAS.index("patch"), EXTRAS.index("odd_glasses")]].amax(1)
    parted = 1 - worn[:, EXTRAS.index("bindi")]
    return p.replace(
        glasses=p["glasses"].flatten() * bare, hair_fringe=p["hair_fringe"].flatten() * (0.4 + 0.6 * parted)
    )


def wear_in_front(
    canvas: Canvas, p: FaceParameters, extras: Extras, camera: Camera, light: Light, soft: Tensor
) -> None:
    """Lays what hides even glasses: hand, hat, odd glasses and eye patch."""
    if (worn := extras.wears("hand")) is not None:
        paint_hand(canvas, p, worn, extras.looks(), camera, light, soft)
    if (worn := extras.wears("hat")) is not None:
        paint_hat(canvas, p, worn, extras.looks(), camera, light, soft)
    if (worn := extras.wears("odd_glasses")) is not None:
        paint_odd_glasses(canvas, p, worn, extras.looks(), camera, light, soft)
    if (worn := extras.wears("patch")) is not None:
        paint_patch(canvas, p, worn, extras.looks(), camera, light, soft)


def wear_under_hair(
    canvas: Canvas, p: FaceParameters, extras: Extras, camera: Camera, face: Surface, light: Light, soft: Tensor
) -> None:
    """Lays what is under glasses and hair and over the face: a face mask, and the arms of odd glasses."""
    if (worn := extras.wears("odd_glasses")) is not None:
        paint_odd_arms(canvas, worn, extras.looks(), face, light, soft)
    if (worn := extras.wears("mask")) is not None:
        paint_mask(canvas, p, worn, extras.looks(), camera, face, light, soft)


def shadow_of(p: FaceParameters, extras: Extras, camera: Camera, face: Surface, light: Light, shadow: Tensor) -> Tensor:
    """`shadow` (n, h, w) on the face, and what a hat or a hand throws on it."""
    if (worn := extras.wears("hat")) is not None:
        shadow = torch.maximum(shadow, worn * hat_shadow(face, light, extras.looks()))
    if (worn := extras.wears("hand")) is not None:
        shadow = torch.maximum(shadow, worn * hand_shadow(camera, light, extras.looks()))
    return shadow


def painted_skin(albedo: Tensor, p: FaceParameters, extras: Extras, face: Surface, soft: Tensor) -> Tensor:
    """Albedo (n, 3, h, w) of the skin with bindi and face paint on it."""
    if (worn := extras.wears("paint")) is not None:
        albedo = paint_face(albedo, p, worn, extras.looks(), face, soft)
    if (worn := extras.wears("bindi")) is not None:
        albedo = paint_bindi(albedo, worn, extras.looks(), face, soft)
    return albedo
