"""What a run's folder holds before its first step, and which runs may go on in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chunkygan.errors import RecipeError
from chunkygan.recipe import Recipe, load
from chunkygan.run_folder import open_run


def recipe(steps: int) -> Recipe:
    return load("invert", overrides=[f"inverter.steps={steps}"])


def test_a_run_leaves_its_recipe_and_seed_and_goes_on(tmp_path: Path) -> None:
    open_run(tmp_path, recipe(5))
    (tmp_path / "face_01").mkdir()
    open_run(tmp_path, recipe(5))
    assert "steps: 5" in (tmp_path / "recipe.yaml").read_text()
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 0


def test_results_of_another_recipe_are_not_mixed_with(tmp_path: Path) -> None:
    open_run(tmp_path, recipe(5))
    (tmp_path / "face_01").mkdir()
    with pytest.raises(RecipeError, match="holds results of another recipe"):
        open_run(tmp_path, recipe(6))
    assert "steps: 5" in (tmp_path / "recipe.yaml").read_text()


def test_a_run_that_ended_before_its_first_result_may_be_begun_otherwise(tmp_path: Path) -> None:
    """Such as one whose weights were missing."""
    open_run(tmp_path, recipe(5))
    open_run(tmp_path, recipe(6))
    assert "steps: 6" in (tmp_path / "recipe.yaml").read_text()
