"""Edits projections: moves the codes of all chunks, or of some, along directions, and draws the result.

  chunkygan edit runs/invert/face/projection.safetensors --edit smile.npy=1.5 --chunk mouth --edit age.npy=-1
  chunkygan edit runs/invert --sweep smile.npy=-2:2:9              a strip and an animation, for every projection there
  chunkygan edit face.safetensors --grid smile.npy=-2:2:5 age.npy=-1:1:3
  chunkygan edit face.safetensors --edit glasses.npy=2 --chunk eyes --fill correction.png
  chunkygan edit face.safetensors --edit smile.npy=1.5 --chunk mouth --paste photo.jpg   photo.png, at full resolution
  chunkygan edit face.safetensors --labels wide.png     the classes of its pixels, to be repainted in a paint program
  chunkygan edit face.safetensors --repaint wide.png    the picture for what was painted, and a vector, wide.safetensors
  chunkygan edit other.safetensors --edit runs/edit/face/wide.safetensors=1 --refine 20
  chunkygan edit face.safetensors --write-masks masks   its masks, a grey picture a chunk, or --write-masks masks.png
  chunkygan edit face.safetensors --paint-masks masks   with what was painted there; --refit 40 fits the codes to it

--chunk, --rows, --masks and --refine belong to the edit, sweep or grid before them. The projection's own edits stay;
--remove takes them.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chunkygan.errors import ChunkyGANError, ProjectionError

if TYPE_CHECKING:
    from torch import Tensor

    from chunkygan.editing.edit_words import EditWords
    from chunkygan.interfaces import Blender, Generator
    from chunkygan.projection import Projection


_MOVES = ("edit", "sweep", "grid")
COHERE_STEPS = 20


class _InOrder(argparse.Action):
    """Keeps the options of edits in the order in which they were given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        namespace.words_in_order = [*(getattr(namespace, "words_in_order", None) or []), (self.dest, values)]


def configure(parser: argparse.ArgumentParser) -> None:
    from chunkygan.cli import edit_masks

    parser.add_argument("projections", nargs="+", metavar="PROJECTION", help="files, or folders with projections")
    edit, sweep = "NAME=STRENGTH", "NAME=FROM:TO:COUNT"
    parser.add_argument("--edit", action=_InOrder, metavar=edit, help="a direction's file or name, and how far")
    parser.add_argument("--chunk", action=_InOrder, metavar="NAME", help="only this chunk; may be given again")
    parser.add_argument("--rows", action=_InOrder, metavar="FIRST:END", help="only these rows of W+")
    parser.add_argument("--masks", action=_InOrder, choices=("move", "static"), help="whether masks go along")
    parser.add_argument("--sweep", action=_InOrder, metavar=sweep, help="a strip over strengths")
    parser.add_argument("--video", action="store_true", help="write the sweep as sweep.mp4 too, there and back")
    parser.add_argument("--grid", action=_InOrder, nargs=2, metavar=sweep, help="two of them against each other")
    parser.add_argument("--directions", action="append", default=[], metavar="DIR", help="folder of direction files")
    parser.add_argument("--present", metavar="FILE", help="YAML or JSON: attributes that the picture has, for a flow")
    parser.add_argument("--remove", action="append", type=int, default=[], metavar="N", help="the N-th edit it has")
    parser.add_argument("--blend", metavar="BLENDER", help="put the edited chunks into the photo: alpha or poisson")
    parser.add_argument("--paste", metavar="PHOTO", help="put the edited chunks into the photo at its full resolution")
    parser.add_argument("--fill", metavar="MASK", help="grey picture: white is the hole, grey must match the photo")
    parser.add_argument("--labels", metavar="FILE", help="write the classes of its pixels as a PNG, and stop")
    parser.add_argument("--repaint", action=_InOrder, metavar="FILE", help="draw the picture that has these classes")
    parser.add_argument("--refine", action=_InOrder, type=int, metavar="N", help="steps that fit the edit to it")
    parser.add_argument(
        "--cohere", action=_InOrder, nargs="?", type=int, const=COHERE_STEPS, metavar="N",
        help=f"let neighbouring chunks agree again where they overlap, N steps; default: {COHERE_STEPS}",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, metavar="N", help="of --repaint; default: 60")
    parser.add_argument("--keep", type=float, default=1.0, metavar="X", help="hold the rest X times as much")
    edit_masks.configure(parser)
    parser.add_argument("--head", metavar="FILE", help="segmentation head; default: that of the generator's domain")
    parser.add_argument("--generator", metavar="NAME_OR_FILE", help="draw with it instead of the projection's own")
    parser.add_argument("--out", default="runs/edit", metavar="DIR", help="default: runs/edit")


