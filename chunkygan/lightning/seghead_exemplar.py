"""One annotated picture: of a folder of annotations, or a picture with a label map, which is projected first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan import signatures
from chunkygan.annotating.labels import read_classes, read_labels
from chunkygan.build import create
from chunkygan.domain import LabelClass
from chunkygan.errors import ImageError, RecipeError
from chunkygan.images import fit_to, read_image
from chunkygan.interfaces import Generator
from chunkygan.lightning.seghead_folder import annotations_for
from chunkygan.lightning.seghead_samples import Labelled, label_samples


@dataclass(frozen=True)
class Exemplar:
    """One labelled picture of a generator.

    Args:
        picture: one.
        classes: names.
        colours: (n_classes, 3) uint8.
    """

    picture: Labelled
    classes: tuple[str, ...]
    colours: Tensor


def exemplar_of(
    generator: Generator, spec: Mapping[str, Any], perceptual: Mapping[str, Any] | None, seed: int
) -> Exemplar:
    """What a recipe calls the exemplar: the arguments of `annotated`, or those of `photographed`.

    Args:
        perceptual: component spec of the distance that a photo is projected with.

    Raises:
        RecipeError: arguments that neither takes.
        ImageError: what is wrong with the files.
    """
    spec = dict(spec)
    target = photographed if "picture" in spec else annotated
    wrong = signatures.problems(
        spec, target, what="an exemplar", path="training.exemplar", injected=("generator", "perceptual", "seed")
    )
    if wrong:
        raise RecipeError(wrong)
    return target(generator, perceptual=perceptual, seed=seed, **spec)


def annotated(
    generator: Generator, *, annotations: str, name: str | None = None, perceptual: Any = None, seed: int = 0
) -> Exemplar:
    """One picture of a folder of annotations; the others need not be painted.

    Args:
        name: of the picture, without its suffix; None: the first.
    """
    found = annotations_for(generator, annotations, "training.exemplar", only=0 if name is None else name)
    return _exemplar(label_samples(generator, found.ws, found.labels), found.classes)


def photographed(
    generator: Generator,
    *,
    picture: str,
    labels: str,
    classes: str,
    steps: int = 300,
    perceptual: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Exemplar:
    """A picture with its label map; the code is that of its projection into W+.

    Args:
        picture: of the generator's kind, cropped as its pictures are.
        labels: a picture of the same size, painted in the colours of `classes`.
        classes: a file as `chunkygan sample --annotate` writes it, or a domain's.
        steps: of the projection.
    """
    if perceptual is None:
        raise RecipeError("perceptual: is required where the exemplar is a picture, which has to be projected")
    listed = read_classes(Path(classes))
    photo = read_image(picture)
    painted, odd = read_labels(Path(labels), listed)
    if odd:
        raise ImageError(f"{labels}: {'; '.join(odd)}")
    if painted.shape != photo.shape[2:]:
        got, wanted = (f"{shape[1]} x {shape[0]}" for shape in (painted.shape, photo.shape[2:]))
        raise ImageError(f"{labels}: is {got} pixels, but its picture is {wanted}")
    size = generator.resolution
    if photo.shape[2] * size[1] != photo.shape[3] * size[0]:
        raise ImageError(f"{picture}: must be cropped to the generator's aspect, {size[1]} x {size[0]}, labels too")
    rows, columns = (torch.arange(n) * old // n for n, old in zip(size, painted.shape))  # the nearest pixel
    ws = _projected(generator, fit_to(photo, size), perceptual, steps, seed)
    return _exemplar(label_samples(generator, ws, painted[rows][:, columns][None]), listed)


def _projected(
    generator: Generator, photo: Tensor, perceptual: Mapping[str, Any], steps: int, seed: int
) -> Tensor:
    """(1, num_ws, w_dim)."""
    inverter = create("inverter", {"name": "optimization", "steps": steps, "l2": 0.5})
    fit = inverter.project(
        photo,
        generator=generator,
        spaces=[{"name": "w_plus"}],
        mask_generator=create("mask_generator", "single", size=generator.resolution),
        perceptual=create("perceptual", dict(perceptual)),
        seed=seed,
    )
    return fit.codes.values[0][None].to(generator.w_avg)


def _exemplar(picture: Labelled, classes: tuple[LabelClass, ...]) -> Exemplar:
    colours = torch.tensor([c.colour for c in classes], dtype=torch.uint8)
    return Exemplar(picture, tuple(c.name for c in classes), colours)
