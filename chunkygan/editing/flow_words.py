"""Edits of attributes by their flow, as people write them: ``styleflow.smile=1.5``, ``flow.pt#age=-1``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chunkygan.checkpoint_files.flow_states import KIND, FlowConfig, read_flow
from chunkygan.checkpoint_files.recognition import recognised
from chunkygan.editing.component_edits import AnyEdit, ComponentEdit
from chunkygan.errors import ProjectionError, RecipeError
from chunkygan.weights import find, sha256
from chunkygan.wording import did_you_mean, known
from chunkygan.yaml_files import plain, read_yaml

SUFFIXES = (".safetensors", ".pt")


def find_flow(
    name: str, folders: Sequence[str] = (), *, digest: str | None = None, present: Path | None = None
) -> dict[str, Any] | None:
    """The spec of the edit of one attribute by a flow; None where the name is of no flow.

    Args:
        name: ``styleflow.ATTRIBUTE``, of the file ``styleflow`` in one of the folders, or ``FILE#ATTRIBUTE``.
        digest: sha256 of the generator's weight file.
        present: file with the picture's attributes, see `read_present`.

    Raises:
        ProjectionError: no such file or attribute, or a flow that was trained for another generator.
        RecipeError: all that is wrong with the present attributes.
        WeightsError: a file that cannot be read.
    """
    path, attribute = _file(name, folders)
    if path is None:
        return None
    _, config = read_flow(path)
    if attribute not in config.names:
        what = f"no attribute '{attribute}'" if attribute else "several attributes; name one, FILE#NAME"
        raise ProjectionError(f"{path} holds {what}; {known(config.names)}{did_you_mean(attribute, config.names)}")
    if digest and config.generator_sha256 not in (None, digest):
        raise ProjectionError(
            f"{path} was trained for another generator: it names weights with the sha256 "
            f"{str(config.generator_sha256)[:12]}..., this one has {digest[:12]}..."
        )
    spec: dict[str, Any] = {"name": KIND, "weights": str(path), "sha256": sha256(path), "changes": {attribute: 1.0}}
    return spec if present is None else {**spec, "present": read_present(present, config)}


def is_flow(name: str, folders: Sequence[str] = ()) -> bool:
    """Whether a name is of a flow.

    Raises:
        ProjectionError: it is, and there is no such file.
    """
    return _file(name, folders)[0] is not None


def read_present(path: Path, config: FlowConfig) -> dict[str, float]:
    """What a picture shows now, attribute -> value in its own units, from a YAML or JSON file.

    A list stands for numbered attributes: ``light: [0.9, 0.1, ...]`` for ``light_0``, ``light_1`` and so on.

    Raises:
        RecipeError: everything that is wrong with it: attributes that the flow does not know, that are no numbers or
            out of range, or that are missing and no classifier tells.
    """
    given: dict[str, Any] = {}
    for key, value in plain(read_yaml(path), str(path)).items():
        given |= {f"{key}_{i}": item for i, item in enumerate(value)} if isinstance(value, list) else {str(key): value}
    problems = [problem for name, value in given.items() for problem in _problems(name, value, config)]
    missing = [name for name in config.names if name not in given]
    if missing and config.classifier is None:
        problems.append(f"lacks {', '.join(missing)}: the flow names no classifier that could tell them")
    if problems:
        raise RecipeError(problems, str(path))
    return {name: float(value) for name, value in given.items()}


def after_edits(spec: Mapping[str, Any], edits: Sequence[AnyEdit], chunks: Sequence[int]) -> dict[str, Any]:
    """A flow's spec whose present attributes are those after earlier edits, which moved them by the same flow.

    Args:
        spec: with the attributes of the picture as it was fitted, or with none.
        edits: those before it.
        chunks: indices of the chunks that it changes; edits of none of them do not count.
    """
    present = dict(spec.get("present") or {})
    if not present:
        return dict(spec)
    _, config = read_flow(find(spec["weights"]))
    for edit in edits:
        if not isinstance(edit, ComponentEdit) or not edit.acts or edit.spec.get("sha256") != spec["sha256"]:
            continue
        for name, change in edit.spec["changes"].items() if set(edit.chunks) & set(chunks) else ():
            if name in present:
                present[name] += edit.strength * change * config.units[config.names.index(name)]
    return {**spec, "present": present}


def _problems(name: str, value: Any, config: FlowConfig) -> list[str]:
    if name not in config.names:
        return [f"{name}: the flow knows no such attribute; {known(config.names)}{did_you_mean(name, config.names)}"]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return [f"{name}: must be a finite number; got {value!r}"]
    least, most = config.ranges.get(name, (-math.inf, math.inf))
    return [] if least <= value <= most else [f"{name}: must be {least:g} to {most:g}; got {value:g}"]


def _file(name: str, folders: Sequence[str]) -> tuple[Path | None, str]:
    first, dot, attribute = name.partition(".")
    if first == KIND and dot and f".{attribute.partition('#')[0]}" not in SUFFIXES:
        paths = [Path(folder) / (KIND + suffix) for folder in folders for suffix in SUFFIXES]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            where = f"in {', '.join(folders)}" if folders else "where --directions DIR would say"
            raise ProjectionError(f"'{name}' needs a flow, {KIND}.safetensors: there is none {where}; train_styleflow")
        return path, attribute
    file, _, attribute = name.partition("#")
    path = Path(file)
    if path.suffix in SUFFIXES and path.is_file() and recognised(path).kind == KIND:
        return path, attribute
    return None, ""
