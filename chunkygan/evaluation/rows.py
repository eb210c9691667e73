"""The lines of the table: what each one fits, what it is compared with, and whether all have the same budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chunkygan import registry
from chunkygan.errors import RecipeError
from chunkygan.jobs import INJECTED
from chunkygan.recipe import Recipe
from chunkygan.signatures import signature
from chunkygan.wording import did_you_mean, known

BUDGET = ("name", "steps", "start")
"""Options of an inverter that all rows must share for their figures to be compared."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: its title.
        latent_space: component spec.
        chunks: fit the chunks; False: one code for the whole picture.
        inverter: component spec, the recipe's with the row's changes.
        against: the row it is compared with, image by image; empty for none.
        mask_generator: component spec; None: the true masks that the set brings.
    """

    name: str
    latent_space: dict[str, Any]
    chunks: bool = False
    inverter: dict[str, Any] = field(default_factory=dict)
    against: str = ""
    mask_generator: dict[str, Any] | None = None


def rows_of(recipe: Recipe, *, has_masks: bool) -> list[Row]:
    """The rows of a recipe; one code in W+ comes first where the recipe has no such row, for the ratios to it.

    Args:
        recipe: checked, for the job `evaluate_fidelity`.
        has_masks: whether the pictures bring masks.

    Raises:
        RecipeError: no rows, rows that are compared with none, chunks without masks: all problems at once.
    """
    specs: dict[str, Any] = recipe.data["rows"]
    problems = [] if specs else ["rows: must name one or more"]
    for name, spec in specs.items():
        problems += _problems(name, spec, recipe, has_masks)
    if problems:
        raise RecipeError(problems, recipe.source)
    rows = [_row(name, spec, recipe) for name, spec in specs.items()]
    if not any(is_baseline(row, recipe.data["inverter"]) for row in rows):
        name = "W+" if "W+" not in specs else "W+, one code"
        rows.insert(0, Row(name, {"name": "w_plus"}, inverter=dict(recipe.data["inverter"])))
    return rows


def baseline_of(rows: Sequence[Row], inverter: Mapping[str, Any]) -> Row:
    """The row that ratios refer to: one code in W+, fitted as the recipe says."""
    return next(row for row in rows if is_baseline(row, inverter))


def is_baseline(row: Row, inverter: Mapping[str, Any]) -> bool:
    """Whether a row is one code in W+, fitted by the recipe's inverter without changes."""
    return not row.chunks and row.latent_space == {"name": "w_plus"} and row.inverter == dict(inverter)


def options(inverter: Mapping[str, Any]) -> dict[str, Any]:
    """All options of an inverter's spec, those that it leaves out at their defaults."""
    parameters = signature(registry.get("inverter", inverter["name"])).parameters.values()
    defaults = {p.name: p.default for p in parameters if not p.required and p.name not in INJECTED["inverter"]}
    return {"name": inverter["name"], **defaults, **inverter}


def budget(rows: Sequence[Row]) -> tuple[bool, list[str]]:
    """Whether all rows have the same inverter, steps and start; and lines that say what they have."""
    all_options = {row.name: options(row.inverter) for row in rows}
    shares = {row: tuple(str(found.get(key)) for key in BUDGET) for row, found in all_options.items()}
    is_equal = len(set(shares.values())) == 1
    lines = ["Equal budget: the same inverter, steps and start for every row." if is_equal else "Unequal budgets."]
    for share in dict.fromkeys(shares.values()):
        who = "every row" if is_equal else ", ".join(name for name, own in shares.items() if own == share)
        lines.append(f"{share[0]}, {share[1]} steps, start {share[2]}: {who}.")
    common = {key: value for key, value in next(iter(all_options.values())).items() if key not in BUDGET}
    for name, found in all_options.items():
        own = {key: value for key, value in found.items() if key not in BUDGET and common.get(key) != value}
        if own:
            lines.append(f"{name} differs from {rows[0].name} in {', '.join(f'{k} {v}' for k, v in own.items())}.")
    return is_equal, lines


def _problems(name: str, spec: Mapping[str, Any], recipe: Recipe, has_masks: bool) -> list[str]:
    where, others, found = f"rows.{name}", [other for other in recipe.data["rows"] if other != name], []
    against = str(spec.get("against") or "")
    if against and against not in others:
        found.append(f"{where}.against: no other row '{against}'; {known(others)}{did_you_mean(against, others)}")
    masks = spec.get("mask_generator")
    if masks and not spec.get("chunks"):
        found.append(f"{where}.mask_generator: needs chunks: true beside it")
    if spec.get("chunks") and needs_set_masks(masks or recipe.data["mask_generator"]) and not has_masks:
        found.append(f"{where}: mask_generator is required where the pictures bring no masks")
    return found


def needs_set_masks(spec: Mapping[str, Any] | None) -> bool:
    """Whether a mask generator's spec leaves the masks to the set: none, or painted ones without a source."""
    return spec is None or (spec["name"] == "painted" and not {"path", "array"} & set(spec))


def _row(name: str, spec: Mapping[str, Any], recipe: Recipe) -> Row:
    below, changes = recipe.data["inverter"], dict(spec.get("inverter") or {})
    other = changes.get("name", below["name"]) != below["name"]
    masks = spec.get("mask_generator") or recipe.data["mask_generator"]
    return Row(
        name, dict(spec["latent_space"]), bool(spec.get("chunks", False)), changes if other else {**below, **changes},
        str(spec.get("against") or ""), dict(masks) if masks and spec.get("chunks") else None,
    )  # fmt: skip