def run(args: argparse.Namespace) -> None:
    from chunkygan.cli import edit_masks

    words = _edits(getattr(args, "words_in_order", None) or [])
    if args.video and not any(option == "sweep" for option, _ in words):
        raise ProjectionError("--video is of a sweep: add --sweep NAME=FROM:TO:COUNT")
    jobs = _jobs(args.projections, Path(args.out))
    if len(jobs) > 1 and (args.labels or any(option == "repaint" for option, _ in words)):
        raise ProjectionError(f"--labels and --repaint take one projection; there are {len(jobs)}")
    if args.steps is not None and args.steps < 1:
        raise ProjectionError(f"--steps must be 1 or more; got {args.steps}")
    edit_masks.check(args, len(jobs))
    if args.paste and len(jobs) > 1:
        raise ProjectionError(f"--paste takes one projection; there are {len(jobs)}")
    if args.present:
        _check_present(words, args.directions, len(jobs))

    from chunkygan.build import create
    from chunkygan.loading import load_generator

    blender = create("blender", args.blend) if args.blend else None
    generator = load_generator(args.generator) if args.generator else None
    failures = 0
    for file, folder in jobs:
        try:
            print(f"{file} -> {folder}", file=sys.stderr)
            _edit(file, folder, words, args, blender, generator)
        except ChunkyGANError as error:
            if len(jobs) == 1:
                raise
            failures += 1
            print(f"{file}: {error}", file=sys.stderr)
    if failures:
        raise ChunkyGANError(f"{failures} of {len(jobs)} projections could not be edited; the others are done")


def _edits(in_order: list[tuple[str, Any]]) -> list[tuple[str, list[EditWords]]]:
    """(edit, sweep or grid, its words), each with the chunks and rows that were said after it."""
    from chunkygan.editing.edit_words import EditWords, parse_edit, parse_rows

    found: list[tuple[str, list[EditWords]]] = []
    for option, value in in_order:
        if option in _MOVES:
            texts = value if option == "grid" else [value]
            found.append((option, [parse_edit(text, sweep=option != "edit") for text in texts]))
        elif option == "repaint":
            found.append((option, [EditWords(value, (1.0,))]))
        elif option == "cohere":
            found.append((option, [EditWords(option, (1.0,), refine=_positive(value, option))]))
        elif found and option != "chunk" and found[-1][0] not in (("edit",) if option == "refine" else _MOVES):
            raise ProjectionError(f"--{option} {value} does not go with --{found[-1][0]}")
        elif not found:
            raise ProjectionError(f"--{option} {value} belongs to an edit: put it after --edit, --sweep or --grid")
        else:
            for words in found[-1][1]:
                if option == "chunk":
                    words.chunks.append(value)
                elif option == "refine":
                    words.refine = _positive(value, option)
                elif option == "masks":
                    words.masks = value == "move"
                else:
                    words.rows = parse_rows(value)
    if sum(option in ("sweep", "grid") for option, _ in found) > 1:
        raise ProjectionError("one --sweep or --grid at a time")
    return found


