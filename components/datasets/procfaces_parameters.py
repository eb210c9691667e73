"""What a drawn face is made of: named continuous parameters, their ranges and their prior.

Every parameter is a smooth function of independent standard normals, so that a generator whose
latents are Gaussian can learn the picture as a smooth function of its latents. What is discrete in
people (glasses, a beard, a bald head) is a soft threshold of a normal: present on one side, absent
on the other, and a thin frame, stubble or a high hairline on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .procfaces_colour import smoothstep

# name: (low, high, whether it belongs to the person rather than to the shot). Lengths are in head
# units (half the height of the skull is 1), angles in radians, the rest on scales from 0 or -1 to 1.
RANGES: dict[str, tuple[float, float, bool]] = {
    "gender": (-1.0, 1.0, True),  # presentation: -1 feminine, 1 masculine
    "age": (18.0, 80.0, True),  # years
    "skin_tone": (0.0, 1.0, True),  # light to dark
    "skin_warmth": (-1.0, 1.0, True),
    "freckles": (0.0, 1.0, True),
    "head_width": (0.64, 0.74, True),
    "jaw_taper": (0.10, 0.38, True),  # 0 square, larger is more pointed
    "chin_length": (1.00, 1.12, True),
    "cheeks": (0.0, 1.0, True),
    "ear_size": (0.85, 1.15, True),
    "eye_size": (0.95, 1.20, True),
    "eye_spacing": (0.275, 0.325, True),
    "eye_tilt": (-0.13, 0.13, True),
    "eye_colour": (0.0, 1.0, True),  # brown, green, blue
    "brow_thickness": (0.018, 0.044, True),
    "brow_arch": (0.0, 1.0, True),
    "nose_width": (0.8, 1.25, True),
    "nose_length": (0.36, 0.45, True),
    "mouth_width": (0.205, 0.27, True),
    "lip_fullness": (0.6, 1.35, True),
    "hair_shade": (0.0, 1.0, True),  # black, brown, blond
    "hair_red": (0.0, 1.0, True),
    "hair_grey": (0.0, 1.0, True),
    "hair_length": (0.0, 1.0, True),  # cropped to below the shoulders
    "hair_volume": (0.0, 1.0, True),
    "hair_fringe": (0.0, 1.0, True),  # swept back to a full fringe
    "hair_parting": (-1.0, 1.0, True),  # picture left to right
    "hair_curl": (0.0, 1.0, True),
    "baldness": (0.0, 1.0, True),
    "wrinkles": (0.0, 1.0, True),
    "beard": (0.0, 1.0, True),  # none, stubble, full
    "moustache": (0.0, 1.0, True),
    "make_up": (0.0, 1.0, False),
    "glasses": (0.0, 1.0, False),
    "glasses_shape": (0.0, 1.0, False),  # round to rectangular
    "smile": (-0.3, 1.0, False),
    "mouth_open": (0.0, 1.0, False),
    "eye_open": (0.80, 1.20, False),
    "brow_raise": (-1.0, 1.0, False),
    "gaze": (-1.0, 1.0, False),  # picture left to right, about the camera
    "yaw": (-0.50, 0.50, False),  # positive turns the face to the picture's right
    "pitch": (-0.22, 0.22, False),  # positive looks up
    "roll": (-0.10, 0.10, False),  # what the alignment leaves over
    "light_x": (-1.0, 1.0, False),  # key light from the picture's left (-1) or right (1)
    "light_y": (0.05, 0.9, False),  # level with the face to above it
    "light_warmth": (-1.0, 1.0, False),
    "background_hue": (0.0, 1.0, False),
    "background_light": (0.0, 1.0, False),
    "clutter": (-1.0, 1.0, False),
    "cloth_hue": (0.0, 1.0, False),
    "cloth_light": (0.0, 1.0, False),
    "earrings": (0.0, 1.0, False),  # exactly 0 in most faces, then small to large ones
    "earring_shape": (0.0, 1.0, False),  # stud, hoop, drop
    "earring_metal": (0.0, 1.0, False),  # silver to gold; the stone of a drop has the hue of the clothes
}
NAMES = tuple(RANGES)
COUNT = len(NAMES)
FIRST_COUNT = 51
"""How many of them there were before earrings: what comes later must leave their bits as they are."""
IDENTITY_NAMES = tuple(name for name, (_, _, person) in RANGES.items() if person)
ATTRIBUTE_NAMES = (
    "gender", "smile", "age", "beard", "glasses", "yaw", "pitch", "gaze", "mouth_open",
    "hair_length", "hair_shade", "hair_red", "hair_grey", "light_x", "light_y",
)  # fmt: skip
HUE_NAMES = ("background_hue", "cloth_hue")  # 0 and 1 are the same
_INDEX = {name: i for i, name in enumerate(NAMES)}


@dataclass(frozen=True)
class FaceParameters:
    """A batch of faces: `values` is (n, COUNT), columns in the order of `NAMES`."""

    values: Tensor

    def __getitem__(self, name: str) -> Tensor:
        """The parameter of that name as (n, 1, 1), ready to broadcast over pictures."""
        return self.values.narrow(1, _INDEX[name], 1)[..., None]

    def __len__(self) -> int:
        return self.values.shape[0]

    def attributes(self) -> Tensor:
        """(n, len(ATTRIBUTE_NAMES)), in the units of `RANGES`."""
        return self.values[:, [_INDEX[name] for name in ATTRIBUTE_NAMES]]

    def identity(self) -> Tensor:
        """(n, len(IDENTITY_NAMES)): what stays the same in another shot of the person, scaled to [-1, 1]."""
        return self.scaled()[:, [_INDEX[name] for name in IDENTITY_NAMES]]

    def scaled(self) -> Tensor:
        """(n, COUNT), from -1 to 1 over `RANGES`."""
        low, high = (self.values.new_tensor([ends[i] for ends in RANGES.values()]) for i in (0, 1))
        return (self.values - low) / (high - low) * 2 - 1

    def replace(self, **changes: float | Tensor) -> FaceParameters:
        """The same faces with the named parameters set; a number holds for all of them."""
        values = self.values.clone()
        for name, value in changes.items():
            values[:, _INDEX[name]] = torch.as_tensor(value, dtype=values.dtype, device=values.device)
        return FaceParameters(values)


def _even(g: Tensor) -> Tensor:
    """Normal to uniform on [0, 1]."""
    return 0.5 * (1 + torch.erf(g / math.sqrt(2)))


def _bell(g: Tensor) -> Tensor:
    """Normal to a bell on [0, 1] that is centred at 0.5 and seldom near an end."""
    return 0.5 + 0.5 * torch.tanh(0.55 * g)


def _gate(g: Tensor, threshold: float, sharpness: float) -> Tensor:
    """Normal to a soft 0 or 1."""
    return torch.sigmoid(sharpness * (g - threshold))


def parameters_from_normal(u: Tensor) -> FaceParameters:
    """The prior: faces for standard normals, smooth in them.

    Args:
        u: (n, k) with k >= COUNT; column i drives parameter i of `NAMES`, further columns nothing.

    Returns:
        Faces whose parameters lie within `RANGES`, with these correlations: age with grey hair,
        wrinkles, baldness and glasses; presentation with jaw, brows, beard, hair length, lips and
        make-up; skin tone with hair shade, eye colour and freckles; smile with an open mouth; earrings with
        presentation and make-up.
    """
    g = {name: u[:, i] for i, name in enumerate(NAMES)}
    unit = {name: _bell(g[name]) for name in NAMES}  # each overwritten below where it differs
    masculine = torch.tanh(1.8 * g["gender"])
    unit["gender"] = 0.5 + 0.5 * masculine
    unit["age"] = _even(0.85 * g["age"] - 0.25)
    _draw_head(g, unit, masculine)
    _draw_hair(g, unit, masculine)
    _draw_shot(g, unit, masculine)
    _draw_earrings(g, unit, masculine)
    low = u.new_tensor([RANGES[name][0] for name in NAMES])
    high = u.new_tensor([RANGES[name][1] for name in NAMES])
    return FaceParameters(low + (high - low) * torch.stack([unit[name] for name in NAMES], dim=1))


def _draw_head(g: dict[str, Tensor], unit: dict[str, Tensor], masculine: Tensor) -> None:
    unit["skin_tone"] = _even(0.9 * g["skin_tone"] - 0.35)
    unit["freckles"] = _gate(g["freckles"] - 1.2 * unit["skin_tone"], 0.7, 3.0)
    unit["jaw_taper"] = _bell(0.85 * g["jaw_taper"] - 0.7 * masculine)
    unit["chin_length"] = _bell(0.85 * g["chin_length"] + 0.5 * masculine)
    unit["eye_colour"] = _even(0.9 * g["eye_colour"] - 1.6 * unit["skin_tone"] + 0.4)
    unit["eye_size"] = _bell(0.9 * g["eye_size"] - 0.4 * masculine)
    unit["brow_thickness"] = _bell(0.8 * g["brow_thickness"] + 0.8 * masculine)
    unit["brow_arch"] = _bell(0.8 * g["brow_arch"] - 0.7 * masculine)
    unit["lip_fullness"] = _bell(0.9 * g["lip_fullness"] - 0.6 * masculine)
    unit["wrinkles"] = _gate(unit["age"] * 2 + 0.3 * g["wrinkles"], 1.15, 3.5)


def _draw_hair(g: dict[str, Tensor], unit: dict[str, Tensor], masculine: Tensor) -> None:
    unit["hair_shade"] = _even(g["hair_shade"] - 1.3 * unit["skin_tone"] + 0.4)
    unit["hair_red"] = _gate(g["hair_red"], 0.9, 2.5)
    unit["hair_grey"] = _gate(2 * unit["age"] + 0.45 * g["hair_grey"], 1.4, 6.0)
    unit["hair_length"] = _even(0.7 * g["hair_length"] - 1.1 * masculine)
    unit["hair_volume"] = _even(g["hair_volume"])
    unit["hair_fringe"] = _even(g["hair_fringe"] - 0.3 * masculine)
    unit["hair_parting"] = _even(g["hair_parting"])
    unit["hair_curl"] = _even(g["hair_curl"] - 0.3)
    old_man = 0.8 * masculine + 1.2 * (unit["age"] - 0.4)
    unit["baldness"] = _gate(0.7 * g["baldness"] + old_man, 1.55, 4.0)
    unit["beard"] = _gate(0.8 * g["beard"] + masculine, 1.25, 3.5)
    unit["moustache"] = _gate(0.7 * g["moustache"] + masculine + 0.8 * unit["beard"], 1.7, 3.5)


def _draw_shot(g: dict[str, Tensor], unit: dict[str, Tensor], masculine: Tensor) -> None:
    unit["make_up"] = _gate(g["make_up"] - 1.2 * masculine, 0.6, 2.0)
    unit["glasses"] = _gate(g["glasses"] + 0.5 * (unit["age"] - 0.4), 0.65, 9.0)
    unit["glasses_shape"] = _even(g["glasses_shape"])
    unit["smile"] = _even(0.9 * g["smile"] + 0.5)
    unit["mouth_open"] = _gate(0.8 * g["mouth_open"] + 0.8 * (unit["smile"] - 0.4), 0.55, 2.5)
    for name in ("light_x", "background_hue", "background_light", "clutter", "cloth_hue", "cloth_light"):
        unit[name] = _even(g[name])


def _draw_earrings(g: dict[str, Tensor], unit: dict[str, Tensor], masculine: Tensor) -> None:
    wish = 0.8 * g["earrings"] - 0.7 * masculine + 0.5 * unit["make_up"]
    unit["earrings"] = smoothstep(1.0, 2.0, wish)
    unit["earring_shape"] = _even(0.9 * g["earring_shape"] - 0.4 * masculine)
    unit["earring_metal"] = _even(g["earring_metal"])
