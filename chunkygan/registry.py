"""Names of components, and the components behind them. Imports no torch; listing imports no component.

Three sources fill it: the built-in catalogue (`chunkygan.components.catalogue`, data only), entry points of installed
packages (groups ``chunkygan.generators``, ``chunkygan.latent_spaces``, ...), and `register`, which a module or ``.py``
file named under a recipe's ``plugins:`` calls.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from chunkygan.errors import ComponentError
from chunkygan.wording import did_you_mean, known

KINDS: dict[str, str] = {
    "generator": "generators",
    "discriminator": "discriminators",
    "latent_space": "latent_spaces",
    "encoder": "encoders",
    "inverter": "inverters",
    "mask_generator": "mask_generators",
    "seg_head": "seg_heads",
    "perceptual": "perceptual",
    "identity": "identity",
    "classifier": "classifiers",
    "parser": "parsers",
    "landmarks": "landmarks",
    "edit": "edits",
    "blender": "blenders",
    "dataset": "datasets",
}
"""Kind -> the name of its folder and, after ``chunkygan.``, of its entry point group."""

BUILT_IN = "the built-in catalogue"
"""Origin of the components that ship."""


@dataclass(frozen=True)
class Entry:
    """One name of one kind.

    Args:
        kind: singular, a key of `KINDS`.
        name: what a recipe calls it.
        target: ``"module:Attribute"``, imported when it is asked for, or the class or factory itself.
        summary: one line for `chunkygan list`; may be empty.
        origin: whose it is: `BUILT_IN`, ``package NAME VERSION``, or the file that registered it.
    """

    kind: str
    name: str
    target: Any
    summary: str
    origin: str

    def load(self) -> Any:
        """The class or factory.

        Raises:
            ComponentError: it cannot be imported, or is not callable; names the origin.
        """
        try:
            component = _resolve(self.target)
        except (Exception, SystemExit) as error:
            what = f"{type(error).__name__}: {error}"
            raise ComponentError(f"{self.kind} '{self.name}' of {self.origin} fails to load: {what}") from error
        if not callable(component):
            raise ComponentError(
                f"{self.kind} '{self.name}' of {self.origin} must be a class or a function; "
                f"{self.target!r} is {type(component).__name__}"
            )
        return component


def canonical_kind(kind: str) -> str:
    """The singular name of a kind given in singular or plural.

    Raises:
        ComponentError: there is no such kind.
    """
    for singular, plural in KINDS.items():
        if kind in (singular, plural):
            return singular
    raise ComponentError(f"no kind '{kind}'; {known(KINDS)}{did_you_mean(kind, KINDS)}")


def entries(kind: str) -> list[Entry]:
    """All entries of a kind, sorted by name. Imports none of them.

    Raises:
        ComponentError: no such kind, or a name that two sources claim.
    """
    return [_only(found) for _, found in sorted(_collect(canonical_kind(kind)).items())]


def names(kind: str) -> list[str]:
    """The names of a kind, sorted; a name claimed twice stands once."""
    return sorted(_collect(canonical_kind(kind)))


def find(kind: str, name: str) -> Entry:
    """The entry of that name. Imports nothing of it.

    Raises:
        ComponentError: no such kind or name (with a near match), or the name is claimed twice.
    """
    kind = canonical_kind(kind)
    found = _collect(kind)
    if name not in found:
        raise ComponentError(f"no {kind} '{name}'; {known(found)}{did_you_mean(name, found)}")
    return _only(found[name])


def get(kind: str, name: str) -> Any:
    """The class or factory of that name, imported.

    Raises:
        ComponentError: as `find`, or it fails to load.
    """
    return find(kind, name).load()


def register(kind: str, name: str, target: Any, *, summary: str = "", origin: str | None = None) -> None:
    """Adds a component for this process.

    Args:
        target: the class or factory, or ``"module:Attribute"``.
        origin: whose it is; None: the file of the caller.

    Registering the same thing from the same origin again replaces it, so that a plugin may be reloaded.

    Raises:
        ComponentError: no such kind, a target of another type, or a name that exists.
    """
    kind = canonical_kind(kind)
    if not isinstance(name, str) or not name or any(c.isspace() for c in name):
        raise ComponentError(f"a {kind}'s name must be a word; got {name!r}")
    if not callable(target) and not (isinstance(target, str) and target.count(":") == 1):
        allowed = "a class, a function or 'module:Attribute'"
        raise ComponentError(f"{kind} '{name}': target must be {allowed}; got {target!r}")
    entry = Entry(kind, name, target, summary or _first_line(target), origin or _file_of_caller())
    for other in _collect(kind).get(name, []):
        if not _is_same(entry, other):
            raise ComponentError(_clash(entry, other))
    _registered[kind, name] = entry


_registered: dict[tuple[str, str], Entry] = {}


def _collect(kind: str) -> dict[str, list[Entry]]:
    """Name -> every entry that claims it."""
    found: dict[str, list[Entry]] = {}
    own = [entry for entry in _registered.values() if entry.kind == kind]
    for entry in [*_built_in(kind), *_installed(kind), *own]:
        found.setdefault(entry.name, []).append(entry)
    return found


def _built_in(kind: str) -> list[Entry]:
    from chunkygan.components.catalogue import CATALOGUE

    return [Entry(kind, name, target, summary, BUILT_IN) for name, (target, summary) in CATALOGUE.get(kind, {}).items()]


@cache
def _installed(kind: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(kind, point.name, point.value, "", _package(point))
        for point in metadata.entry_points(group=f"chunkygan.{KINDS[kind]}")
    )


def _package(point: metadata.EntryPoint) -> str:
    return f"package {point.dist.name} {point.dist.version}" if point.dist else f"package of {point.value}"


def _only(found: list[Entry]) -> Entry:
    if len(found) > 1:
        raise ComponentError(_clash(*found[:2]))
    return found[0]


def _clash(a: Entry, b: Entry) -> str:
    return f"{a.kind} '{a.name}' exists twice: in {a.origin} and in {b.origin}; rename or remove one of them"


def _is_same(a: Entry, b: Entry) -> bool:
    def place(target: Any) -> Any:
        if isinstance(target, str):
            return target
        return getattr(target, "__module__", None), getattr(target, "__qualname__", repr(target))

    return a.origin == b.origin and place(a.target) == place(b.target)


def _resolve(target: Any) -> Any:
    if not isinstance(target, str):
        return target
    from chunkygan._torchvision import ensure_importable

    ensure_importable()
    module, _, attribute = target.partition(":")
    value: Any = importlib.import_module(module)
    for part in attribute.strip().split(".") if attribute else ():
        value = getattr(value, part)
    return value


def _first_line(target: Any) -> str:
    doc = "" if isinstance(target, str) else getattr(target, "__doc__", None) or ""
    return doc.strip().partition("\n")[0]


def _file_of_caller() -> str:
    return sys._getframe(2).f_code.co_filename
