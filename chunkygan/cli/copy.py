"""Copies a recipe to a file or folder, to change it there. Never overwrites."""

from __future__ import annotations

import argparse
from pathlib import Path

from chunkygan.errors import RecipeError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe that ships, or a YAML file")
    parser.add_argument("dest", metavar="DEST", help="the new file, or a folder for it")


def run(args: argparse.Namespace) -> None:
    from chunkygan.recipe import find_recipe

    source, dest = find_recipe(args.recipe), Path(args.dest).expanduser()
    if dest.is_dir() or args.dest.endswith("/"):
        dest = dest / source.name
    elif not dest.suffix:
        dest = dest.with_suffix(".yaml")
    text = source.read_bytes()
    dest.parent.mkdir(parents=True, exist_ok=True)
    try:
        with dest.open("xb") as file:
            file.write(text)
    except FileExistsError as error:
        raise RecipeError(f"{dest} exists and is not overwritten; choose another name") from error
    print(f"wrote {dest}; run it with --recipe {dest}")
