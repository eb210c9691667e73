"""Pictures fitted one by one, then drawn by one generator that is tuned to all of them."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chunkygan.files import write_json
from chunkygan.interfaces import Inverter, SharingInverter
from chunkygan.inversion import Inversion
from chunkygan.metrics import measure
from chunkygan.picture_job import PictureJob
from chunkygan.projection import Projection
from chunkygan.projection_file import load_projection
from chunkygan.types import Fit, Listener
from chunkygan.weights import sha256

PIVOT = "pivot.json"
"""Measures of a picture's own fit, before the generator was tuned; written last, as `metrics.json` after the tuning."""


def shares(inversion: Inversion) -> bool:
    """Whether the recipe's inverter ends with a generator that all pictures of a run share."""
    return isinstance(inversion.inverter, SharingInverter) and inversion.inverter.together


def own_part(inversion: Inversion) -> Inversion:
    """The same inversion, which ends before the pictures begin to share."""
    other = copy.copy(inversion)
    other.inverter = _OwnPart(inversion.inverter)
    return other


class _OwnPart(Inverter):
    def __init__(self, inverter: Any) -> None:
        self.inverter: SharingInverter = inverter

    def project(self, *args: Any, **options: Any) -> Fit:
        return self.inverter.own_part(*args, **options)


def tuned_together(
    inversion: Inversion,
    projections: Sequence[Projection],
    *,
    listeners: Sequence[Listener] = (),
    state: Path | None = None,
) -> list[Projection]:
    """The projections, drawn by one generator that is tuned to all of them, and measured again.

    Args:
        inversion: of an inverter that can be shared, `pivotal_tuning`.
        projections: of its generator, fitted alone; what an earlier tuning changed of them is dropped, edits stay.
        listeners: called after every step.
        state: file in which an unfinished tuning is kept, and from which it goes on.

    Raises:
        ProjectionError: the loss has left the numbers.
    """
    inverter: Any = inversion.inverter
    alone = [_alone(projection) for projection in projections]
    began = time.monotonic()
    fits = inverter.shared_part(
        [one.target for one in alone], [_fit(one) for one in alone], generator=inversion.generator,
        perceptual=inversion.perceptual, seed=inversion.seed, listeners=listeners, state=state,
    )  # fmt: skip
    seconds = round((time.monotonic() - began) / len(alone), 2)
    inversion.perceptual.cpu()
    return [_measured(inversion, one, fit, seconds) for one, fit in zip(alone, fits)]


def _alone(projection: Projection) -> Projection:
    """The projection as its own fit left it."""
    metrics = dict(projection.metrics)
    for name in ("steps", "seconds"):
        metrics[name] = metrics.get(name, 0) - metrics.pop(f"tuning_{name}", 0)
    return replace(projection, weight_changes=None, metrics=metrics)


def _fit(projection: Projection) -> Fit:
    p = projection
    return Fit(p.codes, p.segments, noise=p.noise, mask_state=p.mask_state, steps=int(p.metrics["steps"]))


def _measured(inversion: Inversion, alone: Projection, fit: Fit, seconds: float) -> Projection:
    made = replace(alone, weight_changes=fit.weight_changes)
    plain = replace(made, edits=())
    metrics = {
        **alone.metrics,
        **measure(plain.render(), plain.target, inversion.perceptual, inversion.identity),
        "steps": fit.steps, "tuning_steps": fit.steps - alone.metrics["steps"],
        "seconds": round(alone.metrics["seconds"] + seconds, 2), "tuning_seconds": seconds,
    }  # fmt: skip
    return replace(made, metrics=metrics)


@dataclass(frozen=True)
class SharedRun:
    """What the pictures of a run share, and where that is kept.

    Args:
        folder: of the run; ``together.json`` in it says which pictures the tuning was begun with.
        jobs: of pictures that are fitted, their `measures` being `PIVOT`.
    """

    folder: Path
    jobs: Sequence[PictureJob]

    @property
    def finals(self) -> list[PictureJob]:
        """The jobs by what they have when all is done."""
        return [replace(job, measures="metrics.json") for job in self.jobs]

    def is_done(self) -> bool:
        """Whether just these pictures were tuned together, and all is written."""
        return self._is_begun() and all(job.is_done() for job in self.finals)

    def run(self, inversion: Inversion, *, watch: Callable[[str], AbstractContextManager[Listener]]) -> None:
        """Tunes, or goes on tuning, one generator to the pictures, and writes their files again.

        A global fit for comparison is tuned in the same way, with those of the other pictures.

        Raises:
            ChunkyGANError: a projection cannot be read, the loss has left the numbers, or results cannot be written.
        """
        self._begin()
        chunked = self._tuned("projection", inversion, watch)
        baselines: Sequence[Projection | None] = [None] * len(chunked)
        if inversion.output.baseline:
            baselines = self._tuned("baseline", inversion, watch)
        for job, projection, baseline in zip(self.finals, chunked, baselines):
            job.rewrite(inversion, projection, baseline)
        for state in self._states():
            state.unlink()

    def _tuned(self, name: str, inversion: Inversion, watch: Callable[..., Any]) -> list[Projection]:
        files = [job.folder / f"{name}.safetensors" for job in self.jobs]
        projections = [load_projection(file, generator=inversion.generator) for file in files]
        title = "together" if name == "projection" else "global, together"
        with watch(title) as shown:
            state = self.folder / f"together_{name}.ckpt"
            return tuned_together(inversion, projections, listeners=[shown], state=state)

    def _begin(self) -> None:
        """Takes over what an interrupted tuning of the same pictures left, and nothing of others'."""
        if not self._is_begun():
            for state in self._states():
                state.unlink()
        for job in self.finals:
            job.metrics_file.unlink(missing_ok=True)
        write_json(self._record, self._pictures())

    def _states(self) -> list[Path]:
        return sorted(self.folder.glob("together_*.ckpt"))

    @property
    def _record(self) -> Path:
        return self.folder / "together.json"

    def _is_begun(self) -> bool:
        if not self._record.is_file():
            return False
        saved: object = json.loads(self._record.read_text(encoding="utf-8"))
        return saved == self._pictures()

    def _pictures(self) -> dict[str, str]:
        """Folder of a picture -> sha256 of its file."""
        return {job.folder.name: sha256(job.source) for job in self.jobs}
