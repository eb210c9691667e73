"""What a search of directions writes beside them: tables, strips, channels of S, unsupervised directions."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from chunkygan.direction_search.attribute import Measured, on_rows
from chunkygan.direction_search.linear import closed_form, principal
from chunkygan.direction_search.response import Responder, most_specific
from chunkygan.editing.direction import Direction
from chunkygan.editing.directions_file import write_directions
from chunkygan.files import atomic_write, write_json
from chunkygan.interfaces import Generator
from chunkygan.pictures import grid

STRIP = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


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


def write_tables(out_dir: Path, found: Sequence[Measured], names: Sequence[str], wanted: Sequence[str]) -> None:
    """Writes ``table.md``, ``scores.txt`` and ``effects.json``."""
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


def write_channels(
    path: Path, reader: Responder, ws: Tensor, names: Sequence[str], wanted: Sequence[str], count: int
) -> None:
    """Writes the `count` channels of S that change each attribute most specifically, with what they do to all."""
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


def write_unsupervised(folder: Path, generator: Generator, codes: Tensor, count: int, digest: str | None) -> None:
    """Writes principal axes of codes (n, w_dim) and closed-form directions, `count` of each."""
    axes, spread = principal(codes, count)
    own = [Direction(f"principal_{i}", "w", a, None, float(s)) for i, (a, s) in enumerate(zip(axes, spread))]
    write_directions(folder / "principal.safetensors", own, generator_sha256=digest)
    length = float(codes.std(0).mean())
    found = closed_form(generator, count).cpu()
    own = [Direction(f"closed_form_{i}", "w", vector, None, length) for i, vector in enumerate(found)]
    write_directions(folder / "closed_form.safetensors", own, generator_sha256=digest)
