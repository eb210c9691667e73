"""Finds directions for a generator from a classifier, and writes them with a table of what each one does."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.direction import Direction, sounds_geometric
from chunkygan.direction_search.attribute import Measured, best_rows, measured, on_rows, row_ranges
from chunkygan.direction_search.linear import closed_form, conditioned, principal, separating
from chunkygan.direction_search.response import Responder, most_specific, responder
from chunkygan.directions_file import write_directions
from chunkygan.errors import RecipeError
from chunkygan.files import atomic_write, write_json
from chunkygan.images import write_image
from chunkygan.interfaces import Generator
from chunkygan.loading import frozen
from chunkygan.pictures import grid
from chunkygan.sampling import sample_ws
from chunkygan.weights import find, sha256
from chunkygan.wording import did_you_mean

STRIP = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


def train(
    out_dir: Path,
    seed: int,
    *,
    generator: Mapping[str, Any],
    classifier: Mapping[str, Any],
    identity: Mapping[str, Any] | None = None,
    attributes: list[str] | None = None,
    keep: list[str] | None = None,
    along: dict[str, list[str]] | None = None,
    samples: int = 10000,
    tried: int = 48,
    rows: list[int] | None = None,
    components: int = 8,
    channels: int = 5,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Finds one direction an attribute, and unsupervised ones.

    Args:
        out_dir: gets ``directions.safetensors``, ``table.md``, ``effects.json``, ``scores.txt``, ``strips.png``,
            ``channels.csv`` (the channels of S that change one attribute and little else) and
            ``unsupervised/*.safetensors`` (principal axes of W, closed-form directions).
        attributes: names of the classifier's; null: all.
        keep: attributes that every direction leaves as they are, itself apart; null: all the others.
        along: attribute -> those that may change with it all the same, since they hardly come without it.
        samples: pictures that the classifier looks at.
        tried: codes on which directions are measured.
        rows: [first, last + 1] of the rows of W+ that directions move; null: those that serve each one best.
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
    wanted = _known(attributes or list(judge.names), judge.names, "training.attributes")
    kept = _known(list(judge.names) if keep is None else keep, judge.names, "training.keep")
    free = {name: _known(others, judge.names, f"training.along.{name}") for name, others in (along or {}).items()}
    _known(list(free), judge.names, "training.along")
    ranges = row_ranges(drawer.num_ws) if rows is None else [_rows(rows, drawer)]
    ws = sample_ws(drawer, samples, seed=seed)
    person = None if identity is None else create("identity", identity).to(device)
    reader, responses = responder(drawer, judge, ws, person)
    normals = separating(ws[:, 0], responses).cpu()
    codes = ws[:, 0].cpu()
    covariance = (codes - codes.mean(0)).T @ (codes - codes.mean(0)) / len(codes)
    some, found = ws[:tried], []
    for name in wanted:
        index = judge.names.index(name)
        others = [judge.names.index(other) for other in kept if other not in (name, *free.get(name, ()))]
        vector = conditioned(normals, covariance, index, others).to(device)
        best = best_rows(reader, some, vector, index, ranges)
        found.append(measured(reader, some, name, vector, best, index))
        print(f"{name}: rows {best}, own share {found[-1].own:.2f}", flush=True)
    digest = sha256(find(generator["weights"])) if generator.get("weights") else None
    path = out_dir / "directions.safetensors"
    named = [replace(m.direction, geometric=sounds_geometric(m.direction.name)) for m in found]
    write_directions(path, named, generator_sha256=digest)
    _write_tables(out_dir, found, judge.names, wanted)
    write_image(out_dir / "strips.png", strips(reader, found, some))
    _write_channels(out_dir / "channels.csv", reader, some[: max(2, tried // 3)], judge.names, wanted, channels)
    _write_unsupervised(out_dir / "unsupervised", drawer, codes, components, digest)
    return path


def table(found: Sequence[Measured], names: Sequence[str]) -> str:
    """Markdown: what strength 1 of each direction does to each attribute, in standard deviations; its own in bold."""
    head = ["direction", "rows", *names, "identity", "code"]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for m in found:
        d = m.direction
        cells = [
            f"**{value:.2f}**" if name == d.name else f"{value:.2f}" for name, value in zip(names, m.slopes.tolist())
        ]
        rows = "all" if d.rows is None else f"{d.rows[0]} to {d.rows[1] - 1}"
        person = "" if m.identity is None else f"{m.identity:.3f}"
        lines.append(f"| {d.name} | {rows} | {' | '.join(cells)} | {person} | {m.length:.2f} |")
    return "\n".join(lines) + "\n"


def strips(reader: Responder, found: Sequence[Measured], ws: Tensor) -> Tensor:
    """One picture (3, h, w): a row for each direction, its code moved by the strengths of `STRIP`."""
    rows = []
    for i, m in enumerate(found):
        d = m.direction
        step = on_rows(d.vector.to(ws) * d.native_strength, d.rows or (0, ws.shape[1]), ws.shape[1])
        rows.append(reader.pictures(torch.cat([ws[i % 4][None] + strength * step for strength in STRIP])))
    return grid(torch.cat(rows), len(STRIP))


def _write_tables(out_dir: Path, found: Sequence[Measured], names: Sequence[str], wanted: Sequence[str]) -> None:
    text = table(found, names)
    atomic_write(out_dir / "table.md", lambda file: file.write(text.encode()))
    scores = {f"own_share_{name}": m.own for name, m in zip(wanted, found)}
    lines = "".join(f"{name} {value:.4f}\n" for name, value in scores.items())
    atomic_write(out_dir / "scores.txt", lambda file: file.write(lines.encode()))
    effects = {
        m.direction.name: {"slopes": dict(zip(names, m.slopes.tolist())), "identity": m.identity, "code": m.length}
        for m in found
    }
    write_json(out_dir / "effects.json", effects)


def _write_channels(
    path: Path, reader: Responder, ws: Tensor, names: Sequence[str], wanted: Sequence[str], count: int
) -> None:
    slopes = reader.channel_slopes(ws).cpu()
    widths = torch.tensor(reader.generator.style_dims)
    layer = torch.repeat_interleave(torch.arange(len(widths)), widths)
    place = torch.cat([torch.arange(int(width)) for width in widths])
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["attribute", "channel", *names])
    for name in wanted:
        for c in most_specific(slopes, names.index(name), count):
            row = [f"{value:.4f}" for value in slopes[:, c].tolist()]
            writer.writerow([name, f"s{int(layer[c])}.{int(place[c])}", *row])
    atomic_write(path, lambda file: file.write(text.getvalue().encode()))


def _write_unsupervised(folder: Path, generator: Generator, codes: Tensor, count: int, digest: str | None) -> None:
    axes, spread = principal(codes, count)
    own = [Direction(f"principal_{i}", "w", a, None, float(s)) for i, (a, s) in enumerate(zip(axes, spread))]
    write_directions(folder / "principal.safetensors", own, generator_sha256=digest)
    length = float(codes.std(0).mean())
    found = closed_form(generator, count).cpu()
    own = [Direction(f"closed_form_{i}", "w", vector, None, length) for i, vector in enumerate(found)]
    write_directions(folder / "closed_form.safetensors", own, generator_sha256=digest)


def _known(asked: list[str], names: Sequence[str], key: str) -> list[str]:
    for name in asked:
        if name not in names:
            raise RecipeError(
                f"{key}: the classifier knows no '{name}'; it knows {', '.join(names)}{did_you_mean(name, names)}"
            )
    return asked


def _rows(rows: Sequence[int], generator: Generator) -> tuple[int, int]:
    if len(rows) != 2 or not 0 <= rows[0] < rows[1] <= generator.num_ws:
        raise RecipeError(f"training.rows: must be [first, last + 1] within 0 to {generator.num_ws}; got {list(rows)}")
    return rows[0], rows[1]
