"""One picture of an inversion run: fitted, compared, written; continued where it was interrupted."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from chunkygan.evolution import Evolution
from chunkygan.files import write_json
from chunkygan.images import to_pil, write_image
from chunkygan.interfaces import MaskGenerator
from chunkygan.inversion import Inversion
from chunkygan.labels import distinct_colours
from chunkygan.picture_batch import Course, run_together
from chunkygan.projection import Projection
from chunkygan.projection_file import load_projection
from chunkygan.report import masks_picture, progress_gif, report
from chunkygan.types import Listener, Step
from chunkygan.weights import sha256

Watch = Callable[[str], AbstractContextManager[Listener]]
"""Makes the listener that shows one fit, given its title."""


@dataclass(frozen=True)
class PictureJob:
    """What to invert and where to put it.

    Args:
        source: the picture file.
        folder: gets the results.
        measures: name of the file with the measures; it is written last and says that all is there.
    """

    source: Path
    folder: Path
    measures: str = "metrics.json"

    @property
    def metrics_file(self) -> Path:
        return self.folder / self.measures

    def is_done(self) -> bool:
        """Whether the results of this very picture are there."""
        return self.metrics_file.is_file() and self._is_same_source()

    def run(
        self, inversion: Inversion, *, frames: Frames, watch: Watch, say: Callable[[str], object] = warnings.warn
    ) -> Projection:
        """Fits, or goes on fitting, and writes all files.

        Args:
            say: called with what the user should know of the photo.

        Raises:
            ChunkyGANError: the picture or its masks cannot be used, or the results cannot be written.
        """
        course = self.course(inversion, frames=frames, watch=watch, say=say)
        ((_, found),) = run_together({str(self.source): course}, inversion)
        if isinstance(found, Exception):
            raise found
        return found

    def course(
        self, inversion: Inversion, *, frames: Frames, watch: Watch, say: Callable[[str], object] = warnings.warn
    ) -> Course:
        """What `run` does, for `run_together`: it yields each fit that it needs, and is sent the projection."""
        target, placed = inversion.place(self.source)
        for note in placed.notes:
            say(note)
        mask_generator = inversion.masks_for(target, stem=self.source.stem)
        self._begin(getattr(mask_generator, "colours", None))
        evolution = Evolution(inversion.output.evolution)
        chunked = yield from self._fitted(
            "projection", inversion, watch, [frames, evolution], target, mask_generator
        )
        baseline = None
        if inversion.output.baseline:
            baseline = yield from self._fitted("baseline", inversion, watch, [], target)
        chunked = replace(chunked, metrics=_compared(chunked, baseline), alignment=placed.alignment)
        self._write(chunked, baseline, inversion, frames.pictures, getattr(mask_generator, "colours", None))
        if evolution.moments:
            write_image(self.folder / "evolution.png", evolution.sheet(getattr(mask_generator, "colours", None)))
        return chunked

    def rewrite(self, inversion: Inversion, projection: Projection, baseline: Projection | None = None) -> Projection:
        """Writes the files of fits that `run` has written once, and that draw otherwise now; the measured projection.

        Args:
            baseline: the global fit; None: there is none.
        """
        kept = json.loads((self.folder / "source.json").read_text(encoding="utf-8")).get("colours")
        chunked = replace(projection, metrics=_compared(projection, baseline))
        if baseline is not None:
            baseline.save(self.folder / "baseline.safetensors")
        self._write(chunked, baseline, inversion, [], None if kept is None else torch.tensor(kept))
        return chunked

    def _fitted(
        self,
        name: str,
        inversion: Inversion,
        watch: Watch,
        listeners: Sequence[Listener],
        target: Tensor,
        mask_generator: MaskGenerator | None = None,
    ) -> Course:
        """The chunks' fit, or without masks the global one; read where it is finished, continued where it is not."""
        path, state = self.folder / f"{name}.safetensors", self.folder / f"{name}.ckpt"
        if path.is_file():
            return load_projection(path, generator=inversion.generator)
        with watch("chunks" if mask_generator is not None else "global") as shown:
            heard = [shown, *listeners]
            if mask_generator is not None:
                request = inversion.request(target, mask_generator, listeners=heard, state=state)
            else:
                request = inversion.baseline_request(target, listeners=heard, state=state)
            projection = yield request
        projection.save(path)
        state.unlink(missing_ok=True)
        return projection

    def _write(
        self,
        projection: Projection,
        baseline: Projection | None,
        inversion: Inversion,
        frames: list[Image.Image],
        colours: Tensor | None,
    ) -> None:
        colours = distinct_colours(len(projection.segments.names)) if colours is None else colours
        picture = projection.render()
        projection.save(self.folder / "projection.safetensors")
        write_image(self.folder / "reconstruction.png", picture)
        write_image(self.folder / "masks.png", masks_picture(projection.masks, colours, projection.segments.static))
        if frames:
            progress_gif(frames, self.folder / "progress.gif")
        if inversion.output.report:
            sheet = report(
                projection.target, picture, projection.segments, projection.drawn(), colours,
                metrics=projection.metrics, baseline=None if baseline is None else baseline.render(),
            )  # fmt: skip
            write_image(self.folder / "report.png", sheet)
        write_json(self.metrics_file, projection.metrics)

    def _begin(self, colours: Tensor | None) -> None:
        """Takes over what an interrupted run of the same picture left, and nothing of another one's."""
        if not self._is_same_source():
            for name in ("metrics.json", self.measures, "projection.safetensors", "baseline.safetensors"):
                (self.folder / name).unlink(missing_ok=True)
            for state in self.folder.glob("*.ckpt"):
                state.unlink()
        about: dict[str, object] = {"file": self.source.name, "sha256": sha256(self.source)}
        if colours is not None:
            about["colours"] = colours.tolist()
        write_json(self.folder / "source.json", about)

    def _is_same_source(self) -> bool:
        saved = self.folder / "source.json"
        return saved.is_file() and sha256(self.source) in saved.read_text(encoding="utf-8")


class Frames:
    """A listener that keeps pictures of a fit, close together at its start where most happens."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pictures: list[Image.Image] = []

    def __call__(self, step: Step) -> None:
        if self.count and step.step in self._wanted(step.steps):
            self.pictures.append(to_pil(step.preview()))

    def _wanted(self, steps: int) -> set[int]:
        last = max(self.count - 1, 1)
        return {max(1, round(steps * (i / last) ** 2)) for i in range(self.count)}


def _compared(projection: Projection, baseline: Projection | None) -> dict[str, float]:
    """The metrics, the baseline's measures as ``baseline_<metric>`` among them."""
    measures = {
        f"baseline_{name}": value
        for name, value in (baseline.metrics.items() if baseline is not None else ())
        if name.split("_")[0] in ("l2", "lpips", "identity")
    }
    return {**projection.metrics, **measures}
