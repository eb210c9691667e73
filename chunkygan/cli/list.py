"""Lists components by kind, and the recipes, domains and weights that are known. Imports none of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from chunkygan import registry
from chunkygan.errors import ComponentError
from chunkygan.places import shipped
from chunkygan.wording import did_you_mean

Row = tuple[str, str]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", metavar="KIND", help=f"one of {', '.join([*registry.KINDS, *_OTHERS])}")


def run(args: argparse.Namespace) -> None:
    if args.kind is None:
        for title in [*registry.KINDS.values(), "recipes", "domains"]:
            _print(title, _rows(title), heading=True)
    else:
        _print(args.kind, _rows(args.kind), heading=False)


def _rows(kind: str) -> list[Row]:
    if kind.rstrip("s") in _OTHERS:
        return _OTHERS[kind.rstrip("s")]()
    known = [*registry.KINDS, *_OTHERS]
    if kind not in known and kind not in registry.KINDS.values():
        raise ComponentError(f"no kind '{kind}'; there are {', '.join(known)}{did_you_mean(kind, known)}")
    return [(entry.name, _component(entry)) for entry in registry.entries(kind)]


def _component(entry: registry.Entry) -> str:
    whose = "" if entry.origin == registry.BUILT_IN else f"({entry.origin})"
    return f"{entry.summary} {whose}".strip()


def _print(title: str, rows: list[Row], *, heading: bool) -> None:
    if heading and not rows:
        return
    if heading:
        print(title)
    width = max((len(name) for name, _ in rows), default=0)
    for name, summary in rows:
        print(f"{'  ' if heading else ''}{name:<{width}}  {summary}".rstrip())


def _recipes() -> list[Row]:
    return _described(shipped("recipes"))


def _domains() -> list[Row]:
    return _described(shipped("recipes") / "domains")


def _described(folder: Path) -> list[Row]:
    """Name and first comment line of the YAML files in a folder."""
    rows = []
    for path in sorted(folder.glob("*.yaml")):
        with path.open(encoding="utf-8") as file:
            first = file.readline().strip()
        summary = first.removeprefix("#").strip().removeprefix("What:").strip() if first.startswith("#") else ""
        rows.append((path.stem, summary))
    return rows


def _weights() -> list[Row]:
    from chunkygan.weights import is_present, manifest

    return [
        (entry.name, f"{entry.what}; {'here' if is_present(entry) else f'not here: {entry.file} from {entry.origin}'}")
        for entry in sorted(manifest().values(), key=lambda entry: entry.name)
    ]


_OTHERS: dict[str, Callable[[], list[Row]]] = {"recipe": _recipes, "domain": _domains, "weight": _weights}
