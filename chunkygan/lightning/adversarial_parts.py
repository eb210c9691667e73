"""The parts of an adversarial training: its generator, its pictures' size, and what holds it to a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chunkygan.build import create
from chunkygan.errors import ComponentError
from chunkygan.interfaces import Generator
from chunkygan.lightning.adversarial_anchor import Anchor


def first_generator(start: str | None, options: Mapping[str, Any], resolution: tuple[int, int]) -> Generator:
    """The generator that training begins with, free to change.

    Raises:
        ComponentError: its pictures are of another size than the data set's, or it takes classes.
    """
    origin: dict[str, Any] = {"weights": start} if start else {"resolution": resolution[0]}
    spec = {"name": "stylegan2", **origin, **options}
    generator: Generator = create("generator", spec).requires_grad_(True).train()
    if generator.resolution != resolution:
        raise ComponentError(
            f"the generator draws {generator.resolution} pixels, the data set has {resolution}; "
            "change dataset.resolution or training.generator"
        )
    if generator.c_dim:
        raise ComponentError(f"training.start: the generator takes {generator.c_dim} classes; data sets here have none")
    return generator


def anchor_of(
    dataset: Any,
    generator: Generator,
    pixels: float,
    features: float,
    size: int | None,
    perceptual: Mapping[str, Any] | None,
) -> Anchor | None:
    """What keeps drawn pictures near their latents' own; None where neither weight asks for it.

    Raises:
        ComponentError: the data set knows no latents, or those of another width, or there is no network for features.
    """
    if not pixels and not features:
        return None
    width = getattr(dataset, "z_dim", None)
    if width != generator.z_dim:
        known = "no pictures of latents" if width is None else f"latents of {width} numbers"
        raise ComponentError(
            f"training.anchor_pixels, training.anchor_features: the generator takes latents of {generator.z_dim} "
            f"numbers, and the data set knows {known}; both must be 0 here"
        )
    if features and perceptual is None:
        raise ComponentError("training.anchor_features: there is no perceptual network to compare features with")
    comparing = create("perceptual", dict(perceptual)) if perceptual else None
    return Anchor(dataset.classes, pixels, features, comparing, size)


def resolution_of(dataset: Any) -> tuple[int, int]:
    """(height, width) of a data set's pictures."""
    size = dataset.resolution
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def reduced(resolution: tuple[int, int], size: int | None) -> tuple[int, int]:
    """(height, width) of the pictures that are judged.

    Raises:
        ComponentError: no halving of the full picture has a longer side of `size`.
    """
    longer = max(resolution)
    halvings = {longer >> k: k for k in range(longer.bit_length()) if min(resolution) >> k >= 8}
    if size is not None and size not in halvings:
        raise ComponentError(f"training.size must be one of {', '.join(map(str, halvings))} here; got {size}")
    k = halvings[size or longer]
    return resolution[0] >> k, resolution[1] >> k
