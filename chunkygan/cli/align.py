"""Aligns photos of faces as FFHQ is aligned: eyes level, the face at its place, a square.

  chunkygan align photo.jpg --out face.png            the largest face; the detector: pip install 'chunkygan[align]'
  chunkygan align group.jpg --out face.png --face 2   the second face from the left
  chunkygan align photo.jpg --out face.png --landmarks photo.txt
  chunkygan align photo.jpg --out face.png --points 210,188 290,190 251,240 219,282 284,283

Beside the picture lies its place in the photo (face.alignment.json), from which an edit finds the way back. `chunkygan
invert photo.jpg` does all this itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chunkygan.errors import ChunkyGANError, ImageError

if TYPE_CHECKING:
    from chunkygan.photos.photo_alignment import PhotoOptions


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say which face a photo's is: ``--face``, ``--landmarks``, ``--points``."""
    parser.add_argument("--face", type=int, metavar="N", help="from the left; default: the largest")
    parser.add_argument("--landmarks", metavar="FILE", help="68 or 5 lines `x y`, or JSON; {stem} is the photo's name")
    parser.add_argument("--points", nargs=5, metavar="X,Y", help="both eyes, nose, both corners of the mouth")


def photo_overrides(args: argparse.Namespace) -> list[str]:
    """What the photo arguments, ``--align`` and ``--no-align`` say, as changes of a recipe's section ``photo``."""
    import json

    words = [f"photo.face={args.face}"] if args.face is not None else []
    words += [f"photo.landmarks={json.dumps(args.landmarks)}"] if args.landmarks else []
    words += [f"photo.points={json.dumps(parse_points(args.points))}"] if args.points else []
    return words + ([f"photo.align={args.align}"] if args.align else [])


def parse_points(words: list[str]) -> list[list[float]]:
    """Points of ``x,y``.

    Raises:
        ImageError: some are none.
    """
    try:
        points = [[float(value) for value in word.split(",")] for word in words]
    except ValueError:
        points = []
    if not points or any(len(point) != 2 for point in points):
        raise ImageError(f"--points takes five X,Y of numbers; got {' '.join(words)}")
    return points


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="files or folders")
    parser.add_argument("--out", default="runs/align", metavar="FILE_OR_DIR", help="default: runs/align")
    parser.add_argument("--size", type=int, default=1024, metavar="PIXELS", help="default: 1024")
    parser.add_argument("--detector", default="dlib", metavar="NAME", help="as `chunkygan list landmarks` shows it")
    add_photo_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from chunkygan.images import list_images
    from chunkygan.photos.photo_alignment import PhotoOptions

    if not 4 <= args.size <= 8192:
        raise ImageError(f"--size must be 4 to 8192 pixels; got {args.size}")
    options = PhotoOptions(
        align="always", detector=args.detector, face=args.face, landmarks=args.landmarks or "",
        points=parse_points(args.points) if args.points else (),
    )  # fmt: skip
    jobs = _jobs([file for name in args.photos for file in list_images(name)], Path(args.out))
    failures = 0
    for photo, target in jobs:
        try:
            _align(photo, target, options, args.size)
        except ChunkyGANError as error:
            if len(jobs) == 1:
                raise
            failures += 1
            print(error, file=sys.stderr)
    if failures:
        raise ChunkyGANError(f"{failures} of {len(jobs)} photos could not be aligned; the others are done")


def _jobs(photos: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """(photo, aligned picture), one a photo."""
    if out.suffix and not out.is_dir():
        if len(photos) > 1:
            raise ImageError(f"--out {out} is one file; name a folder for {len(photos)} photos")
        return [(photos[0], out)]
    targets = [out / f"{photo.stem}.png" for photo in photos]
    twice = next((target.stem for target in targets if targets.count(target) > 1), None)
    if twice:
        raise ImageError(f"two photos are called {twice}; align them with different --out")
    return list(zip(photos, targets))


def _align(photo: Path, target: Path, options: PhotoOptions, size: int) -> None:
    from chunkygan.files import write_json
    from chunkygan.images import write_image
    from chunkygan.photos.photo_alignment import place_photo, sidecar

    if target.exists() and target.samefile(photo):
        raise ImageError(f"{photo}: --out names the photo itself; name another file")
    placed = place_photo(photo, (size, size), options)
    assert placed.alignment is not None
    write_image(target, placed.picture)
    write_json(sidecar(target), placed.alignment.as_dict())
    print(f"{photo} -> {target}: a square of {placed.alignment.side:.0f} pixels")
