"""Fits pictures chunk by chunk, and writes for each a folder with the projection, pictures of it and its measures.

A run that was interrupted goes on when the same command is given again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chunkygan.cli.arguments import add_run_arguments, load_recipe, split_words
from chunkygan.errors import ChunkyGANError, ImageError

if TYPE_CHECKING:
    from chunkygan.picture_job import PictureJob


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="PICTURE", help="files or folders, and changes key.path=value")
    add_run_arguments(parser, recipe="invert", out="runs/invert")


def run(args: argparse.Namespace) -> int:
    pictures, overrides = split_words(args.words)
    if not pictures:
        raise ImageError("name a picture or a folder of pictures")
    recipe = load_recipe(args.recipe, overrides, job="invert", seed=args.seed)

    from chunkygan.inversion import Inversion
    from chunkygan.run_folder import open_run

    out = Path(args.out)
    jobs = _jobs(pictures, out)
    open_run(out, recipe)
    inversion = Inversion(recipe)
    failures = 0
    for number, job in enumerate(jobs, 1):
        place = f"{job.source} ({number} of {len(jobs)})" if len(jobs) > 1 else str(job.source)
        try:
            print(f"{place} -> {job.folder}", file=sys.stderr)
            _invert(job, inversion)
        except ChunkyGANError as error:
            if len(jobs) == 1:
                raise
            failures += 1
            print(f"{place}: {error}", file=sys.stderr)
    if failures:
        raise ChunkyGANError(f"{failures} of {len(jobs)} pictures could not be inverted; the others are done")
    return 0


def _invert(job: PictureJob, inversion: object) -> None:
    import json

    from chunkygan.cli.progress import Progress
    from chunkygan.picture_job import Frames

    if job.is_done():
        print("is done already", file=sys.stderr)
        metrics = json.loads(job.metrics_file.read_text(encoding="utf-8"))
    else:
        frames = Frames(inversion.output.gif_frames)  # type: ignore[attr-defined]
        metrics = job.run(inversion, frames=frames, watch=Progress).metrics  # type: ignore[arg-type]
    print(summary(metrics))
    print(f"results: {job.folder}")


def summary(metrics: dict[str, float]) -> str:
    """The measures as a table: chunks, and the global fit and the ratio where there is one."""
    measures = [name for name in metrics if name.split("_")[0] in ("l2", "lpips", "identity")]
    compared = any(name.startswith("baseline_") for name in metrics)
    rows = [f"{'':<26}{'chunks':>10}" + (f"{'global W+':>12}{'ratio':>8}" if compared else "")]
    for name in measures:
        row = f"{name:<26}{metrics[name]:>10.4f}"
        if (base := metrics.get(f"baseline_{name}")) is not None:
            row += f"{base:>12.4f}" + (f"{metrics[name] / base:>8.2f}" if base else "")
        rows.append(row)
    rows.append(f"{metrics['chunks']:.0f} chunks, {metrics['steps']:.0f} steps, {metrics['seconds']:.0f} s")
    return "\n".join(rows)


def _jobs(pictures: list[str], out: Path) -> list[PictureJob]:
    """One job a picture; a name that comes twice keeps its suffix in the folder's name."""
    from chunkygan.images import list_images
    from chunkygan.picture_job import PictureJob

    files = list(dict.fromkeys(file for picture in pictures for file in list_images(picture)))
    files = [file for file in files if not _is_mask_of(file, files)]
    stems = [file.stem for file in files]
    jobs = [PictureJob(f, out / (f.stem if stems.count(f.stem) == 1 else f.name)) for f in files]
    folders = [job.folder for job in jobs]
    twice = next((folder.name for folder in folders if folders.count(folder) > 1), None)
    if twice:
        raise ImageError(f"two pictures are called {twice}; invert them with different --out")
    return jobs


def _is_mask_of(file: Path, files: list[Path]) -> bool:
    """Whether a file, called like another one and ``_masks``, holds that one's masks."""
    stem = file.stem.removesuffix("_masks")
    return stem != file.stem and any(other.stem == stem and other.parent == file.parent for other in files)
