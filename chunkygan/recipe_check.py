"""Everything that is wrong with a recipe, at once: each problem with its key path, what is allowed, a near match."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from chunkygan import registry, signatures
from chunkygan.errors import ComponentError
from chunkygan.jobs import INJECTED, JOBS, REQUIRED, Key
from chunkygan.wording import did_you_mean, known


def check(data: dict[str, Any]) -> list[str]:
    """The problems of a recipe's content, one line each; empty where there are none.

    Imports the components that it names, to compare its keys with the arguments of their constructors.
    """
    job = data.get("job")
    if job is None:
        return [f"job: is required; {known(JOBS)}"]
    if not isinstance(job, str) or job not in JOBS:
        return [f"job: there is no job {job!r}; {known(JOBS)}{did_you_mean(str(job), JOBS)}"]
    return _check_keys(data, JOBS[job], "", f"a recipe for '{job}'")


def _check_keys(data: dict[str, Any], keys: dict[str, Key], path: str, what: str) -> list[str]:
    found = []
    for name in data:
        if isinstance(name, str) and name not in keys:
            found.append(f"{path}{name}: {what} has no such key; {known(keys)}{did_you_mean(name, keys)}")
    for name, key in keys.items():
        if name in data:
            found += _check_key(data[name], key, path + name)
        elif key.default is REQUIRED:
            found.append(f"{path}{name}: is required by {what}{_remedy(key, path)}")
    return found


def _remedy(key: Key, path: str) -> str:
    if key.kind is None or path:
        return ""
    return f"; name a {key.kind}, {{name: ...}}, or a domain that has one"


def _check_key(value: Any, key: Key, path: str) -> list[str]:
    if value is None and key.nullable:
        return []
    if key.many:
        return _check_several(value, key, path)
    if key.kind:
        return _check_component(value, key.kind, path)
    if key.section:
        return _check_section(value, key, path)
    if not signatures.fits(value, key.type):
        return [f"{path}: must be {signatures.described(key.type)}; got {value!r}"]
    return []


def _check_several(value: Any, key: Key, path: str) -> list[str]:
    if key.many == "list" and isinstance(value, list):
        items = [(f"{path}[{index}]", spec) for index, spec in enumerate(value)]
    elif key.many == "map" and isinstance(value, dict):
        items = [(f"{path}.{name}", spec) for name, spec in value.items()]
    else:
        content = f"{key.kind} components" if key.kind else f"{{{', '.join(key.fields or ())}}}"
        presets = f", or of {', '.join(key.presets)}" if key.presets else ""
        return [f"{path}: must be a {key.many} of {content}{presets}; got {value!r}"]
    return [problem for where, item in items for problem in _check_item(item, key, where)]


def _check_item(item: Any, key: Key, path: str) -> list[str]:
    if isinstance(item, str) and item in key.presets:
        return []
    if key.kind:
        found = _check_component(item, key.kind, path)
        bare = item["name"] if key.presets and isinstance(item, dict) and set(item) == {"name"} else None
        near = f"; or name a preset: {known(key.presets)}{did_you_mean(bare, key.presets)}" if bare else ""
        return [line + near for line in found]
    if not isinstance(item, dict):
        return [f"{path}: must be a map of {', '.join(key.fields or ())}; got {item!r}"]
    return _check_keys(item, key.fields or {}, f"{path}.", "each of them")


def _check_component(spec: Any, kind: str, path: str) -> list[str]:
    if not isinstance(spec, dict):
        return [f"{path}: must be a {kind}, {{name: ..., argument: value}}; got {spec!r}"]
    name = spec.get("name")
    if not isinstance(name, str):
        names = registry.names(kind)
        return [f"{path}.name: is required, the name of a {kind}; {known(names)}" + (f"; got {name!r}" if name else "")]
    try:
        component = registry.get(kind, name)
    except ComponentError as error:
        return [f"{path}.name: {error}"]
    values = {key: value for key, value in spec.items() if key != "name"}
    found = _check_arguments(values, component, name, path, INJECTED[kind])
    return found or _check_nested(values, component, path)


def _check_nested(values: dict[str, Any], component: Callable[..., Any], path: str) -> list[str]:
    """The problems of arguments that are components themselves (`chunkygan.signatures.Part`)."""
    parameters = signatures.signature(component).parameters
    kinds = {key: signatures.component_kind(parameters[key].annotation) for key in values if key in parameters}
    return [
        problem
        for key, kind in kinds.items()
        if kind is not None and values[key] is not None
        for problem in _check_component(values[key], kind, f"{path}.{key}")
    ]


def _check_section(value: Any, key: Key, path: str) -> list[str]:
    assert key.section is not None
    if not isinstance(value, dict):
        return [f"{path}: must be a map of options; got {value!r}"]
    module, _, attribute = key.section.partition(":")
    if not value:
        return []  # nothing to compare; saves an import
    target = getattr(importlib.import_module(module), attribute)
    return _check_arguments(value, target, f"'{path}'", path, key.injected)


def _check_arguments(
    values: dict[str, Any], target: Callable[..., Any], what: str, path: str, injected: tuple[str, ...]
) -> list[str]:
    return signatures.problems(values, target, what=what, path=path, injected=injected)
