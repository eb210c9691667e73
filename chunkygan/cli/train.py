"""Trains what a recipe names, in a run folder; the same command goes on where an earlier one was stopped."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from chunkygan.cli.arguments import add_run_arguments, load_recipe, only_overrides
from chunkygan.errors import RecipeError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe that ships, or a YAML file, for a training")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the recipe")
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from chunkygan.jobs import JOBS

    recipe = load_recipe(args.recipe, only_overrides(args.overrides), seed=args.seed)
    section = JOBS[recipe.job].get("training")
    if section is None or section.section is None:
        raise RecipeError(f"job: '{recipe.job}' is no training", recipe.source)

    from chunkygan.lightning.trainer import trainer_options
    from chunkygan.run_folder import open_run

    out = Path(args.out or Path("runs") / recipe.job)
    open_run(out, recipe)
    module, name = section.section.split(":")
    seed = recipe.data["seed"]
    parts = {name: recipe.data[name] for name, key in JOBS[recipe.job].items() if key.kind}
    dataset = [_dataset(parts.pop("dataset"), seed)] if "dataset" in parts else []
    train = getattr(importlib.import_module(module), name)
    trainer = trainer_options(**recipe.data["trainer"])
    weights = train(*dataset, out, seed, **recipe.data["training"], **parts, trainer=trainer)
    print(f"weights: {weights}")


def _dataset(spec: Any, seed: int) -> Any:
    """The data set; None where a training goes without."""
    from chunkygan.build import create

    return None if spec is None else create("dataset", spec, seed=seed)
