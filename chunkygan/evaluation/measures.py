"""What an evaluation measures: each measure with its network, size and pixel range; the two presets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.build import create
from chunkygan.errors import ChunkyGANError, RecipeError, WeightsError
from chunkygan.interfaces import Identity, Perceptual
from chunkygan.metrics import l2

FLOATS = "[-1, 1], as drawn"
BYTES = "[-1, 1], rounded to 8 bits"


@dataclass(frozen=True)
class Measure:
    """One number a picture, 0 where a reconstruction is perfect.

    Args:
        name: ``l2``, ``lpips_<net>`` or ``identity_<net>``; with ``_<size>`` where another size is measured.
        what: network, in words.
        size: measured size, in words.
        pixels: range of the pixels.
        source: the preset that asks for it, or who does.
        network: what has to be on the pictures' device; None for none.
        value: (reconstruction, target), each (1, 3, h, w) in [-1, 1], to (1,).
    """

    name: str
    what: str
    size: str
    pixels: str
    source: str
    network: torch.nn.Module | None
    value: Callable[[Tensor, Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, reconstruction: Tensor, target: Tensor) -> float:
        if self.network is not None:
            self.network.to(reconstruction.device)
        return float(self.value(reconstruction, target).mean())


@dataclass(frozen=True)
class Preset:
    """A set of measures that others use too.

    Args:
        perceptual: component spec.
        identity: component spec; None: identity is not measured.
        size: pixels a side to which pictures are brought before everything, as 8-bit files; None: as they are.
    """

    perceptual: dict[str, Any]
    identity: dict[str, Any] | None
    size: int | None


PRESETS = {
    "chunky": Preset({"name": "lpips", "net": "vgg"}, {"name": "arcface", "weights": "arcface_ir_se50"}, None),
    "celebahq_256_alex": Preset({"name": "lpips", "net": "alex"}, None, 256),
}
"""The paper's way, and the scale that the field shares: CelebA-HQ at 256, LPIPS-AlexNet, mean square in [-1, 1]."""


def measures_of(
    perceptual: Perceptual, identity: Identity | None, wanted: Sequence[Any], resolution: tuple[int, int]
) -> list[Measure]:
    """All measures of an evaluation: the recipe's own, then those of presets and components that it adds.

    Args:
        perceptual: of the fit; measured afterwards in any case, as is `identity`.
        wanted: names of presets, and component specs of perceptual distances.
        resolution: (height, width) of the pictures.

    Raises:
        WeightsError: weights of presets that are missing: all of them.
        RecipeError: two different measures of one name.
    """
    own = [_l2("the fit"), _perceptual(perceptual, resolution, "the fit")]
    own += [_identity(identity, resolution, "the recipe")] if identity is not None else []
    found, missing = list(own), []
    for item in wanted:
        if isinstance(item, str):
            added, problems = _preset(item, resolution)
            found += [measure for measure in added if measure.name not in {known.name for known in found}]
            missing += problems
            continue
        measure = _perceptual(create("perceptual", item), resolution, "the recipe")
        if measure.name in {known.name for known in found}:
            raise RecipeError(f"measures: {measure.name} is measured already; one name, one network")
        found.append(measure)
    if missing:
        raise WeightsError("\n".join(missing))
    for measure in found:  # what cannot be measured is said before the first fit
        measure(torch.zeros(1, 3, *resolution), torch.zeros(1, 3, *resolution))
    return found


def as_8_bits(images: Tensor) -> Tensor:
    """Images (n, 3, h, w) in [-1, 1] as a picture file would hold them: clamped, rounded to 256 levels."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def at_size(images: Tensor, size: int) -> Tensor:
    """(n, 3, size, size) of images (n, 3, h, w) in [-1, 1], in 8 bits; bilinear and antialiased as in Pillow."""
    images = as_8_bits(images)
    if tuple(images.shape[-2:]) == (size, size):
        return images
    return as_8_bits(F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False))


def _preset(name: str, resolution: tuple[int, int]) -> tuple[list[Measure], list[str]]:
    """Its measures, and what is missing for them."""
    preset, source, problems = PRESETS[name], f"preset {name}", []
    found = [_l2(source)]
    for kind, spec in (("perceptual", preset.perceptual), ("identity", preset.identity)):
        if spec is None:
            continue
        try:
            made = create(kind, spec)
        except ChunkyGANError as error:
            problems.append(f"measures: {name}: {error}")
            continue
        describe = _perceptual if kind == "perceptual" else _identity
        found.append(describe(made, resolution, source))
    return [_resized(m, preset.size) for m in found] if preset.size is not None else found, problems


def _resized(measure: Measure, size: int) -> Measure:
    """The measure on pictures that are brought to a size first; its name always says so."""
    return Measure(
        f"{measure.name}_{size}", measure.what, f"{size} x {size}, resized first", BYTES, measure.source,
        measure.network, lambda a, b: measure.value(at_size(a, size), at_size(b, size)),
    )  # fmt: skip


def _l2(source: str) -> Measure:
    return Measure("l2", "mean squared difference", "as drawn", FLOATS, source, None, l2)


def _perceptual(network: Perceptual, resolution: tuple[int, int], source: str) -> Measure:
    resize: int | None = getattr(network, "resize", None)  # `lpips` has it
    reduced = resize if resize is not None and resize < max(resolution) else None
    name = network.name if reduced is None else f"{network.name}_{reduced}"
    size = "as drawn" if reduced is None else f"longer side {reduced}"
    what = f"{type(network).__name__}, {network.name.partition('_')[2] or network.name}"
    return Measure(name, what, size, FLOATS, source, network, network)


def _identity(network: Identity, resolution: tuple[int, int], source: str) -> Measure:
    what = f"{type(network).__name__}, 1 - cosine"
    return Measure(network.name, what, "the network's own crop", FLOATS, source, network, network)
