"""Fits every picture for every row with the same budget, measures the results, and sums them up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from chunkygan.build import create
from chunkygan.errors import ChunkyGANError, RecipeError
from chunkygan.evaluation.html_report import Report, html
from chunkygan.evaluation.image_sets import Sample, image_set, image_source
from chunkygan.evaluation.measures import Measure, measures_of
from chunkygan.evaluation.rows import Row, baseline_of, budget, needs_set_masks, rows_of
from chunkygan.evaluation.scatter import panels_of, sheet_svg
from chunkygan.evaluation.scores import ScoreFolder, write_csv
from chunkygan.evaluation.table import OUTSIDE, Line, lines, markdown
from chunkygan.files import atomic_write, write_json
from chunkygan.images import write_image
from chunkygan.interfaces import MaskGenerator
from chunkygan.inversion import Inversion
from chunkygan.jobs import JOBS, REQUIRED
from chunkygan.labels import distinct_colours
from chunkygan.lightning.share import Failure, Team
from chunkygan.metrics import outside_mask
from chunkygan.pictures import masks_over
from chunkygan.projection import Projection
from chunkygan.recipe import Recipe
from chunkygan.run_folder import machine

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
        inversion = Inversion(_as_inversion(recipe), trainer=team.trainer)
        self.size, self.generator = inversion.generator.resolution, inversion.generator
        self.images = image_set(image_source(**recipe.data["images"]), size=self.size, seed=recipe.data["seed"])
        self.rows = rows_of(recipe, has_masks=self.images.has_masks)
        self.measures = measures_of(inversion.perceptual, inversion.identity, recipe.data["measures"], self.size)
        self.inversions = _inversions(inversion, self.rows, recipe)
        self.folder = ScoreFolder(out, [row.name for row in self.rows])
        self.sample = lru_cache(maxsize=1)(self.images.sample)
        self._began, self._fits = time.monotonic(), 0

    def run(self) -> dict[tuple[str, str], Failure]:
        """Fits what is not fitted yet, in all processes; in the first one, writes the report. Returns what failed.

        Raises:
            KeyboardInterrupt: the user interrupted; what was done is kept, and the report tells of it.
        """
        items = [(picture, row) for picture in self.images.names for row in self.rows]
        todo = {f"{picture}, {row.name}": (number, picture, row) for number, (picture, row) in enumerate(items, 1)}
        try:
            outcome = self.team.share(todo, lambda item: self._fit(*item, len(items)))
        except KeyboardInterrupt:
            if self.team.first:
                self.conclude({})
            raise
        failures = {(todo[key][1], todo[key][2].name): failure for key, failure in outcome.failures.items()}
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
        facts, described = self._facts(len(scores)), _described(self.measures)
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
        _write(self.out / "report.html", html(report))
        return text

    def _facts(self, done: int) -> list[str]:
        total = len(self.images.names) * len(self.rows)
        count = len(self.images.names)
        pictures = f"{count} picture{'s' * (count > 1)} at {self.size[1]} x {self.size[0]}"
        progress = f"all {total} fits done" if done == total else f"{done} of {total} fits done"
        generator = self.recipe.data["domain"] or self.recipe.data["generator"].get("weights", "")
        found = machine()
        runs_on = ", ".join(found[key] for key in ("processor", "gpu") if key in found)
        return [pictures, progress, f"generator {generator}", f"seed {self.recipe.data['seed']}", runs_on]

    def _fit(self, number: int, picture: str, row: Row, total: int) -> bool:
        """Fits, measures and keeps one picture for one row; whether there was something to do."""
        if self.folder.is_done(picture, row.name):
            return False
        sample, inversion = self.sample(picture), self.inversions[row.name]
        began = time.monotonic()
        masks = self._masks(sample, row, inversion)
        made = time.monotonic() - began
        projection = inversion.project(sample.image, masks)
        scores = self._measured(projection, made)
        self._keep(sample, row, projection, masks)
        self.folder.write(picture, row.name, scores)
        self._fits += 1
        left = (time.monotonic() - self._began) / self._fits * (total - number) / self.team.size
        values = ", ".join(f"{measure.name} {scores[measure.name]:.4g}" for measure in self.measures)
        self.tell(f"[{number} of {total}] {picture}, {row.name}: {values}, {scores['seconds']:.1f} s; "
                  f"about {left / 60:.0f} min left")  # fmt: skip
        return True

    def _masks(self, sample: Sample, row: Row, inversion: Inversion) -> MaskGenerator:
        if not row.chunks:
            return create("mask_generator", "single", size=self.size)
        if not needs_set_masks(row.mask_generator):
            return inversion.masks_for(sample.image, stem=sample.stem)
        if sample.masks is None:
            raise RecipeError(f"rows.{row.name}: {sample.name} brings no masks; name a mask_generator")
        own = {"name": "painted", **(row.mask_generator or {})}
        if "keep" in own:  # not every picture has every part
            keep = [own["keep"]] if isinstance(own["keep"], str) else own["keep"]
            own["keep"] = [name for name in keep if name in sample.chunks]
        spec = {**own, "array": sample.masks.numpy(), "names": list(sample.chunks)}
        return create("mask_generator", spec, size=self.size)

    def _measured(self, projection: Projection, mask_seconds: float) -> dict[str, float]:
        device = self.generator.w_avg.device
        image, target = projection.render().to(device), projection.target.to(device)
        scores = {measure.name: measure(image, target) for measure in self.measures}
        kept = None if projection.segments.static is None else projection.segments.static.to(device) == 1
        if kept is not None and bool(kept.any()):
            scores[OUTSIDE] = float(outside_mask(image, target, (~kept).float().reshape(self.size)))
        own = projection.metrics
        scores["seconds"] = round(own["seconds"] + mask_seconds, 2)
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


def _as_inversion(recipe: Recipe) -> Recipe:
    """What an inversion needs of an evaluation's recipe; other keys of its job at their defaults."""
    keys = JOBS["invert"]
    defaults = {name: deepcopy(key.default) for name, key in keys.items() if key.default is not REQUIRED}
    own = {name: value for name, value in recipe.data.items() if name in keys}
    return Recipe({**defaults, **own, "job": "invert"}, recipe.source)


def _inversions(inversion: Inversion, rows: Sequence[Row], recipe: Recipe) -> dict[str, Inversion]:
    """Row -> what fits it; everything that is wrong with the rows' inverters is said at once."""
    found, problems = {}, []
    for row in rows:
        changes: dict[str, Any] = {"inverter": row.inverter, "latent_space": row.latent_space}
        try:
            found[row.name] = inversion.varied(**changes, mask_generator=row.mask_generator)
        except ChunkyGANError as error:
            problems.append(f"rows.{row.name}.inverter: {error}")
    if problems:
        raise RecipeError(problems, recipe.source)
    return found


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
