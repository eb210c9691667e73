"""Recipes: one YAML file, one run. Read, laid over its base and its domain, and checked before anything runs.

What counts, from weakest to strongest: the defaults of the job, the domain, the base, the recipe, the overrides.
Imports no torch itself; checking imports the components that the recipe names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from chunkygan import plugins
from chunkygan.domain import PARTS, load_domain
from chunkygan.errors import RecipeError
from chunkygan.jobs import JOBS, REQUIRED, Key
from chunkygan.places import shipped, shown
from chunkygan.recipe_check import check
from chunkygan.wording import did_you_mean, known
from chunkygan.yaml_files import odd_keys, plain, read_yaml

__all__ = ["Recipe", "check", "find_recipe", "load", "recipe_names"]


@dataclass(frozen=True)
class Recipe:
    """A recipe with everything filled in.

    Args:
        data: plain dicts and lists; has every key of its job, `job` among them.
        source: the file it came from, for messages.
    """

    data: dict[str, Any]
    source: str

    @property
    def job(self) -> str:
        return str(self.data["job"])

    def to_yaml(self) -> str:
        """YAML text that `load` reads back to the same data."""
        return yaml.safe_dump(self.data, sort_keys=False, allow_unicode=True, width=120)


def load(
    name_or_path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    job: str | None = None,
    on_plugin: Callable[[str], None] | None = None,
) -> Recipe:
    """A recipe, resolved and checked.

    Args:
        name_or_path: a recipe that ships, or a YAML file.
        overrides: ``"key.path=value"``, the value read as YAML.
        job: what it must be a recipe for; None: anything.
        on_plugin: told of every plugin before its code runs.

    Raises:
        RecipeError: everything that is wrong with it, one line a problem.
    """
    path = find_recipe(name_or_path)
    source = shown(path)
    data, found = _layered(path, _parse(overrides))
    found += odd_keys(data)
    found += _run_plugins(data, on_plugin)
    found += _fill(data)
    if job and data.get("job") in JOBS and data["job"] != job:
        found.append(f"job: this is a recipe for '{data['job']}'; a recipe for '{job}' is needed")
    found += [line for line in check(data) if line not in found]
    if found:
        raise RecipeError(found, source)
    order = list(JOBS[data["job"]])
    return Recipe({key: data[key] for key in order}, source)


def recipe_names() -> list[str]:
    """The recipes that ship."""
    return sorted(path.stem for path in shipped("recipes").glob("*.yaml"))


def find_recipe(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a recipe given by name or path.

    Raises:
        RecipeError: there is none; lists those that ship, with a near match.
    """
    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    if path.suffix in (".yaml", ".yml") or path.name != text:
        if path.is_file():
            return path
        raise RecipeError(f"no recipe file '{text}'")
    names = recipe_names()
    if text in names:
        return shipped("recipes") / f"{text}.yaml"
    raise RecipeError(f"no recipe '{text}'; {known(names)}{did_you_mean(text, names)}; a file is named with its .yaml")


