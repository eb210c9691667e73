"""Shows one component (what it is, whose it is, the arguments a recipe can give it), or what is in a weight file."""

from __future__ import annotations

import argparse
import inspect
import re

from chunkygan import registry
from chunkygan.errors import ComponentError
from chunkygan.wording import known


def configure(parser: argparse.ArgumentParser) -> None:
    kinds = ", ".join(registry.KINDS)
    parser.add_argument("kind", metavar="KIND_OR_FILE", help=f"one of {kinds}; or a weight file, and then nothing else")
    parser.add_argument("name", metavar="NAME", nargs="?", help="as `chunkygan list KIND` shows it")


def run(args: argparse.Namespace) -> None:
    if args.name is None:
        _show_file(args.kind)
    else:
        _show_component(args)


def _show_file(name: str) -> None:
    if name in (*registry.KINDS, *registry.KINDS.values()):
        raise ComponentError(f"show {name}: name one of them; {known(registry.names(name))}")

    from chunkygan.checkpoint_files.inspected import inspected
    from chunkygan.weights import find

    for label, text in inspected(find(name)).lines():
        print(f"{label + ':':<13}{text}")


def _show_component(args: argparse.Namespace) -> None:
    from chunkygan.jobs import INJECTED
    from chunkygan.signatures import described, signature

    entry = registry.find(args.kind, args.name)
    component = entry.load()
    doc = inspect.getdoc(component) or ""
    print(f"{entry.kind}: {entry.name}\n{_description(doc)}\n\nfrom: {entry.origin}, {_place(component)}")
    explained = _explained(doc)
    print("\narguments:")
    shown = [p for p in signature(component).parameters.values() if p.name not in INJECTED[entry.kind]]
    for parameter in shown:
        kind = f" ({described(parameter.annotation)})" if parameter.annotation is not None else ""
        default = "required" if parameter.required else f"default {parameter.default!r}"
        print(f"  {parameter.name}: {default}{kind}")
        if parameter.name in explained:
            print(f"      {explained[parameter.name]}")
    if not shown:
        print("  none")


def _description(doc: str) -> str:
    """What stands before the first section of a docstring."""
    return re.split(r"\n\s*(?:Args|Attributes|Returns|Raises|Source):", doc, maxsplit=1)[0].strip()


def _place(component: object) -> str:
    return f"{getattr(component, '__module__', '?')}.{getattr(component, '__qualname__', '?')}"


def _explained(doc: str) -> dict[str, str]:
    """Argument -> its text in the docstring's ``Args`` section."""
    _, found, rest = doc.partition("Args:\n")
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in rest.splitlines() if found else ():
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth == 0:
            break  # the next section
        head, colon, text = line.strip().partition(":")
        if colon and depth == 4:
            names = [name.strip() for name in head.split(",")]
            texts.update(dict.fromkeys(names, text.strip()))
        else:
            texts.update({name: f"{texts[name]} {line.strip()}".strip() for name in names})
    return texts
