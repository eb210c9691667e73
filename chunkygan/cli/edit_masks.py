"""What `chunkygan edit` does with masks: writes them to be painted over, takes what was painted, fits codes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chunkygan.errors import ProjectionError

if TYPE_CHECKING:
    import argparse

    from chunkygan.projection import Projection


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--write-masks", metavar="PATH", help="write its masks: labels as a PNG, or a folder; and stop")
    parser.add_argument("--paint-masks", metavar="PATH", help="take masks that were painted over what was written")
    parser.add_argument("--feather", type=float, default=0.0, metavar="PIXELS", help="soft edges for painted labels")
    parser.add_argument("--fitted-masks", action="store_true", help="take the fit's own masks again")
    parser.add_argument("--refine-masks", action="store_true", help="move masks to where chunks draw the picture best")
    parser.add_argument("--refit", type=int, metavar="N", help="fit the codes on with these masks, N steps")


def check(args: argparse.Namespace, count: int) -> None:
    """Raises where the options do not go together.

    Args:
        count: of projections.

    Raises:
        ProjectionError: as said.
    """
    if args.paint_masks and args.fitted_masks:
        raise ProjectionError("--paint-masks or --fitted-masks, not both")
    if count > 1 and (args.write_masks or args.paint_masks):
        raise ProjectionError(f"--write-masks and --paint-masks take one projection; there are {count}")
    if args.feather and not args.paint_masks:
        raise ProjectionError("--feather is of --paint-masks: name what was painted")
    if args.refit is not None and args.refit < 1:
        raise ProjectionError(f"--refit must be 1 or more steps; got {args.refit}")


def written(projection: Projection, path: str) -> None:
    """Writes the masks; their names, colours and areas go to stdout.

    Raises:
        ImageError, ProjectionError: as `chunkygan.editing.mask_files.write_masks`.
    """
    from chunkygan.editing.mask_files import write_masks
    from chunkygan.editing.mask_painting import layers_of

    classes = write_masks(projection, path)
    for layer, mask in zip(classes, layers_of(projection.edited_segments)):
        r, g, b = layer.colour
        print(f"#{r:02x}{g:02x}{b:02x} {float(mask.mean()):6.1%}  {layer.name}")


def masked(projection: Projection, args: argparse.Namespace) -> Projection:
    """The projection with the masks that the options ask for, and its codes fitted on where they ask for that.

    Raises:
        ImageError, ShapeError: as `chunkygan.editing.mask_files.read_masks`.
        ProjectionError: to fit on, the recipe names no perceptual network.
    """
    if args.paint_masks:
        from chunkygan.editing.mask_files import read_masks

        painted = read_masks(projection, Path(args.paint_masks), feather=args.feather)
        projection = _told(projection, projection.with_masks(painted), "painted")
    if args.fitted_masks:
        projection = projection.with_masks(None)
    if args.refine_masks:
        from chunkygan.editing.mask_refining import refine_masks

        projection = _told(projection, refine_masks(projection), "refined")
    return projection if args.refit is None else _refitted(projection, args.refit)


def _told(before: Projection, after: Projection, what: str) -> Projection:
    moved = float((after.masks - before.masks).abs().sum(0).mean()) / 2
    print(f"{what}: {moved:.2%} of the picture is drawn by another chunk")
    return after


def _refitted(projection: Projection, steps: int) -> Projection:
    from chunkygan.build import create
    from chunkygan.cli.progress import Progress
    from chunkygan.editing.refitting import refit

    spec: Any = projection.recipe.get("perceptual")
    if not spec:
        raise ProjectionError("--refit needs the perceptual network of the projection's recipe; it names none")
    identity = projection.recipe.get("identity")
    with Progress("refit") as shown:
        return refit(
            projection, steps, perceptual=create("perceptual", spec),
            identity=create("identity", identity) if identity else None, listeners=[shown],
        )  # fmt: skip