def _layered(path: Path, overrides: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The recipe over its base, the overrides over both, and what is wrong with the base."""
    own = _read(path)
    problems: list[str] = []
    base_name = overrides.pop("base", own.pop("base", None))
    if base_name is not None:
        base, problems = _read_base(base_name, path)
        own = _laid_over(base, own)
    return _laid_over(own, overrides), problems


def _read(path: Path) -> dict[str, Any]:
    data = plain(read_yaml(path), shown(path))
    data["plugins"] = _absolute(data.get("plugins"), path.parent)
    return data


def _read_base(name: Any, path: Path) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(name, str):
        return {}, [f"base: must be the name or file of a recipe; got {name!r}"]
    beside = path.parent / name
    try:
        base = _read(beside if beside.is_file() else find_recipe(name))
    except RecipeError as error:
        return {}, [f"base: {line}" for line in str(error).splitlines()]
    if "base" in base:
        return {}, [f"base: '{name}' has a base itself ('{base['base']}'); only one level is allowed"]
    return base, []


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`. Maps merge key by key, except that a component with another name replaces the one below;
    plugins add up."""
    merged = deepcopy(below)
    for key, value in above.items():
        under = merged.get(key)
        if key == "plugins" and isinstance(value, list) and isinstance(under, list):
            merged[key] = list(dict.fromkeys([*under, *value]))
        elif isinstance(value, dict) and isinstance(under, (dict, str)) and not _is_other(under, value):
            merged[key] = _laid_over(_component(under), value)
        else:
            merged[key] = deepcopy(value)
    return merged


def _is_other(below: Any, above: dict[str, Any]) -> bool:
    return "name" in above and above["name"] != _component(below).get("name")


def _component(spec: Any) -> Any:
    """A component spec; a bare name stands for one without arguments."""
    return {"name": spec} if isinstance(spec, str) else spec


def _parse(overrides: Sequence[str]) -> dict[str, Any]:
    merged: Any = OmegaConf.create()
    problems = []
    for text in overrides:
        key, sign, _ = text.partition("=")
        if not sign or not key.strip("."):
            problems.append(f"override '{text}': must be key.path=value")
            continue
        try:
            merged = OmegaConf.merge(merged, OmegaConf.from_dotlist([text]))
        except Exception as error:  # YAML's and OmegaConf's own errors share no base
            problems.append(f"override '{text}': {str(error).strip().partition(chr(10))[0]}")
    if problems:
        raise RecipeError(problems)
    data = plain(merged, "overrides")
    if "plugins" in data:
        data["plugins"] = _absolute(data["plugins"], Path())
    return data


def _absolute(named: Any, folder: Path) -> Any:
    """Plugins with their files' paths made absolute, so that a saved recipe finds them from anywhere."""
    if named is None:
        return []
    if not isinstance(named, list):
        return named  # the check says what is wrong with it
    return [str((folder / p).absolute()) if isinstance(p, str) and plugins.is_file(p) else p for p in named]


def _run_plugins(data: dict[str, Any], on_plugin: Callable[[str], None] | None) -> list[str]:
    named = data.get("plugins")
    found: list[str] = []
    for plugin in named if isinstance(named, list) else ():
        if not isinstance(plugin, str):
            continue
        if on_plugin:
            on_plugin(plugin)
        try:
            plugins.run(plugin)
        except RecipeError as error:
            found += error.problems
    return found


def _fill(data: dict[str, Any]) -> list[str]:
    """Fills in what the domain and the job's defaults say, and what is wrong with the domain."""
    keys = JOBS.get(data["job"]) if isinstance(data.get("job"), str) else None
    if keys is None:
        return []
    problems = _fill_from_domain(data, [key for key in PARTS if key in keys])
    _fill_keys(data, keys)
    return problems


def _fill_keys(data: dict[str, Any], keys: dict[str, Key]) -> None:
    """Writes bare names out as components, and fills in the defaults of absent keys, at every depth."""
    for name, key in keys.items():
        if name in data:
            data[name] = _written_out(data[name], key)
        if key.default is REQUIRED:
            continue
        if key.default is None:
            data.setdefault(name, None)
        elif data.get(name) is None:
            data[name] = deepcopy(key.default)
        elif isinstance(data[name], dict) and "name" not in data[name] and isinstance(key.default, dict):
            data[name] = {**deepcopy(key.default), **data[name]}


def _written_out(value: Any, key: Key) -> Any:
    if key.presets and isinstance(value, str):
        word: Any = value if value in key.presets else _component(value)
        return [word] if key.many == "list" else word
    if key.many == "map" and isinstance(value, dict):
        return {name: _written_out(item, replace(key, many=None)) for name, item in value.items()}
    if key.many == "list" and isinstance(value, list):
        return [_written_out(item, replace(key, many=None)) for item in value]
    if key.fields and isinstance(value, dict):
        _fill_keys(value, key.fields)
    return _component(value) if key.kind else value


def _fill_from_domain(data: dict[str, Any], parts: Sequence[str]) -> list[str]:
    name = data.get("domain")
    if not isinstance(name, str):
        return []
    try:
        domain = load_domain(name)
    except RecipeError as error:
        return str(error).splitlines()
    for key in parts:
        given, offered = data.get(key), domain.parts.get(key)
        if offered is None or (key in data and given is None):  # null: goes without
            continue
        # A section with a name of its own stands alone; one without changes the domain's.
        if key not in data:
            data[key] = deepcopy(offered)
        elif isinstance(given, dict) and "name" not in given:
            data[key] = _laid_over(offered, given)
    return []
