"""Fits every picture for every row with the same budget, measures the results, and sums them up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chunkygan.evaluation.fits import Countdown, Fits
from chunkygan.evaluation.html_report import Report, html
from chunkygan.evaluation.image_sets import Sample
from chunkygan.evaluation.measures import Measure, measures_of
from chunkygan.evaluation.rows import Row, baseline_of, budget
from chunkygan.evaluation.scatter import panels_of, sheet_svg
from chunkygan.evaluation.scores import ScoreFolder, write_csv
from chunkygan.evaluation.table import OUTSIDE, Line, lines, markdown
from chunkygan.files import atomic_write, write_json
from chunkygan.images import write_image
from chunkygan.interfaces import MaskGenerator
from chunkygan.labels import distinct_colours
from chunkygan.lightning.share import Failure, Team
from chunkygan.metrics import outside_mask
from chunkygan.pictures import masks_over
from chunkygan.projection import Projection
from chunkygan.recipe import Recipe

_KEPT = ("steps", "chunks", "peak_memory_bytes")
"""What of a fit's own metrics goes into the scores, beside the shares of the chunks."""


class FidelityEvaluation:
    """A recipe's pictures, each fitted once for every row; what is done is kept after each fit.

    Args:
        recipe: checked, for the job `evaluate_fidelity`.
        out: the run folder, see `ScoreFolder`.
        team: the processes that share out the fits.
        tell: gets a line after each fit.

    Raises:
        RecipeError: rows, masks or measures that do not go together.
        WeightsError: a weight file is missing, be it of a measure only.
        ImageError: the pictures are not there.
    """

    def __init__(self, recipe: Recipe, out: Path, team: Team, tell: Callable[[str], None]) -> None:
        self.recipe, self.out, self.team, self.tell = recipe, out, team, tell
        self.report = out / "report.html"
        self.fits = Fits(recipe, team)
        self.images, self.rows, own = self.fits.images, self.fits.rows, self.fits.inversion
        self.measures = measures_of(own.perceptual, own.identity, recipe.data["measures"], self.fits.size)
        self.folder = ScoreFolder(out, [row.name for row in self.rows])
        self._countdown = Countdown(len(self.fits.pairs), team.size)

    def run(self) -> dict[tuple[str, str], Failure]:
        """Fits what is not fitted yet, in all processes; in the first one, writes the report. Returns what failed.

        Raises:
            KeyboardInterrupt: the user interrupted; what was done is kept, and the report tells of it.
        """
        try:
            failures = self.fits.share(self.fits.pairs, self._fit)
        except KeyboardInterrupt:
            if self.team.first:
                self.conclude({})
            raise
        if self.team.first:
            self.conclude({key: failure.message for key, failure in failures.items()})
        return failures

    def conclude(self, failures: dict[tuple[str, str], str]) -> str:
        """The table's text, after all files that sum up were written: ``report.html``, ``table.md``, ``summary.json``,
        ``scores.csv`` and ``scatter_<measure>.svg``, from what is done."""
        scores = self.folder.read(self.images.names)
        names = [measure.name for measure in self.measures]
        baseline = baseline_of(self.rows, self.recipe.data["inverter"]).name
        table = lines(scores, self.rows, names, baseline)
        _, said = budget(self.rows)
        facts, described = self.fits.facts(len(scores)), _described(self.measures)
        text = "\n".join([" · ".join(facts), "", markdown(table, names, baseline), *said, "", *described])
        write_csv(self.out / "scores.csv", scores, failures)
        write_json(self.out / "summary.json", _summary(table))
        _write(self.out / "table.md", text + "\n")
        for name in names:
            panels = panels_of(scores, self.rows, name)
            if panels:
                _write(self.out / f"scatter_{name}.svg", sheet_svg(panels))
        title = f"Fidelity on {self.images.title}"
        report = Report(title, facts, scores, table, self.measures, baseline, said, failures, self.folder)
        _write(self.report, html(report))
        return text

    def _fit(self, number: int, picture: str, row: Row) -> bool:
        """Fits, measures and keeps one picture for one row; whether there was something to do."""
        if self.folder.is_done(picture, row.name):
            return False
        sample = self.fits.sample(picture)
        projection, masks, seconds = self.fits.project(sample, row)
        scores = {**self._measured(projection), "seconds": seconds}
        self._keep(sample, row, projection, masks)
        self.folder.write(picture, row.name, scores)
        values = ", ".join(f"{measure.name} {scores[measure.name]:.4g}" for measure in self.measures)
        self.tell(f"[{number} of {len(self.fits.pairs)}] {picture}, {row.name}: {values}, {seconds:.1f} s; "
                  f"{self._countdown.told(number)}")  # fmt: skip
        return True

    def _measured(self, projection: Projection) -> dict[str, float]:
        device = self.fits.generator.w_avg.device
        image, target = projection.render().to(device), projection.target.to(device)
        scores = {measure.name: measure(image, target) for measure in self.measures}
        kept = None if projection.segments.static is None else projection.segments.static.to(device) == 1
        if kept is not None and bool(kept.any()):
            scores[OUTSIDE] = float(outside_mask(image, target, (~kept).float().reshape(self.fits.size)))
        own = projection.metrics
        return scores | {key: value for key, value in own.items() if key in _KEPT or key.startswith("area_")}

    def _keep(self, sample: Sample, row: Row, projection: Projection, masks: MaskGenerator) -> None:
        name, segments = sample.name, projection.segments
        if not self.folder.target(name).is_file():
            write_image(self.folder.target(name), sample.image)
        write_image(self.folder.reconstruction(name, row.name), projection.render())
        if row.chunks:
            colours = getattr(masks, "colours", distinct_colours(len(segments.names)))
            picture = masks_over(projection.target, segments.masks.cpu(), colours, segments.static)
            write_image(self.folder.masks(name, row.name), picture)


def _described(measures: Sequence[Measure]) -> list[str]:
    return [f"{m.name}: {m.what}; size: {m.size}; pixels: {m.pixels}; {m.source}." for m in measures]


def _summary(table: Sequence[Line]) -> dict[str, Any]:
    return {
        line.row.name: {
            "against": line.row.against, "pictures": line.fits, OUTSIDE: line.outside, "seconds": line.seconds,
            "steps": line.steps, "measures": {name: asdict(cell) for name, cell in line.cells.items()},
        }
        for line in table
    }  # fmt: skip


def _write(path: Path, text: str) -> None:
    atomic_write(path, lambda file: file.write(text.encode()))
