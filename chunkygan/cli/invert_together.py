"""What `chunkygan invert` does with pictures that share one tuned generator."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chunkygan.inversion import Inversion
    from chunkygan.picture_job import PictureJob
    from chunkygan.together import SharedRun


def own_parts(jobs: Sequence[PictureJob]) -> list[PictureJob]:
    """The jobs of the pictures' own fits."""
    from chunkygan.together import PIVOT

    return [replace(job, measures=PIVOT) for job in jobs]


def tune(inversion: Inversion, jobs: Sequence[PictureJob], out: Path) -> None:
    """Tunes one generator to all pictures that have a fit, and tells what that brought.

    Args:
        jobs: those of `own_parts`.
        out: the run's folder.

    Raises:
        ChunkyGANError: as `chunkygan.together.SharedRun.run`.
    """
    from chunkygan.cli.progress import Progress
    from chunkygan.together import SharedRun

    shared = SharedRun(out, [job for job in jobs if job.is_done()])
    if not shared.jobs:
        return
    if done := shared.is_done():
        print("tuned together already", file=sys.stderr)
    else:
        shared.run(inversion, watch=Progress)
    print(summary(shared, inversion.perceptual.name) + f"\nresults: {out}" + " (done already)" * done)


def summary(shared: SharedRun, perceptual: str) -> str:
    """A row for each picture: measures of its own fit, and after the tuning."""
    names = ("l2", perceptual)
    lines = ["".join([f"{'':<26}", *(f"{word:>24}" for name in names for word in (f"{name} alone", "together"))])]
    for own, final in zip(shared.jobs, shared.finals):
        before, after = (json.loads(job.metrics_file.read_text(encoding="utf-8")) for job in (own, final))
        cells = [f"{value:>24.4f}" for name in names for value in (before[name], after[name])]
        lines.append(f"{own.folder.name[:25]:<26}" + "".join(cells))
    return "\n".join(lines)
