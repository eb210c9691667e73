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
from pathlib import Path
from typing import TYPE_CHECKING

from chunkygan.cli import edit_masks, edit_options
from chunkygan.errors import ChunkyGANError, ProjectionError

if TYPE_CHECKING:
    from torch import Tensor

    from chunkygan.cli.edit_options import Asked
    from chunkygan.editing.edit_words import EditWords
    from chunkygan.interfaces import Blender, Generator
    from chunkygan.projection import Projection

configure = edit_options.configure


def run(args: argparse.Namespace) -> None:
    jobs = _jobs(args.projections, Path(args.out))
    asked = edit_options.asked_of(args, len(jobs))

    from chunkygan.build import create
    from chunkygan.loading import load_generator

    blender = create("blender", args.blend) if args.blend else None
    generator = load_generator(args.generator) if args.generator else None
    failures = 0
    for file, folder in jobs:
        try:
            print(f"{file} -> {folder}", file=sys.stderr)
            _edit(file, folder, asked, args, blender, generator)
        except ChunkyGANError as error:
            if len(jobs) == 1:
                raise
            failures += 1
            print(f"{file}: {error}", file=sys.stderr)
    if failures:
        raise ChunkyGANError(f"{failures} of {len(jobs)} projections could not be edited; the others are done")


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
    asked: Asked,
    args: argparse.Namespace,
    blender: Blender | None,
    generator: Generator | None,
) -> None:
    """Edits one projection and writes its files."""
    from chunkygan.cli.edit_repaint import write_labels
    from chunkygan.cli.edit_steps import edited, filled, picture_of
    from chunkygan.projection_file import load_projection

    projection = load_projection(file, generator=generator)
    for index in sorted(args.remove, reverse=True):
        projection = projection.remove_edit(index)
    if args.write_masks:
        return edit_masks.written(projection, args.write_masks)
    before = picture_of(projection, blender)
    projection = edited(edit_masks.masked(projection, args), asked, args, folder)
    if args.labels:
        return write_labels(projection, Path(args.labels), args.head)
    folder.mkdir(parents=True, exist_ok=True)
    several = next((item for item in asked if item[0] in ("sweep", "grid")), None)
    if several is not None:
        _write_several(projection, *several, args, blender, folder)
    if args.fill:
        projection = filled(projection, Path(args.fill))
    _write(projection, before, None if args.fill else blender, folder, strip=several is None)
    if args.paste:
        _paste(projection, Path(args.paste), folder / "photo.png", blender)


def _write_several(
    projection: Projection, option: str, words: list[EditWords], args: argparse.Namespace, blender: Blender | None,
    folder: Path,
) -> None:  # fmt: skip
    """A strip, with an animation, or a grid."""
    from chunkygan.cli.edit_steps import swept
    from chunkygan.editing.video import write_video
    from chunkygan.images import to_pil, write_image
    from chunkygan.pictures import grid, progress_gif

    frames, columns = swept(projection, words, args, blender)
    write_image(folder / ("strip.png" if option == "sweep" else "grid.png"), grid(frames, columns))
    if option == "sweep":
        shown = [to_pil(frame) for frame in frames]
        progress_gif(shown, folder / "sweep.gif")
        if args.video:
            write_video(shown + shown[-2::-1], folder / "sweep.mp4")


def _write(projection: Projection, before: Tensor, blender: Blender | None, folder: Path, *, strip: bool) -> None:
    """The picture, the masks where they went along, the projection, and what was measured.

    Args:
        before: what it drew before.
        blender: what puts the edited chunks into the photo.
        strip: whether to write photo, before and after side by side.
    """
    import torch

    from chunkygan.cli.edit_cohere import measured
    from chunkygan.cli.edit_steps import picture_of
    from chunkygan.files import write_json
    from chunkygan.images import write_image
    from chunkygan.labels import distinct_colours
    from chunkygan.photos.pasting import edited_chunks, seams
    from chunkygan.pictures import grid, masks_picture

    picture = picture_of(projection, blender)
    if strip:
        write_image(folder / "strip.png", grid(torch.cat([projection.target, before, picture]), 3))
    write_image(folder / "edited.png", picture)
    if projection.edited_segments is not projection.segments:  # masks went along
        colours = distinct_colours(len(projection.masks))
        write_image(folder / "masks.png", masks_picture(projection.masks, colours, projection.segments.static))
    projection.save(folder / "projection.safetensors")
    pasted_in = edited_chunks(projection) if blender is not None else None
    changed = float((picture - before).square().mean())
    measures = {"seam": round(seams(projection, picture, pasted_in), 6), "changed": round(changed, 6)}
    write_json(folder / "edit.json", measures | measured(projection))
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
