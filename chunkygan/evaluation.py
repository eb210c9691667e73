"""How faithfully spaces and chunks reconstruct a set of pictures: Table 1 of the paper on any set and domain."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chunkygan.build import create
from chunkygan.errors import RecipeError
from chunkygan.evaluation_images import Sample, image_source, samples
from chunkygan.files import atomic_write
from chunkygan.interfaces import MaskGenerator, Perceptual
from chunkygan.inversion import Inversion
from chunkygan.metrics import measure
from chunkygan.projection import Projection
from chunkygan.recipe import Recipe

Scores = dict[tuple[str, str], dict[str, float]]
"""(picture, row) -> measures."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: its title.
        latent_space: component spec.
        chunks: fit the chunks; False: one code for the whole picture.
        inverter: changes to the recipe's inverter.
        against: the row it is compared with, image by image; empty for none.
    """

    name: str
    latent_space: dict[str, Any]
    chunks: bool
    inverter: dict[str, Any]
    against: str


class FidelityEvaluation:
    """A recipe's pictures, each fitted once for every row with the same budget; scores are kept after each fit.

    Args:
        recipe: checked, for the job `evaluate_fidelity`.
        out: gets ``scores.csv`` and ``table.md``, and reconstructions by row.

    Raises:
        RecipeError: a row says something that there is not.
    """

    def __init__(self, recipe: Recipe, out: Path) -> None:
        self.recipe, self.out = recipe, out
        self.rows = [_row(name, spec, recipe) for name, spec in recipe.data["rows"].items()]
        data = {**recipe.data, "latent_space": {}, "chunk_spaces": {}, "output": {}}
        self.inversion = Inversion(Recipe({**data, "job": "invert"}, recipe.source))
        self.measures: list[Perceptual] = [create("perceptual", spec) for spec in recipe.data["measures"]]
        self.scores: Scores = _read(self.scores_file)

    @property
    def scores_file(self) -> Path:
        return self.out / "scores.csv"

    def run(self, tell: Callable[[str], None]) -> str:
        """Fits what is not fitted yet, and returns the table, which is also written."""
        source, size = self.recipe.data["images"], self.inversion.generator.resolution
        for sample in samples(image_source(**source), size=size, seed=self.recipe.data["seed"]):
            for row in self.rows:
                if (sample.name, row.name) in self.scores:
                    continue
                projection = self._fit(sample, row)
                self.scores[sample.name, row.name] = self._measured(projection)
                self._keep(sample, row, projection)
                tell(f"{sample.name} {row.name}: {_shown(self.scores[sample.name, row.name])}")
        text = table(self.scores, self.rows)
        atomic_write(self.out / "table.md", lambda file: file.write(text.encode()))
        return text

    def _fit(self, sample: Sample, row: Row) -> Projection:
        inverter = {**self.recipe.data["inverter"], **row.inverter}
        inversion = self.inversion.varied(inverter=inverter, latent_space=row.latent_space)
        return inversion.project(sample.image, self._masks(sample) if row.chunks else self._whole())

    def _masks(self, sample: Sample) -> MaskGenerator:
        size = self.inversion.generator.resolution
        if sample.masks is not None:
            spec = {"name": "painted", "array": sample.masks.numpy(), "names": list(sample.chunks)}
            return create("mask_generator", spec, size=size)
        if self.recipe.data["mask_generator"] is None:
            raise RecipeError("mask_generator: is required where the pictures bring no masks", self.recipe.source)
        return self.inversion.masks_for(sample.image, stem=sample.name)

    def _whole(self) -> MaskGenerator:
        return create("mask_generator", "single", size=self.inversion.generator.resolution)

    def _measured(self, projection: Projection) -> dict[str, float]:
        image, scores = projection.render(), dict(projection.metrics)
        for perceptual in self.measures:
            scores |= measure(image, projection.target, perceptual)
        return scores

    def _keep(self, sample: Sample, row: Row, projection: Projection) -> None:
        from chunkygan.images import write_image

        write_image(self.out / "reconstructions" / f"{sample.name}_{_file_name(row.name)}.png", projection.render())
        names = list(dict.fromkeys(name for scores in self.scores.values() for name in scores))
        text = io.StringIO()
        writer = csv.DictWriter(text, ["image", "row", *names])
        writer.writeheader()
        for (image, title), scores in self.scores.items():
            writer.writerow({"image": image, "row": title, **scores})
        atomic_write(self.scores_file, lambda file: file.write(text.getvalue().encode()))


def table(scores: Scores, rows: list[Row]) -> str:
    """Markdown: mean +- standard deviation of every measure, and on how many pictures a row beats its counterpart."""
    pictures = list(dict.fromkeys(picture for picture, _ in scores))
    measures = [
        name
        for name in dict.fromkeys(name for values in scores.values() for name in values)
        if name.split("_")[0] in ("l2", "lpips", "identity")
    ]
    lines = [
        f"{len(pictures)} pictures",
        "",
        "| row | " + " | ".join(measures) + " | s | " + " | ".join(f"better in {name}" for name in measures) + " |",
        "| --- |" + " --- |" * (2 * len(measures) + 1),
    ]
    for row in rows:
        mine = [scores[picture, row.name] for picture in pictures if (picture, row.name) in scores]
        cells = [_mean(values[name] for values in mine) for name in measures]
        cells.append(f"{statistics.mean(values['seconds'] for values in mine):.1f}" if mine else "")
        cells += [_wins(scores, pictures, row, name) for name in measures]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _row(name: str, spec: Any, recipe: Recipe) -> Row:
    known = {"latent_space", "chunks", "inverter", "against"}
    if not isinstance(spec, Mapping) or set(spec) - known or "latent_space" not in spec:
        raise RecipeError(f"rows.{name}: must be {{latent_space: ..., chunks: true or false, inverter: {{...}}, "
                          f"against: another row}}; got {spec!r}", recipe.source)  # fmt: skip
    space, against = spec["latent_space"], str(spec.get("against", ""))
    if against and against not in recipe.data["rows"]:
        raise RecipeError(f"rows.{name}.against: no row '{against}'", recipe.source)
    space = {"name": space} if isinstance(space, str) else dict(space)
    return Row(name, space, bool(spec.get("chunks", False)), dict(spec.get("inverter") or {}), against)


def _read(path: Path) -> Scores:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (line.pop("image"), line.pop("row")): {name: float(value) for name, value in line.items() if value}
            for line in csv.DictReader(file)
        }


def _mean(values: Any) -> str:
    numbers = list(values)
    if not numbers:
        return ""
    spread = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
    return f"{statistics.mean(numbers):.4f} ± {spread:.4f}"


def _wins(scores: Scores, pictures: list[str], row: Row, measure_name: str) -> str:
    pairs = [
        (scores[picture, row.name][measure_name], scores[picture, row.against][measure_name])
        for picture in pictures
        if (picture, row.name) in scores and (picture, row.against) in scores
    ]
    return f"{sum(a < b for a, b in pairs)} of {len(pairs)}" if pairs else ""


def _shown(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in scores.items() if name != "peak_memory_bytes")


def _file_name(title: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in title)
