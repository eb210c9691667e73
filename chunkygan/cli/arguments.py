"""Arguments that several commands share: a recipe, overrides, the output folder, the seed."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chunkygan.errors import RecipeError

if TYPE_CHECKING:
    from chunkygan.recipe import Recipe

_OVERRIDE = re.compile(r"[A-Za-z_][\w.\-\[\]]*=")


def add_run_arguments(parser: argparse.ArgumentParser, *, recipe: str | None = None, out: str | None = None) -> None:
    """Adds ``--recipe`` (unless it is None, for commands that take it by place), ``--out`` and ``--seed``."""
    if recipe is not None:
        parser.add_argument("--recipe", default=recipe, metavar="NAME_OR_FILE", help=f"default: {recipe}")
    default = f"; default: {out}" if out else ""
    parser.add_argument("--out", default=out, metavar="DIR", help=f"folder for the results{default}")
    parser.add_argument("--seed", type=int, metavar="N", help="default: the recipe's")


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Inputs and overrides among the words of a command line: ``key.path=value`` is an override unless such a file
    exists.

    >>> split_words(["face.png", "inverter.steps=10"])
    (['face.png'], ['inverter.steps=10'])
    """
    overrides = [word for word in words if _OVERRIDE.match(word) and not os.path.exists(word)]
    return [word for word in words if word not in overrides], overrides


def only_overrides(words: Sequence[str]) -> list[str]:
    """The words, all of which must be overrides.

    Raises:
        RecipeError: some are not.
    """
    others, overrides = split_words(words)
    if others:
        raise RecipeError([f"override '{word}': must be key.path=value" for word in others])
    return overrides


def load_recipe(name: str, overrides: Sequence[str], *, job: str | None = None, seed: int | None = None) -> Recipe:
    """The checked recipe; says on stderr which plugins' code it runs.

    Raises:
        RecipeError: everything that is wrong with it.
    """
    from chunkygan.recipe import load

    last = [] if seed is None else [f"seed={seed}"]
    return load(name, [*overrides, *last], job=job, on_plugin=_tell_plugin)


def _tell_plugin(plugin: str) -> None:
    print(f"running the plugin that the recipe names: {plugin}", file=sys.stderr)
