"""Measures how faithfully the rows of a recipe reconstruct a set of pictures; goes on where it was interrupted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from chunkygan.cli.arguments import add_run_arguments, load_recipe, only_overrides


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe that ships, or a YAML file, for an evaluation")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the recipe")
    add_run_arguments(parser, out="runs/evaluate")


def run(args: argparse.Namespace) -> None:
    recipe = load_recipe(args.recipe, only_overrides(args.overrides), job="evaluate_fidelity", seed=args.seed)

    from chunkygan.evaluation import FidelityEvaluation
    from chunkygan.run_folder import open_run

    out = Path(args.out)
    open_run(out, recipe)
    print(FidelityEvaluation(recipe, out).run(lambda line: print(line, file=sys.stderr, flush=True)))
    print(f"scores: {out / 'scores.csv'}")
