"""The values that parts hand to each other: frozen, no behaviour of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union

from torch import Tensor

NoiseMode = Literal["const", "none", "random"]
Noise = Union[NoiseMode, Sequence[Tensor]]
"""How a generator's noise inputs are filled: its stored maps, zeros, fresh Gaussian maps, or given maps, one a
convolution in forward order, each ``(h, w)`` or ``(n, 1, h, w)``."""

Spec = Mapping[str, Any]
"""A component as recipes name it: ``{"name": ..., argument: value}``, values as JSON has them."""

Styles = list[Tensor]
"""S space: the raw outputs of all affine layers in forward order, toRGB included; each ``(n, c_k)``."""


@dataclass(frozen=True)
class Window:
    """A rectangle of an image in pixels: rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices: ``image[..., *window.slices]`` is the rectangle."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Feature:
    """A feature tensor that replaces, or is added to, the features a generator has after one convolution.

    Args:
        layer: index of the convolution in forward order (0 is the first; toRGB layers are not counted).
        value: ``(n, c, h, w)`` at that layer's own resolution.
        mode: ``"replace"`` or ``"add"``.
    """

    layer: int
    value: Tensor
    mode: Literal["replace", "add"] = "add"


Point = tuple[float, float]
"""(x to the right, y down) in pixels; whole numbers are the centres of pixels."""


@dataclass(frozen=True)
class Face:
    """One face of a photo.

    Args:
        landmarks: 68 of the iBUG scheme, or 5: the eye on the left of the picture, the other one, the nose's tip, the
            corners of the mouth.
        score: how sure its finder is; comparable within one photo.
    """

    landmarks: tuple[Point, ...]
    score: float = 1.0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the landmarks."""
        x, y = zip(*self.landmarks)
        return min(x), min(y), max(x), max(y)

    @property
    def centre(self) -> Point:
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def area(self) -> float:
        """Of `box`, in pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


@dataclass(frozen=True)
class Segments:
    """The chunks of one image: soft masks and what stays untouched.

    Args:
        masks: ``(n_chunks, h, w)`` in [0, 1], summing to 1 at every pixel (S_i of Eq. 1).
        names: one name a chunk.
        static: ``(h, w)`` in [0, 1], where the image itself is kept (S_X of Eq. 3); None for nowhere.
    """

    masks: Tensor
    names: tuple[str, ...]
    static: Tensor | None = None


@dataclass(frozen=True)
class Codes:
    """One latent code a chunk, each in a space of its own.

    Args:
        values: one tensor a chunk, ``code_shape`` of its space, without a batch dimension.
        spaces: component spec of each chunk's latent space.
    """

    values: tuple[Tensor, ...]
    spaces: tuple[Spec, ...]


@dataclass(frozen=True)
class Step:
    """What an inverter tells its listeners after a step.

    Args:
        step: steps done so far, 1 after the first.
        steps: steps asked for.
        losses: the terms of the objective and their weighted sum ``total``, as floats.
        preview: draws the current composite, ``(1, 3, h, w)``, when called; costs one synthesis.
        stop: ends the fit after this step when called.
        segments: gives the chunks as they are now, when called.
    """

    step: int
    steps: int
    losses: dict[str, float]
    preview: Callable[[], Tensor]
    stop: Callable[[], None]
    segments: Callable[[], Segments]


Listener = Callable[[Step], None]


@dataclass(frozen=True, eq=False)
class WeightChanges:
    """What a tuned generator's weights differ by from its own; `chunkygan.weight_changes` makes and reads it.

    Args:
        parts: ``<name>.whole``, or the factors ``<name>.left`` and ``<name>.right``, float16, of each changed weight.
        error: what the parts miss of the difference, relative to it (root of sums of squares).
    """

    parts: Mapping[str, Tensor]
    error: float


@dataclass(frozen=True)
class Fit:
    """What an inverter found for one image.

    Args:
        codes: the chunks' codes.
        segments: the chunks, masks moved by the fit where their generator allows it.
        noise: fitted noise maps, one a convolution; None where the generator's own are used.
        mask_state: tensors of the mask generator (its latent code, for one), for continuing or editing.
        history: one dict of losses a step.
        steps: steps that were done.
        weight_changes: of the generator, where it was tuned; None: it was not.
        areas: chunk -> its share of the picture before and after, where masks could move.
    """

    codes: Codes
    segments: Segments
    noise: tuple[Tensor, ...] | None = None
    mask_state: dict[str, Tensor] = field(default_factory=dict)
    history: tuple[dict[str, float], ...] = ()
    steps: int = 0
    weight_changes: WeightChanges | None = None
    areas: dict[str, tuple[float, float]] = field(default_factory=dict)
