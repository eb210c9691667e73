"""What `chunkygan edit` does with label maps: writes them, takes repainted ones, refines edits."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chunkygan.errors import ImageError, ProjectionError

if TYPE_CHECKING:
    import argparse

    from torch import Tensor

    from chunkygan.editing.edit_words import EditWords
    from chunkygan.interfaces import SegHead
    from chunkygan.projection import Projection


def write_labels(projection: Projection, file: Path, head_weights: str | None) -> None:
    """The classes that the head sees in the picture, as an indexed picture to repaint; what they are goes to stdout.

    Raises:
        ImageError: the file is no PNG.
    """
    from chunkygan.head_choice import head_for, painted_classes
    from chunkygan.head_labels import labels_of
    from chunkygan.images import write_image
    from chunkygan.labels import colour_labels

    if file.suffix.lower() != ".png":
        raise ImageError(f"{file}: labels are written as PNG, which keeps them; name the file {file.stem}.png")
    head = head_for(projection, head_weights)
    classes, labels = painted_classes(projection, head), labels_of(projection, head)
    write_image(file, colour_labels(labels, [c.colour for c in classes]))
    areas = labels.flatten().bincount(minlength=len(classes)) / labels.numel()
    for label, area in zip(classes, areas.tolist()):
        r, g, b = label.colour
        print(f"#{r:02x}{g:02x}{b:02x} {area:6.1%}  {label.name}")


def repainted(projection: Projection, words: EditWords, args: argparse.Namespace, folder: Path) -> Projection:
    """The projection with what was painted as one more edit; the vector is written into the folder.

    Raises:
        ImageError: the painted picture cannot be used.
        ProjectionError, ShapeError, ComponentError: as `chunkygan.editing.repainting.repaint`.
    """
    from chunkygan.cli.progress import Progress
    from chunkygan.editing.editing_vectors import write_vectors
    from chunkygan.editing.repainting import repaint
    from chunkygan.head_choice import head_for
    from chunkygan.lightning.repainting import RepaintSettings

    file, head = Path(words.name), head_for(projection, args.head)
    labels = _read_labels(file, projection, head)
    settings = RepaintSettings() if args.steps is None else RepaintSettings(steps=args.steps)
    with Progress("repaint") as shown, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = repaint(
            projection, labels, head=head, **_networks(projection), chunk=words.chunks or None, name=file.stem,
            settings=settings.holding(args.keep), listeners=[shown],
        )  # fmt: skip
    _say(caught)
    folder.mkdir(parents=True, exist_ok=True)
    vector = folder / f"{file.stem}.safetensors"
    if file.stem == "projection":
        vector = folder / "projection_vector.safetensors"
    write_vectors(vector, [done.vector], generator_sha256=projection.generator_sha256)
    print(f"{done.reached:.0%} of the repainted pixels took their class; mean squared change outside the region "
          f"{done.outside:.5f}; the vector: {vector}")  # fmt: skip
    if done.reached < 0.5:
        print("warning: less than half of what was painted came; take more --steps, or hold the rest less: --keep 0.3",
              file=sys.stderr)  # fmt: skip
    return done.projection


def refined(projection: Projection, words: EditWords, args: argparse.Namespace, file: Path | None) -> Projection:
    """The projection with its last edit fitted to this picture.

    Args:
        file: the direction's, whose classes are the ones that matter; None: all do.

    Raises:
        ProjectionError, ShapeError, ComponentError: as `chunkygan.editing.repainting.refine`.
    """
    from dataclasses import replace

    from chunkygan.cli.progress import Progress
    from chunkygan.editing.repainting import REFINING, refine
    from chunkygan.head_choice import head_for

    head, classes = head_for(projection, args.head), _classes(file, words)
    with Progress("refine") as shown, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = refine(
            projection, head=head, **_networks(projection), classes=classes,
            settings=replace(REFINING, steps=words.refine).holding(args.keep), listeners=[shown],
        )  # fmt: skip
    _say(caught)
    return made


def _read_labels(file: Path, projection: Projection, head: SegHead) -> Tensor:
    from chunkygan.annotating.labels import read_labels
    from chunkygan.head_choice import painted_classes

    labels, problems = read_labels(file, painted_classes(projection, head))
    if problems:
        raise ImageError(f"{file}: {problems[0]}; chunkygan edit PROJECTION --labels FILE.png writes and lists them")
    if tuple(labels.shape) != tuple(projection.generator.resolution):
        (h, w), (height, width) = labels.shape, projection.generator.resolution
        raise ImageError(f"{file}: has {w} x {h} pixels; the projection's picture has {width} x {height}")
    return labels


def _networks(projection: Projection) -> dict[str, Any]:
    from chunkygan.build import create

    spec, identity = projection.recipe.get("perceptual"), projection.recipe.get("identity")
    if not spec:
        raise ProjectionError("repainting needs the perceptual network of the projection's recipe; it names none")
    return {"perceptual": create("perceptual", spec), "identity": create("identity", identity) if identity else None}


def _classes(file: Path | None, words: EditWords) -> tuple[str, ...] | None:
    """Those that a repainting was about, where its file says so."""
    from chunkygan.editing.directions_file import is_own
    from chunkygan.editing.editing_vectors import read_vectors
    from chunkygan.tensor_files import read_safetensors

    if file is None or file.suffix != ".safetensors" or not is_own(read_safetensors(file)[0]):
        return None
    name = words.name.partition("#")[2]
    found = [vector for vector in read_vectors(file) if not name or vector.name == name]
    return found[0].classes if len(found) == 1 else None


def _say(caught: list[warnings.WarningMessage]) -> None:
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            print(f"warning: {warning.message}", file=sys.stderr)
