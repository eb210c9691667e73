"""The rows of a recipe: what is filled in, what is refused, and whether budgets are equal."""

from __future__ import annotations

from typing import Any

import pytest

from chunkygan.errors import RecipeError
from chunkygan.evaluation.rows import baseline_of, budget, rows_of
from chunkygan.recipe import Recipe

INVERTER = {"name": "optimization", "steps": 7}


def recipe(rows: dict[str, Any], **more: Any) -> Recipe:
    return Recipe({"rows": rows, "inverter": INVERTER, "mask_generator": None, **more}, "x.yaml")


def row(space: str, **more: Any) -> dict[str, Any]:
    return {"latent_space": {"name": space}, **more}


def test_one_code_in_w_plus_is_added_where_it_lacks() -> None:
    rows = rows_of(recipe({"W": row("w")}), has_masks=False)
    assert [r.name for r in rows] == ["W+", "W"] and baseline_of(rows, INVERTER).name == "W+"
    tuned = rows_of(recipe({"W+": row("w_plus", inverter={"steps": 9})}), has_masks=False)
    assert [r.name for r in tuned] == ["W+, one code", "W+"]  # another budget is no baseline


def test_a_row_s_inverter_changes_the_recipe_s_or_takes_its_place() -> None:
    other = {"name": "other", "x": 1}
    specs = {"W+": row("w_plus"), "a": row("w", inverter={"lr": 0.1}), "b": row("w", inverter=other)}
    _, a, b = rows_of(recipe(specs), has_masks=False)
    assert a.inverter == {**INVERTER, "lr": 0.1} and b.inverter == other


def test_a_row_s_masks_come_before_the_recipe_s_and_those_before_the_set_s() -> None:
    painted = {"name": "painted"}
    specs = {"W+": row("w_plus"), "a": row("w", chunks=True), "b": row("w", chunks=True, mask_generator=painted)}
    plain = rows_of(recipe(specs), has_masks=True)
    assert [r.mask_generator for r in plain] == [None, None, painted]
    moving = rows_of(recipe(specs, mask_generator={"name": "seghead"}), has_masks=True)
    assert [r.mask_generator for r in moving] == [None, {"name": "seghead"}, painted]


def test_all_problems_are_told_at_once() -> None:
    specs = {
        "W+": row("w_plus", against="W+"),
        "a": row("w", chunks=True, against="W++"),
        "b": row("w", mask_generator={"name": "single"}),
    }
    with pytest.raises(RecipeError) as error:
        rows_of(recipe(specs), has_masks=False)
    problems = error.value.problems
    assert len(problems) == 4
    assert "rows.W+.against: no other row 'W+'" in problems[0]
    assert "rows.a.against: no other row 'W++'" in problems[1] and "did you mean 'W+'" in problems[1]
    assert "rows.a: mask_generator is required" in problems[2] and "rows.b.mask_generator" in problems[3]
    with pytest.raises(RecipeError, match="rows: must name one"):
        rows_of(recipe({}), has_masks=False)


def test_equal_budgets_are_said_and_what_differs_otherwise() -> None:
    specs = {"W+": row("w_plus"), "c": row("w", inverter={"dispersion": 1.0})}
    is_equal, said = budget(rows_of(recipe(specs), has_masks=False))
    assert is_equal and said[0].startswith("Equal budget")
    assert said[1:] == ["optimization, 7 steps, start mean: every row.", "c differs from W+ in dispersion 1.0."]


def test_other_steps_or_another_start_are_an_unequal_budget() -> None:
    for change in ({"steps": 70}, {"start": "bank"}):
        specs = {"W+": row("w_plus"), "long": row("w", inverter=change)}
        is_equal, said = budget(rows_of(recipe(specs), has_masks=False))
        assert not is_equal and said[0].startswith("Unequal")
        assert said[1] == "optimization, 7 steps, start mean: W+." and said[2].endswith(": long.")
