"""What all evaluations share: the pictures, the rows, how a picture is fitted for a row, and how work is shared out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any

from chunkygan.build import create
from chunkygan.errors import ChunkyGANError, RecipeError
from chunkygan.evaluation.image_sets import Sample, image_set, image_source
from chunkygan.evaluation.rows import Row, needs_set_masks, rows_of
from chunkygan.interfaces import MaskGenerator
from chunkygan.inversion import Inversion
from chunkygan.jobs import JOBS, REQUIRED
from chunkygan.lightning.share import Failure, Team
from chunkygan.projection import Projection
from chunkygan.recipe import Recipe
from chunkygan.run_folder import machine


class Fits:
    """A recipe's pictures and rows, and how each picture is fitted for each row.

    Args:
        recipe: checked, for an evaluation.
        team: the processes that share out the fits.

    Raises:
        RecipeError: rows or masks that do not go together.
        WeightsError: a weight file is missing.
        ImageError: the pictures are not there.
    """

    def __init__(self, recipe: Recipe, team: Team) -> None:
        self.recipe, self.team = recipe, team
        self.inversion = Inversion(_as_inversion(recipe), trainer=team.trainer)
        self.generator, self.size = self.inversion.generator, self.inversion.generator.resolution
        self.images = image_set(image_source(**recipe.data["images"]), size=self.size, seed=recipe.data["seed"])
        self.rows = rows_of(recipe, has_masks=self.images.has_masks)
        self.sample = lru_cache(maxsize=1)(self.images.sample)
        self._inversions = _inversions(self.inversion, self.rows, recipe)

    @property
    def pairs(self) -> list[tuple[str, Row]]:
        """Every picture with every row."""
        return [(picture, row) for picture in self.images.names for row in self.rows]

    def project(self, sample: Sample, row: Row) -> tuple[Projection, MaskGenerator, float]:
        """The fit of a picture for a row, its masks, and the seconds that both took."""
        inversion = self._inversions[row.name]
        began = time.monotonic()
        masks = self._masks(sample, row, inversion)
        made = time.monotonic() - began
        projection = inversion.project(sample.image, masks)
        return projection, masks, round(projection.metrics["seconds"] + made, 2)

    def share(
        self, pairs: Sequence[tuple[str, Row]], run_one: Callable[[int, str, Row], bool]
    ) -> dict[tuple[str, str], Failure]:
        """Does something for every picture and row once, in all processes; what failed, by names of both.

        Args:
            run_one: gets the number of the pair, from 1 on, the picture and the row.
        """
        todo = {f"{picture}, {row.name}": (number, picture, row) for number, (picture, row) in enumerate(pairs, 1)}
        outcome = self.team.share(todo, lambda item: run_one(*item))
        return {(todo[key][1], todo[key][2].name): failure for key, failure in outcome.failures.items()}

    def facts(self, done: int) -> list[str]:
        """What the figures depend on, in words: pictures, generator, seed, machine; and how many fits are done."""
        count, total = len(self.images.names), len(self.pairs)
        pictures = f"{count} picture{'s' * (count > 1)} at {self.size[1]} x {self.size[0]}"
        progress = f"all {total} fits done" if done == total else f"{done} of {total} fits done"
        generator = self.recipe.data["domain"] or self.recipe.data["generator"].get("weights", "")
        found = machine()
        runs_on = ", ".join(found[key] for key in ("processor", "gpu") if key in found)
        return [pictures, progress, f"generator {generator}", f"seed {self.recipe.data['seed']}", runs_on]

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


class Countdown:
    """Minutes that the rest will take, by what was done so far.

    Args:
        total: items.
        size: processes that share them.
    """

    def __init__(self, total: int, size: int) -> None:
        self.total, self.size = total, size
        self._began, self._done = time.monotonic(), 0

    def told(self, number: int) -> str:
        """Counts one item more as done, the one of this number; in words what is left."""
        self._done += 1
        left = (time.monotonic() - self._began) / self._done * (self.total - number) / self.size
        return f"about {left / 60:.0f} min left"


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
