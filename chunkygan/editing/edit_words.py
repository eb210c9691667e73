"""What people write for edits: ``smile=1.5``, ``age.npy=-2``, ``s9.409=5``; and the directions behind the names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from chunkygan import registry
from chunkygan.build import create
from chunkygan.checkpoint_files.flow_states import KIND
from chunkygan.domain import Domain, domain_names, load_domain
from chunkygan.editing.direction import Direction, sounds_geometric
from chunkygan.editing.directions import read_direction, read_directions
from chunkygan.editing.flow_words import find_flow
from chunkygan.editing.moves import channel_direction
from chunkygan.errors import ProjectionError
from chunkygan.interfaces import Generator
from chunkygan.weights import find, manifest
from chunkygan.wording import did_you_mean, known

SEVERAL = "directions.safetensors"
"""What `find_directions` writes into its run folder."""

SUFFIXES = (".npy", ".pt", ".safetensors")
_CHANNEL = re.compile(r"s(\d+)\.(\d+)")


@dataclass
class EditWords:
    """One edit as it was asked for.

    Args:
        name: a direction's file or name; ``FILE#NAME`` for one of several in a file; ``s<layer>.<channel>`` of S.
        strengths: one, or those of a sweep.
        chunks: names; empty: all.
        rows: of W+; None: the direction's own.
        refine: steps in which it is fitted to the picture; 0: none.
        masks: whether masks that can move go along; None: where the direction is geometric and moves all chunks.
    """

    name: str
    strengths: tuple[float, ...]
    chunks: list[str] = field(default_factory=list)
    rows: tuple[int, int] | None = None
    refine: int = 0
    masks: bool | None = None


class Found(NamedTuple):
    """What a name stands for.

    Args:
        direction: of the length that strength 1 is in its file; or the spec of an edit by a component.
        rows: of W+ that it is meant for; None: all, or those that the component knows.
        geometric: whether it moves what is seen, as a turn of the head does.
    """

    direction: Tensor | dict[str, Any]
    rows: tuple[int, int] | None
    geometric: bool


def parse_edit(text: str, *, sweep: bool = False) -> EditWords:
    """An edit from ``NAME=STRENGTH``, or with `sweep` from ``NAME=FROM:TO:COUNT``.

    Raises:
        ProjectionError: another form.

    >>> parse_edit("smile=-2:2:5", sweep=True).strengths
    (-2.0, -1.0, 0.0, 1.0, 2.0)
    """
    name, equals, value = text.rpartition("=")
    wanted = "NAME=FROM:TO:COUNT, such as smile=-2:2:9, COUNT 2 to 100" if sweep else "NAME=STRENGTH, such as smile=1.5"
    try:
        if not (name and equals):
            raise ValueError
        if not sweep:
            return EditWords(name, (_finite(value),))
        first, last, count = value.split(":")
        if not 2 <= int(count) <= 100:
            raise ValueError
        return EditWords(name, tuple(torch.linspace(_finite(first), _finite(last), int(count)).tolist()))
    except ValueError:
        raise ProjectionError(f"an edit must be {wanted}; got '{text}'") from None


def parse_rows(text: str) -> tuple[int, int]:
    """Rows of W+ from ``FIRST:END``, END not among them.

    Raises:
        ProjectionError: another form.
    """
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if not found:
        raise ProjectionError(f"rows must be FIRST:END, such as 2:5 for rows 2, 3 and 4; got '{text}'")
    return int(found[1]), int(found[2])


def find_direction(
    name: str,
    generator: Generator,
    folders: Sequence[str] = (),
    *,
    digest: str | None = None,
    present: Path | None = None,
) -> Found:
    """A direction by its file or name, of the length that strength 1 is in its file, and the rows it is meant for.

    A name is looked for in the folders, as a file or in a file of several, and then among the directions that the
    generator's domain brings. For an attribute of a flow it is the spec of its edit, see `find_flow`.

    Args:
        name: see `EditWords`.
        folders: in which ``NAME.npy``, ``.pt`` and ``.safetensors`` are looked for, and ``directions.safetensors``.
        digest: sha256 of the generator's weight file, which tells its domain.
        present: file with the picture's attributes, for a flow; see `chunkygan.editing.flow_words.read_present`.

    Raises:
        ProjectionError: no such direction, with a near match and what there is; or one of another generator.
        RecipeError: all that is wrong with the present attributes.
        WeightsError: a file that holds no direction of this generator.
    """
    if (channel := _CHANNEL.fullmatch(name)) is not None:
        return Found(channel_direction(generator, [(int(channel[1]), int(channel[2]), 1.0)]), None, False)
    if (flow := find_flow(name, folders, digest=digest, present=present)) is not None:
        return Found(flow, None, all(map(sounds_geometric, flow["changes"])))
    file, _, part = name.partition("#")
    path = direction_file(file, folders)
    if path is not None:
        found = read_direction(path, name=part or None, w_dim=generator.w_dim, s_dim=sum(generator.style_dims))
        return _usable(found, digest)
    several = {d.name: d for d in _of_several(generator, folders, digest)}
    if name in several:
        return _usable(several[name], digest)
    edits = [word for word in registry.names("edit") if word not in ("linear", KIND)]
    if file in edits:
        edit = create("edit", file, generator=generator)
        if getattr(edit, "direction", None) is None:
            raise ProjectionError(f"edit '{file}' has no direction; it can be applied from Python only")
        return Found(edit.direction, getattr(edit, "rows", None), bool(getattr(edit, "geometric", False)))
    names = [*edits, *_names_in(folders), *several]
    where = f" in {', '.join(folders)}" if folders else ""
    raise ProjectionError(
        f"no direction '{file}': neither a file nor a name{where}; {known(names)}{did_you_mean(file, names)}. "
        "--directions DIR names a folder of direction files"
    )


def _usable(direction: Direction, digest: str | None) -> Found:
    if digest and direction.generator_sha256 not in (None, digest):
        raise ProjectionError(
            f"direction '{direction.name}' was found for another generator: its file names weights with the sha256 "
            f"{str(direction.generator_sha256)[:12]}..., this one has {digest[:12]}..."
        )
    return Found(direction.vector * direction.native_strength, direction.rows, direction.geometric)


def _of_several(generator: Generator, folders: Sequence[str], digest: str | None) -> list[Direction]:
    """The directions in the folders' files of several, and in those of the generator's domain; of a name, the first."""
    files = [path for folder in folders if (path := Path(folder) / SEVERAL).is_file()]
    files += [find(name) for name in domain_directions(digest)]
    found: dict[str, Direction] = {}
    for file in files:
        for direction in read_directions(file, w_dim=generator.w_dim, s_dim=sum(generator.style_dims)):
            found.setdefault(direction.name, direction)
    return list(found.values())


def domain_directions(digest: str | None) -> list[str]:
    """Names of the directions that the domains of a generator's weight file bring.

    Args:
        digest: its sha256; without one, no domain is known.
    """
    return [domain.directions for domain in domains_of(digest) if domain.directions]


def domains_of(digest: str | None) -> list[Domain]:
    """The domains whose generator has a weight file of this sha256; none for None."""
    known_files = {name: entry.sha256 for name, entry in manifest().items()}
    domains = [load_domain(name) for name in domain_names()]
    return [d for d in domains if digest and known_files.get((d.generator or {}).get("weights", "")) == digest]


def _finite(text: str) -> float:
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError
    return value


def direction_file(name: str, folders: Sequence[str] = ()) -> Path | None:
    """The file that a name stands for, or that has it in one of the folders; None where there is none."""
    candidates = [Path(name)] if Path(name).suffix in SUFFIXES else []
    candidates += [Path(folder) / (name + suffix) for folder in folders for suffix in SUFFIXES]
    return next((path for path in candidates if path.is_file()), None)


def _names_in(folders: Sequence[str]) -> list[str]:
    return sorted({path.stem for folder in folders for path in Path(folder).glob("*") if path.suffix in SUFFIXES})
