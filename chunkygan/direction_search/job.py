"""Finds directions for a generator from a classifier, and writes them with a table of what each one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan import registry
from chunkygan.build import create
from chunkygan.direction_search.attribute import Measured, best_rows, measured, row_ranges
from chunkygan.direction_search.linear import conditioned, decoupled, separating
from chunkygan.direction_search.response import Responder, responder
from chunkygan.direction_search.results import strips, write_channels, write_tables, write_unsupervised
from chunkygan.editing.direction import sounds_geometric
from chunkygan.editing.directions_file import write_directions
from chunkygan.errors import RecipeError
from chunkygan.images import write_image
from chunkygan.interfaces import Generator
from chunkygan.loading import frozen
from chunkygan.sampling import sample_ws, sample_z
from chunkygan.weights import find, sha256
from chunkygan.wording import did_you_mean

CLEAN = 0.85
"""Directions with at least this share of their effect on their own attribute are not decoupled."""

FAR = 3.0
"""Standard deviations of the codes that strength 1 of a decoupled direction may be; beyond, the first one stays."""


def train(
    out_dir: Path,
    seed: int,
    *,
    generator: Mapping[str, Any],
    classifier: Mapping[str, Any],
    identity: Mapping[str, Any] | None = None,
    truth: Mapping[str, Any] | None = None,
    attributes: list[str] | None = None,
    keep: list[str] | None = None,
    along: dict[str, list[str]] | None = None,
    samples: int = 10000,
    seen: int = 512,
    tried: int = 48,
    rows: list[int] | None = None,
    decouple: bool = False,
    guessed: list[str] | None = None,
    components: int = 8,
    channels: int = 5,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Finds one direction an attribute, and unsupervised ones.

    Args:
        out_dir: gets ``directions.safetensors``, ``table.md``, ``effects.json``, ``scores.txt``, ``strips.png``,
            ``channels.csv`` (the channels of S that change one attribute and little else) and
            ``unsupervised/*.safetensors`` (principal axes of W, closed-form directions).
        truth: data set that knows what the generator's latents stand for; its parameters then take the place of what
            the classifier says of samples, and those that the classifier does not know are kept too.
        attributes: names of the classifier's; null: all.
        keep: attributes, or parameters, that every direction leaves as they are, itself apart; null: all the others.
        along: attribute -> those that may change with it all the same, since they hardly come without it.
        samples: codes that directions are found from; the classifier looks at the pictures of all of them.
        seen: where the truth is known, the classifier looks at so many only, for the unit.
        tried: codes on which directions are measured.
        rows: [first, last + 1] of the rows of W+ that directions move; null: those that serve each one best.
        decouple: combine the directions that were found so that, as measured, none changes another's attribute; needs
            `rows`.
        guessed: attributes that the classifier tells badly, and that `decouple` therefore does not look at.
        components: unsupervised directions of each kind.
        channels: of S, listed for each attribute.

    Returns:
        The file of directions.

    Raises:
        RecipeError: an attribute that the classifier does not know, or rows that the generator has not.
    """
    device = "cuda" if (trainer or {}).get("accelerator") in ("gpu", "cuda") else "cpu"
    drawer: Generator = frozen(create("generator", generator)).to(device)
    judge = create("classifier", classifier).to(device)
    ws = sample_ws(drawer, samples, seed=seed)
    told = None if truth is None else true_responses(truth, sample_z(drawer, samples, seed=seed))
    names: Sequence[str] = judge.names if told is None else told[0]
    wanted = _known(attributes or list(judge.names), judge.names, "training.attributes")
    kept = _known(list(names) if keep is None else keep, names, "training.keep")
    free = {name: _known(others, names, f"training.along.{name}") for name, others in (along or {}).items()}
    _known(list(free), names, "training.along")
    _known(wanted, names, "truth")
    unsure = _known(guessed or [], names, "training.guessed")
    if decouple and rows is None:
        raise RecipeError("training.decouple: needs training.rows, the same for all directions")
    ranges = row_ranges(drawer.num_ws) if rows is None else [_rows(rows, drawer)]
    person = None if identity is None else create("identity", identity).to(device)
    reader, responses = responder(drawer, judge, ws if told is None else ws[:seen], person)
    responses = responses if told is None else told[1]
    normals = separating(ws[:, 0], responses.to(ws)).cpu()
    codes = ws[:, 0].cpu()
    covariance = (codes - codes.mean(0)).T @ (codes - codes.mean(0)) / len(codes)
    some, found = ws[:tried], []
    for name in wanted:
        index = judge.names.index(name)
        others = [names.index(other) for other in kept if other not in (name, *free.get(name, ()))]
        vector = conditioned(normals, covariance, names.index(name), others).to(device)
        best = best_rows(reader, some, vector, index, ranges)
        found.append(measured(reader, some, name, vector, best, index))
        print(f"{name}: rows {best}, own share {found[-1].own:.2f}", flush=True)
    if decouple:
        found = _decoupled(reader, some, found, ranges[0], {name: [*free.get(name, ()), *unsure] for name in wanted})
    digest = sha256(find(generator["weights"])) if generator.get("weights") else None
    path = out_dir / "directions.safetensors"
    named = [replace(m.direction, geometric=sounds_geometric(m.direction.name)) for m in found]
    write_directions(path, named, generator_sha256=digest)
    write_tables(out_dir, found, judge.names, wanted)
    write_image(out_dir / "strips.png", strips(reader, found, some))
    write_channels(out_dir / "channels.csv", reader, some[: max(2, tried // 3)], judge.names, wanted, channels)
    write_unsupervised(out_dir / "unsupervised", drawer, codes, components, digest)
    return path


def _decoupled(
    reader: Responder,
    ws: Tensor,
    found: Sequence[Measured],
    rows: tuple[int, int],
    free: Mapping[str, Sequence[str]],
) -> list[Measured]:
    """The directions without what they were measured to do to each other's attributes, measured anew.

    Those that do little to others are left as they are, and so are those that would have to go too far.
    """
    names = [m.direction.name for m in found]
    vectors = torch.stack([m.direction.vector * m.direction.native_strength for m in found])
    slopes = torch.stack([m.slopes for m in found])[:, [m.index for m in found]]
    better = []
    for i, m in enumerate(found):
        others = [k for k, name in enumerate(names) if k != i and name not in free[names[i]]]
        if slopes[i, i].abs() >= CLEAN * slopes[i, [i, *others]].norm():
            better.append(m)
            continue
        other = measured(reader, ws, names[i], decoupled(vectors, slopes, i, others).to(ws), rows, m.index)
        better.append(other if other.length <= FAR else m)
        print(f"{names[i]}: own share {m.own:.2f}, decoupled {other.own:.2f} ({other.length:.1f} far)", flush=True)
    return better


def true_responses(truth: Mapping[str, Any], z: Tensor) -> tuple[list[str], Tensor]:
    """Names and values (n, k), in standard deviations, of what a data set knows of latents (n, z_dim).

    Raises:
        RecipeError: a data set that knows nothing of latents.
    """
    if not hasattr(registry.get("dataset", truth["name"]), "parameters_of"):
        raise RecipeError(f"truth: '{truth['name']}' does not know what latents stand for")
    dataset = create("dataset", truth, seed=0)
    values = dataset.parameters_of(z.cpu())
    return list(dataset.parameter_names), values / values.std(0).clamp(min=1e-6)


def _known(asked: list[str], names: Sequence[str], key: str) -> list[str]:
    for name in asked:
        if name not in names:
            raise RecipeError(
                f"{key}: there is no '{name}' to tell; known are {', '.join(names)}{did_you_mean(name, names)}"
            )
    return asked


def _rows(rows: Sequence[int], generator: Generator) -> tuple[int, int]:
    if len(rows) != 2 or not 0 <= rows[0] < rows[1] <= generator.num_ws:
        raise RecipeError(f"training.rows: must be [first, last + 1] within 0 to {generator.num_ws}; got {list(rows)}")
    return rows[0], rows[1]
