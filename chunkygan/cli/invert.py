"""Fits pictures chunk by chunk, and writes for each a folder with the projection, pictures of it and its measures.

A run that was interrupted goes on when the same command is given again. With trainer.devices=N, and
trainer.num_nodes=M, N processes on each of M machines share the pictures; with batch=B, each fits B of them at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chunkygan.cli.align import add_photo_arguments, photo_overrides
from chunkygan.cli.arguments import add_run_arguments, load_recipe, split_words
from chunkygan.errors import ChunkyGANError, ImageError

if TYPE_CHECKING:
    from chunkygan.inversion import Inversion
    from chunkygan.lightning.share import Outcome, Team
    from chunkygan.picture_batch import Course
    from chunkygan.picture_job import PictureJob


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="PICTURE", help="files or folders, and changes key.path=value")
    add_run_arguments(parser, recipe="invert", out="runs/invert")
    always, never = "align photos of faces, or refuse them", "take photos as they are, cut around their centre"
    parser.add_argument("--align", action="store_const", const="always", help=always)
    parser.add_argument("--no-align", action="store_const", const="never", dest="align", help=never)
    add_photo_arguments(parser)


def run(args: argparse.Namespace) -> int:
    pictures, overrides = split_words(args.words)
    if not pictures:
        raise ImageError("name a picture or a folder of pictures")
    recipe = load_recipe(args.recipe, [*overrides, *photo_overrides(args)], job="invert", seed=args.seed)

    from chunkygan.cli.invert_together import own_parts, tune
    from chunkygan.inversion import Inversion
    from chunkygan.lightning.share import launch
    from chunkygan.run_folder import open_run
    from chunkygan.together import own_part, shares

    out = Path(args.out)
    jobs = _jobs(pictures, out)
    open_run(out, recipe, shared=True)
    with launch(recipe.data["trainer"]) as team:
        began = time.monotonic()
        inversion = Inversion(recipe, trainer=team.trainer)
        if together := shares(inversion):
            inversion, whole, jobs = own_part(inversion), inversion, own_parts(jobs)
        if inversion.batch < recipe.data["batch"] and team.first:
            print(f"batch: {recipe.data['inverter']['name']} fits one picture at a time here", file=sys.stderr)
        places = {_place(number, job, jobs): job for number, job in enumerate(jobs, 1)}
        invert = partial(_invert, inversion=inversion, team=team, alone=len(jobs) == 1)
        outcome = team.share_batches(places, invert, size=inversion.batch)
        if together and team.first:
            tune(whole, jobs, out)
        seconds = time.monotonic() - began
    return _concluded(outcome, team, seconds) if team.first else 0


def _place(number: int, job: PictureJob, jobs: list[PictureJob]) -> str:
    return f"{job.source} ({number} of {len(jobs)})" if len(jobs) > 1 else str(job.source)


def _invert(
    batch: dict[str, PictureJob], *, inversion: Inversion, team: Team, alone: bool
) -> Iterator[tuple[str, bool | Exception]]:
    """Of each picture, when all of it is written: whether there was something to do, or what went wrong.

    Its measures are shown.
    """
    from chunkygan.picture_batch import run_together

    courses = {}
    for place, job in batch.items():
        print(f"{place} -> {job.folder}", file=sys.stderr)
        if job.is_done():
            _show(place, job, team, done=True)
            yield place, False
        else:
            courses[place] = _course(job, inversion, own_bar=team.size == len(batch) == 1)
    for place, found in run_together(courses, inversion):
        if isinstance(found, Exception):
            if not alone:
                print(f"{place}: {found}", file=sys.stderr)
            yield place, found
        else:
            _show(place, batch[place], team, several=len(batch) > 1)
            yield place, True


def _course(job: PictureJob, inversion: Inversion, *, own_bar: bool) -> Course:
    from chunkygan.cli.progress import Progress
    from chunkygan.picture_job import Frames

    def watch(title: str) -> Progress:
        return Progress(title) if own_bar else Progress(f"{job.source.name}: {title}", bar=False)

    return job.course(
        inversion, frames=Frames(inversion.output.gif_frames), watch=watch, say=partial(print, file=sys.stderr)
    )


def _show(place: str, job: PictureJob, team: Team, *, several: bool = False, done: bool = False) -> None:
    metrics = json.loads(job.metrics_file.read_text(encoding="utf-8"))
    heading = [place] if several or team.size > 1 else []
    print("\n".join([*heading, summary(metrics), f"results: {job.folder}" + " (done already)" * done]), flush=True)


def _concluded(outcome: Outcome[bool], team: Team, seconds: float) -> int:
    """The exit code, after telling how fast it went and which pictures failed.

    Raises:
        ChunkyGANError: some failed, none of them by a fault of ours.
    """
    fitted, failures = sum(outcome.results.values()), outcome.failures
    count = len(outcome.results) + len(failures)
    if fitted > 1:
        processes = f" on {team.size} processes" if team.size > 1 else ""
        speed = f"{seconds:.0f} s{processes}, {3600 * fitted / seconds:.0f} pictures an hour"
        print(f"{fitted} pictures in {speed}", file=sys.stderr)
    faults = [failure.trace for failure in failures.values() if failure.trace]
    if faults:
        print(*faults, "this is a fault of the program; please report it", sep="\n", file=sys.stderr)
    if not failures:
        return 0
    lines = [f"{place}: {failure.message}" for place, failure in failures.items()]
    if count > 1:
        lines.append(f"{len(failures)} of {count} pictures could not be inverted; the others are done")
    if faults:
        print("\n".join(lines), file=sys.stderr)
        return 1
    raise ChunkyGANError("\n".join(lines) if count > 1 else failures.popitem()[1].message)


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
