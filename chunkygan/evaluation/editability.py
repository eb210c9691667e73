"""What edits do to the fits of every row: to the attribute, to the others, to the person, and elsewhere (Table 2)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.direction_search.response import responder
from chunkygan.errors import ChunkyGANError
from chunkygan.evaluation.calibration import Calibration, Strength, strength_for
from chunkygan.evaluation.editability_report import MEASURES, Results, write_report
from chunkygan.evaluation.edits import TriedEdit, edits_of, of_row
from chunkygan.evaluation.fits import Countdown, Fits
from chunkygan.evaluation.image_sets import Sample
from chunkygan.evaluation.rows import Row, baseline_of
from chunkygan.evaluation.scores import ScoreFolder
from chunkygan.files import write_json
from chunkygan.images import write_image
from chunkygan.interfaces import Classifier, Identity
from chunkygan.lightning.share import Failure, Team
from chunkygan.pictures import grid
from chunkygan.projection import Projection
from chunkygan.projection_file import load_projection
from chunkygan.recipe import Recipe
from chunkygan.sampling import sample_ws
from chunkygan.weights import find, sha256


class EditabilityEvaluation:
    """A recipe's pictures, fitted once for every row and then edited; what is done is kept after each of them.

    First all fits; then the responses to edits at a few strengths; then, with the strengths that these tell, the edits
    themselves. Of every edit:

    - ``effect``: change of its own attribute, in standard deviations of the domain;
    - ``others``: root mean square of the changes of all other attributes, in the same unit;
    - ``identity_fit``: 1 - cosine of the persons in the fit and in the edit, (a) of Table 2;
    - ``identity_photo``: the same of the picture itself and the edit, (b) of Table 2;
    - ``outside``: mean squared change where the masks of the chunks that it is about are 0.

    Args:
        recipe: checked, for the job `evaluate_editability`.
        out: the run folder.
        team: the processes that share out the work.
        tell: gets a line after each picture and row.

    Raises:
        RecipeError: rows, masks, edits or strengths that do not go together.
        WeightsError, ImageError: what is missing.

    Source: ChunkyGAN, Table 2; `others` and `outside` are ours.
    """

    def __init__(self, recipe: Recipe, out: Path, team: Team, tell: Callable[[str], None]) -> None:
        self.recipe, self.out, self.team, self.tell = recipe, out, team, tell
        self.report = out / "table.md"
        self.calibration = Calibration(**recipe.data["calibration"])
        self.fits = Fits(recipe, team)
        self.generator = self.fits.generator
        self.classifier: Classifier = create("classifier", recipe.data["classifier"])
        assert self.fits.inversion.identity is not None  # the job requires it
        self.identity: Identity = self.fits.inversion.identity
        self.edits = edits_of(recipe, self.generator, self.classifier, _digest(recipe))
        names = [row.name for row in self.fits.rows]
        self.fitted, self.edited = ScoreFolder(out, names), ScoreFolder(out, names, "edits")
        self.responses = ScoreFolder(out, names, "responses")
        self._countdown = Countdown(3 * len(self.fits.pairs), team.size)

    def run(self) -> dict[tuple[str, str], Failure]:
        """Fits and edits what is not done yet, in all processes; in the first one, writes the report.

        Returns:
            What failed.

        Raises:
            KeyboardInterrupt: the user interrupted; what was done is kept, and the report tells of it.
        """
        failures: dict[tuple[str, str], Failure] = {}
        try:
            failures |= self.fits.share(self.fits.pairs, self._fit)
            failures |= self.fits.share(self._done(self.fitted), self._respond)
            strengths, todo = self.strengths(), self._done(self.responses)
            failures |= self.fits.share(todo, lambda n, picture, row: self._edit(n, picture, row, strengths[row.name]))
        except KeyboardInterrupt:
            if self.team.first:
                self.conclude({})
            raise
        if self.team.first:
            self.conclude({key: failure.message for key, failure in failures.items()})
        return failures

    def strengths(self) -> dict[str, dict[str, Strength]]:
        """Row -> edit -> how far it goes, from the responses that were read."""
        scores = self.responses.read(self.fits.images.names)
        found: dict[str, dict[str, Strength]] = {}
        for row in self.fits.rows:
            own = [values for (_, name), values in scores.items() if name == row.name]
            found[row.name] = {
                edit.name: strength_for([self._readings(values, edit) for values in own], self.calibration)
                for edit in of_row(self.edits, row.chunks)
            }
        return found

    def conclude(self, failures: dict[tuple[str, str], str]) -> None:
        """Writes ``table.md``, ``summary.json``, ``scores.csv`` and a sheet for every edit, from what is done."""
        scores = self.edited.read(self.fits.images.names)
        results = Results(
            facts=self.fits.facts(len(self.fitted.read(self.fits.images.names))), calibration=self.calibration,
            rows=self.fits.rows, edits=self.edits, strengths=self.strengths(), scores=scores,
            baseline=baseline_of(self.fits.rows, self.recipe.data["inverter"]).name, failures=failures,
        )  # fmt: skip
        write_report(self.out, results, self.fitted, self.edited)

    @cached_property
    def spread(self) -> Tensor:
        """(k,) standard deviations of the attributes over the domain; kept in the run folder."""
        path = self.out / "spread.json"
        if not path.is_file():
            ws = sample_ws(self.generator, self.calibration.samples, seed=self.recipe.data["seed"])
            spread = responder(self.generator, self.classifier.to(ws.device), ws)[0].spread
            write_json(path, dict(zip(self.classifier.names, spread.tolist())))
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return torch.tensor([float(kept[name]) for name in self.classifier.names])
        except (ValueError, KeyError, TypeError) as error:
            raise ChunkyGANError(f"{path} is damaged ({error}); delete it, and it is measured again") from error

    def _fit(self, number: int, picture: str, row: Row) -> bool:
        """Fits a picture for a row; whether there was something to do."""
        if self.fitted.is_done(picture, row.name):
            return False
        sample = self.fits.sample(picture)
        projection, _, seconds = self.fits.project(sample, row)
        if not self.fitted.target(picture).is_file():
            write_image(self.fitted.target(picture), sample.image)
        projection.save(self.fitted.projection(picture, row.name))
        self.fitted.write(picture, row.name, {**projection.metrics, "seconds": seconds})
        self._tell("fit", 0, number, picture, row)
        return True

    def _respond(self, number: int, picture: str, row: Row) -> bool:
        """Reads the responses of a fit to the edits at a few strengths; whether there was something to do."""
        if self.responses.is_done(picture, row.name):
            return False
        projection = load_projection(self.fitted.projection(picture, row.name), generator=self.generator)
        found = {}
        for edit in of_row(self.edits, row.chunks):
            for strength in self.calibration.strengths:
                moved = edit.of(projection, strength)
                response = math.nan if moved is None else float(self._attributes(_picture(moved))[edit.index])
                found[f"{edit.name} @ {strength:g}"] = response
        self.responses.write(picture, row.name, found)
        self._tell("responses", 1, number, picture, row)
        return True

    def _edit(self, number: int, picture: str, row: Row, strengths: dict[str, Strength]) -> bool:
        """Edits the fit of a picture for a row, and measures what that did; whether there was something to do."""
        edits = of_row(self.edits, row.chunks)
        wanted = {f"{edit.name}: strength": strengths[edit.name].value for edit in edits}
        if self.edited.is_done(picture, row.name) and _holds(self.edited.scores(picture, row.name), wanted):
            return False
        sample = self.fits.sample(picture)
        projection = load_projection(self.fitted.projection(picture, row.name), generator=self.generator)
        before = _picture(projection)
        scores, shown = dict(wanted), [before]
        for edit in edits:
            strength = strengths[edit.name].value
            moved = None if math.isnan(strength) else edit.of(projection, strength)
            if moved is None:
                values, after = dict.fromkeys(MEASURES, math.nan), torch.ones_like(before)
            else:
                after = _picture(moved)
                values = self._measured(sample, projection, edit, before, after)
            scores |= {f"{edit.name}: {name}": value for name, value in values.items()}
            shown.append(after)
        write_image(self.edited.reconstruction(picture, row.name), grid(torch.cat(shown), len(shown)))
        self.edited.write(picture, row.name, scores)
        self._tell("edits", 2, number, picture, row)
        return True

    @torch.no_grad()
    def _measured(
        self, sample: Sample, projection: Projection, edit: TriedEdit, before: Tensor, after: Tensor
    ) -> dict[str, float]:
        """`MEASURES` of an edit, from the fit's picture and the edited one."""
        changes = self._attributes(after) - self._attributes(before)
        others = torch.cat([changes[: edit.index], changes[edit.index + 1 :]])
        return {
            "effect": float(changes[edit.index]),
            "others": float(others.square().mean().sqrt()),
            "identity_fit": float(self.identity.cpu()(before, after)),
            "identity_photo": float(self.identity.cpu()(projection.target, after)),
            "outside": _outside(sample, projection, edit, (after - before).square().mean(1)[0]),
        }

    @torch.no_grad()
    def _attributes(self, image: Tensor) -> Tensor:
        """(k,) in standard deviations of the domain."""
        return self.classifier.cpu()(image)[0] / self.spread

    def _done(self, folder: ScoreFolder) -> list[tuple[str, Row]]:
        return [(picture, row) for picture, row in self.fits.pairs if folder.is_done(picture, row.name)]

    def _tell(self, what: str, rounds: int, number: int, picture: str, row: Row) -> None:
        total = len(self.fits.pairs)
        left = self._countdown.told(rounds * total + number)
        self.tell(f"[{what} {number} of {total}] {picture}, {row.name}; {left}")

    def _readings(self, scores: dict[str, float], edit: TriedEdit) -> dict[float, float]:
        return {s: scores.get(f"{edit.name} @ {s:g}", math.nan) for s in self.calibration.strengths}


def _picture(projection: Projection) -> Tensor:
    """(1, 3, h, w) in [-1, 1], as a file would show it."""
    return projection.render().clamp(-1, 1)


def _digest(recipe: Recipe) -> str | None:
    """Of the generator's weight file, which tells its domain."""
    weights = recipe.data["generator"].get("weights")
    return sha256(find(weights)) if weights else None


def _outside(sample: Sample, projection: Projection, edit: TriedEdit, change: Tensor) -> float:
    """Mean of a change (h, w) where the masks of an edit's chunks are 0: the set's true masks, else the fit's own."""
    names, masks = projection.segments.names, projection.masks
    if sample.masks is not None:
        names, masks = sample.chunks, sample.masks
    own = [i for i, name in enumerate(names) if name in edit.chunks]
    away = masks[own].sum(0).cpu() == 0
    return float(change[away].mean()) if own and bool(away.any()) else math.nan


def _holds(scores: dict[str, float], wanted: dict[str, float]) -> bool:
    """Whether these edits were made with these strengths."""

    def same(a: float, b: float) -> bool:
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6)

    return all(name in scores and same(scores[name], value) for name, value in wanted.items())
