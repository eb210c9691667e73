"""Checks a recipe, or a folder of annotations, and says everything that is wrong with it at once.

Runs nothing but the plugins that a recipe names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from chunkygan.cli.arguments import load_recipe, only_overrides
from chunkygan.errors import ImageError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", metavar="RECIPE_OR_DIR", help="a recipe that ships, a YAML file, or a folder of annotations"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes, as other commands take them")


def run(args: argparse.Namespace) -> None:
    if Path(args.recipe).is_dir():
        _check_annotations(Path(args.recipe))
        return
    recipe = load_recipe(args.recipe, only_overrides(args.overrides))
    print(f"{recipe.source}: good, a recipe for '{recipe.job}'")


def _check_annotations(folder: Path) -> None:
    from chunkygan.annotating.folder import check_annotations

    found = check_annotations(folder)
    for finding in found:
        if not finding.fatal:
            print(finding)
    fatal = [str(finding) for finding in found if finding.fatal]
    if fatal:
        raise ImageError("\n".join(fatal))
    print(f"{folder}: good, annotations to train a head on")
