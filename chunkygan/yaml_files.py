"""YAML files read strictly: a map with text keys, no key twice, mistakes with their line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from chunkygan.errors import RecipeError
from chunkygan.places import shown


def read_yaml(path: Path) -> DictConfig:
    """The map in a YAML file, references not yet resolved.

    Raises:
        RecipeError: it cannot be read, is no YAML, no map, or has a key twice (with the line).
    """
    source = shown(path)
    try:
        content = OmegaConf.load(path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise RecipeError(f"{place}{error.problem or error.context or error}", source) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError("is no YAML text file", source) from error
    except OmegaConfBaseException as error:
        raise RecipeError(_first_line(error), source) from error
    except OSError as error:
        # OmegaConf itself raises OSError for a file that holds a single number or word.
        raise RecipeError(error.strerror or "must be a map of keys; got a single value", source) from error
    if not isinstance(content, DictConfig):
        raise RecipeError("must be a map of keys; got a list", source)
    return content


def plain(content: DictConfig, source: str) -> dict[str, Any]:
    """The content as plain dicts and lists, ``${references}`` resolved.

    Raises:
        RecipeError: a reference leads nowhere.
    """
    try:
        resolved = OmegaConf.to_container(content, resolve=True)
    except OmegaConfBaseException as error:
        raise RecipeError(_first_line(error), source) from error
    assert isinstance(resolved, dict)
    return resolved  # type: ignore[return-value]


def odd_keys(content: Any, path: str = "") -> list[str]:
    """One line for each key, at any depth, that is not text, such as a bare ``on:`` that YAML reads as true."""
    found = []
    if isinstance(content, dict):
        for key, value in content.items():
            where = f"{path}.{key}" if path else str(key)
            if not isinstance(key, str):
                found.append(f"{where}: keys must be text; YAML reads this one as {key!r}: put it into quotes")
            found += odd_keys(value, where)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            found += odd_keys(value, f"{path}[{index}]")
    return found


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
