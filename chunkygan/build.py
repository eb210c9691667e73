"""From a checked recipe to objects, by name through the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chunkygan import registry
from chunkygan.errors import ChunkyGANError, ComponentError
from chunkygan.signatures import signature


def create(kind: str, spec: Mapping[str, Any] | str, **injected: Any) -> Any:
    """The component that a spec of a recipe names.

    Args:
        kind: as in the registry.
        spec: ``{"name": ..., argument: value}``, or only the name.
        injected: what the framework offers; the constructor gets what it has an argument for.

    Raises:
        ComponentError: no such component, arguments it does not take, or a plugin whose constructor fails (says
            whose it is).
        ChunkyGANError: what the constructor itself raises on purpose.
    """
    own = {"name": spec} if isinstance(spec, str) else dict(spec)
    entry = registry.find(kind, own.pop("name"))
    component = entry.load()
    accepted = signature(component)
    both = set(own) & set(injected)
    if both:
        raise ComponentError(f"{entry.kind} '{entry.name}': {', '.join(sorted(both))} may not be set, it is filled in")
    offered = {key: value for key, value in injected.items() if key in accepted.parameters or accepted.is_open}
    missing = [p.name for p in accepted.parameters.values() if p.required and p.name not in {**own, **offered}]
    unknown = [key for key in own if key not in accepted.parameters and not accepted.is_open]
    if missing or unknown:
        raise ComponentError(_misuse(entry, missing, unknown))
    try:
        return component(**own, **offered)
    except ChunkyGANError:
        raise
    except Exception as error:
        if entry.origin == registry.BUILT_IN:  # a fault of ours keeps its traceback
            raise
        what = f"{type(error).__name__}: {error}"
        raise ComponentError(f"{entry.kind} '{entry.name}' of {entry.origin} cannot be made: {what}") from error


def _misuse(entry: registry.Entry, missing: list[str], unknown: list[str]) -> str:
    parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"takes no {', '.join(unknown)}"] * bool(unknown)
    return f"{entry.kind} '{entry.name}' of {entry.origin} {' and '.join(parts)}"
