"""Checks a recipe, and says everything that is wrong with it at once. Runs nothing but the plugins it names."""

from __future__ import annotations

import argparse

from chunkygan.cli.arguments import load_recipe, only_overrides


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe that ships, or a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes, as other commands take them")


def run(args: argparse.Namespace) -> None:
    recipe = load_recipe(args.recipe, only_overrides(args.overrides))
    print(f"{recipe.source}: good, a recipe for '{recipe.job}'")