def _check_present(words: list[tuple[str, list[EditWords]]], folders: list[str], projections: int) -> None:
    from chunkygan.editing.flow_words import is_flow

    if projections > 1:
        raise ProjectionError(f"--present is of one picture; there are {projections} projections")
    if not any(is_flow(edit.name, folders) for option, asked in words if option in _MOVES for edit in asked):
        raise ProjectionError("--present is for edits by a flow, such as flow.pt#smile=1; there is none")


def _positive(steps: int, option: str) -> int:
    if steps < 1:
        raise ProjectionError(f"--{option} must be 1 or more steps; got {steps}")
    return steps


def _jobs(projections: list[str], out: Path) -> list[tuple[Path, Path]]:
    """(file, folder for its results), one a projection."""
    files: list[Path] = []
    for name in projections:
        path = Path(name)
        inside = sorted(path.rglob("projection.safetensors")) or sorted(path.glob("*.safetensors"))
        if path.is_dir() and not inside:
            raise ProjectionError(f"no projections in the folder '{path}'")
        files += inside if path.is_dir() else [path]
    files = list(dict.fromkeys(files))
    names = [file.parent.name if file.stem == "projection" and file.parent.name else file.stem for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ProjectionError(f"two projections are called {twice}; edit them with different --out")
    return [(file, out / name) for file, name in zip(files, names)]


def _edit(
    file: Path,
    folder: Path,
    words: list[tuple[str, list[EditWords]]],
    args: argparse.Namespace,
    blender: Blender | None,
    generator: Generator | None,
) -> None:
    """Edits one projection and writes its files."""
    from chunkygan.cli import edit_masks
    from chunkygan.cli.edit_cohere import cohered, measured
    from chunkygan.cli.edit_repaint import refined, repainted, write_labels
    from chunkygan.editing.edit_words import direction_file
    from chunkygan.files import write_json
    from chunkygan.images import write_image
    from chunkygan.photos.pasting import edited_chunks, seams
    from chunkygan.pictures import grid, progress_gif
    from chunkygan.projection_file import load_projection

    projection = load_projection(file, generator=generator)
    for index in sorted(args.remove, reverse=True):
        projection = projection.remove_edit(index)
    if args.write_masks:
        return edit_masks.written(projection, args.write_masks)
    before = _picture(projection, blender)
    projection = edit_masks.masked(projection, args)
    for option, asked in words:
        if option == "edit":
            projection = _with(projection, asked[0], asked[0].strengths[0], args)
            if asked[0].refine:
                source = direction_file(asked[0].name.partition("#")[0], args.directions)
                projection = refined(projection, asked[0], args, source)
        elif option == "cohere":
            projection = cohered(projection, asked[0])
        elif option == "repaint":
            projection = repainted(projection, asked[0], args, folder)
    if args.labels:
        return write_labels(projection, Path(args.labels), args.head)
    folder.mkdir(parents=True, exist_ok=True)
    several = next((item for item in words if item[0] in ("sweep", "grid")), None)
    if several is not None:
        frames, columns = _swept(projection, several[1], args, blender)
        write_image(folder / ("strip.png" if several[0] == "sweep" else "grid.png"), grid(frames, columns))
        if several[0] == "sweep":
            from chunkygan.images import to_pil

            shown = [to_pil(frame) for frame in frames]
            progress_gif(shown, folder / "sweep.gif")
            if args.video:
                from chunkygan.editing.video import write_video

                write_video(shown + shown[-2::-1], folder / "sweep.mp4")
    if args.fill:
        projection = _filled(projection, Path(args.fill))
    picture = _picture(projection, None if args.fill else blender)
    if several is None:
        import torch

        write_image(folder / "strip.png", grid(torch.cat([projection.target, before, picture]), 3))
    pasted_in = edited_chunks(projection) if blender is not None and not args.fill else None
    write_image(folder / "edited.png", picture)
    if projection.edited_segments is not projection.segments:  # masks went along
        from chunkygan.labels import distinct_colours
        from chunkygan.pictures import masks_picture

        colours = distinct_colours(len(projection.masks))
        write_image(folder / "masks.png", masks_picture(projection.masks, colours, projection.segments.static))
    if args.paste:
        _paste(projection, Path(args.paste), folder / "photo.png", blender)
    projection.save(folder / "projection.safetensors")
    changed = float((picture - before).square().mean())
    measures = {"seam": round(seams(projection, picture, pasted_in), 6), "changed": round(changed, 6)}
    measures |= measured(projection)
    write_json(folder / "edit.json", measures)
    print(f"seam {measures['seam']:.4f}, mean squared change {measures['changed']:.4f}; results: {folder}")


def _paste(projection: Projection, source: Path, target: Path, blender: Blender | None) -> None:
    """The photo with what was edited, at its own resolution, with its colour profile and EXIF."""
    import numpy as np

    from chunkygan.images import open_image, write_image
    from chunkygan.photos.photo_pasting import like_photo, photo_with

    photo = open_image(source)
    picture, kept = like_photo(photo, np.array(photo_with(projection, photo, blender)))
    write_image(target, picture, **kept)
    print(f"the edited photo: {target}")


def _picture(projection: Projection, blender: Blender | None) -> Tensor:
    from chunkygan.photos.pasting import pasted

    return projection.render() if blender is None else pasted(projection, blender)


def _with(
    projection: Projection, words: EditWords, strength: float, args: argparse.Namespace, before: int | None = None
) -> Projection:
    """The projection with one more edit; warnings go to stderr.

    Args:
        before: how many of its edits count for what attributes the picture has now, where `--present` tells those that
            it had; None: all.
    """
    from chunkygan.editing.edit_words import find_direction
    from chunkygan.editing.flow_words import after_edits

    direction, rows, geometric = find_direction(
        words.name, projection.generator, args.directions, digest=projection.generator_sha256,
        present=Path(args.present) if args.present else None,
    )  # fmt: skip
    if isinstance(direction, dict):
        chunks = projection.chunk_indices(words.chunks or None)
        direction = after_edits(direction, projection.edits[:before], chunks)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        name = ", ".join(direction["changes"]) if isinstance(direction, dict) else Path(words.name).stem
        moves = geometric and not words.chunks and projection.masks_can_move if words.masks is None else words.masks
        edited = projection.edit(
            direction, strength, words.chunks or None, rows=words.rows or rows, name=name, masks=moves
        )  # fmt: skip
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    return edited


def _swept(
    projection: Projection, asked: list[EditWords], args: argparse.Namespace, blender: Blender | None
) -> tuple[Tensor, int]:
    """(n, 3, h, w) pictures, row by row, and how many make a row."""
    import torch

    before = len(projection.edits)  # of a grid, neither edit is told of the other: its strength changes
    for words in asked:
        far = max(words.strengths, key=abs)
        projection = _with(projection, words, far, args, before)  # warned of once, then only changed
    frames = []
    count = len(projection.edits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = asked[1].strengths if len(asked) > 1 else (None,)
        for second in rows:
            lower = projection if second is None else projection.change_edit(count - 1, strength=second)
            for first in asked[0].strengths:
                moved = lower.change_edit(count - len(asked), strength=first)
                frames.append(_picture(moved, blender))
    return torch.cat(frames), len(asked[0].strengths)


def _filled(projection: Projection, mask: Path) -> Projection:
    from chunkygan.build import create
    from chunkygan.cli.progress import Progress
    from chunkygan.editing.hole_filling import fill_hole
    from chunkygan.images import read_image

    spec = projection.recipe.get("perceptual")
    if not spec:
        raise ProjectionError("--fill needs the perceptual network that the projection was made with; it names none")
    grey = read_image(mask, size=projection.generator.resolution)[0].mean(0) / 2 + 0.5
    inner = (grey > 0.75).float()
    outer = ((grey > 0.25) & (grey <= 0.75)).float()
    with Progress("fill") as shown:
        return fill_hole(projection, outer, inner, perceptual=create("perceptual", spec), listeners=[shown])
