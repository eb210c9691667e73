"""Where the labels come from that a segmentation head learns: painted pictures, a parser, or one exemplar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.errors import RecipeError
from chunkygan.images import write_image
from chunkygan.interfaces import Generator
from chunkygan.labels import distinct_colours
from chunkygan.lightning.seghead_exemplar import exemplar_of
from chunkygan.lightning.seghead_folder import annotations_for
from chunkygan.lightning.seghead_propagation import propagated, propagation_sheet
from chunkygan.lightning.seghead_samples import Labelled, label_samples
from chunkygan.sampling import sample_ws


@dataclass(frozen=True)
class Source:
    """What a training gets.

    Args:
        own: to train on.
        kept: held out for the scores; may be empty.
        classes: names.
        colours: (n_classes, 3) uint8.
    """

    own: Labelled
    kept: Labelled
    classes: Sequence[str]
    colours: Tensor


def source_of(
    generator: Generator,
    out_dir: Path,
    seed: int,
    *,
    parser: Mapping[str, Any] | None,
    perceptual: Mapping[str, Any] | None,
    annotations: str | Sequence[str] | None,
    exemplar: Mapping[str, Any] | None,
    samples: int,
    held_out: int,
    truncation: float,
) -> Source:
    """The labelled pictures that a recipe asks for; the arguments are those of `seghead_training.train`.

    Raises:
        RecipeError: nothing that labels pictures, two things that do, or numbers out of range.
        ImageError: what is wrong with the annotations.
    """
    if samples < 1 or held_out < 0:
        raise RecipeError(f"training: samples must be 1 or more and held_out 0 or more; got {samples} and {held_out}")
    if annotations is not None and exemplar is not None:
        raise RecipeError("training.exemplar: name annotations or an exemplar, not both")
    if exemplar is not None:
        return _from_exemplar(
            generator, exemplar, parser, perceptual, out_dir, samples, held_out, truncation, seed
        )
    if annotations is not None:
        return painted(generator, annotations, samples, held_out)
    if parser is not None:
        return parsed(generator, parser, samples, held_out, truncation, seed)
    raise RecipeError(
        "training.annotations: name a folder of annotations, an exemplar, or a parser that labels samples"
    )


def painted(generator: Generator, folders: str | Sequence[str], samples: int, held_out: int) -> Source:
    """Of folders of annotations: the first pictures of each to train on, the last quarter of each to hold out.

    Args:
        samples: to train on at most, in all.
        held_out: at most, of each folder.

    Raises:
        RecipeError: no folder, folders of different classes, or codes of another generator.
        ImageError: what is wrong with a folder.
    """
    names = [folders] if isinstance(folders, str) else list(folders)
    if not names:
        raise RecipeError("training.annotations: names no folder")
    every = [annotations_for(generator, name, "training.annotations") for name in names]
    classes = [c.name for c in every[0].classes]
    for name, found in zip(names, every):
        if [c.name for c in found.classes] != classes:
            theirs = ", ".join(c.name for c in found.classes)
            raise RecipeError(f"training.annotations: {names[0]} has the classes {', '.join(classes)}; {name} {theirs}")
    drawn = [label_samples(generator, found.ws, found.labels) for found in every]
    kept = [min(held_out, len(part.ws) // 4) for part in drawn]
    own = [part.part(0, len(part.ws) - out) for part, out in zip(drawn, kept)]
    last = [part.part(len(part.ws) - out, len(part.ws)) for part, out in zip(drawn, kept)]
    colours = torch.tensor([c.colour for c in every[0].classes], dtype=torch.uint8)
    return Source(reduce(Labelled.joined, own).part(0, samples), reduce(Labelled.joined, last), classes, colours)


def parsed(
    generator: Generator, spec: Mapping[str, Any], samples: int, held_out: int, truncation: float, seed: int
) -> Source:
    """Of generated samples that a parser labels; those held out do not depend on how many are trained on."""
    parser = create("parser", dict(spec))
    own, kept = (
        label_samples(generator, sample_ws(generator, n, seed=seed + k, truncation=truncation), parser.labels)
        for k, n in ((1, samples), (2, held_out))
    )
    return Source(own, kept, parser.classes, distinct_colours(len(parser.classes)))


def _from_exemplar(
    generator: Generator,
    spec: Mapping[str, Any],
    parser: Mapping[str, Any] | None,
    perceptual: Mapping[str, Any] | None,
    out_dir: Path,
    samples: int,
    held_out: int,
    truncation: float,
    seed: int,
) -> Source:
    """Of samples to which one annotated picture's labels were carried over. Held out: what a parser of the same
    classes says about further samples, where there is one."""
    exemplar = exemplar_of(generator, spec, perceptual, seed)
    ws = sample_ws(generator, samples, seed=seed + 1, truncation=truncation)
    own = propagated(generator, exemplar.picture, ws, classes=len(exemplar.classes))
    write_image(out_dir / "exemplar.png", propagation_sheet(exemplar.picture, own, exemplar.colours))
    kept = own.part(0, 0)
    if parser is not None and held_out:
        judge = create("parser", dict(parser))
        if tuple(judge.classes) == tuple(exemplar.classes):
            ws = sample_ws(generator, held_out, seed=seed + 2, truncation=truncation)
            kept = label_samples(generator, ws, judge.labels)
    return Source(exemplar.picture.joined(own), kept, exemplar.classes, exemplar.colours)
