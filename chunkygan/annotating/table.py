"""How much annotating pays, as a table and as a picture: mean overlap against the number of annotated samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 480, 300, 52, 44, 14
"""Of the picture and its margins, in pixels."""

COLOURS = {"annotated": "#4c78a8", "exemplar": "#f58518"}


@dataclass(frozen=True)
class Result:
    """One trained head.

    Args:
        method: ``"annotated"``, or ``"exemplar"``: one annotated sample whose labels were carried to others.
        samples: how many were annotated, or got labels from the exemplar.
        draw: number of the draw of samples.
        miou: mean overlap on held-out samples.
        labels_miou: of the labels that were carried over; None where all were annotated.
        seconds: it took.
    """

    method: str
    samples: int
    draw: int
    miou: float
    labels_miou: float | None
    seconds: float

    @staticmethod
    def of(row: Mapping[str, str]) -> Result:
        """Of a line of the CSV file."""
        carried = float(row["labels_miou"]) if row["labels_miou"] else None
        values = int(row["samples"]), int(row["draw"]), float(row["miou"])
        return Result(row["method"], *values, carried, float(row["seconds"]))

    def row(self) -> dict[str, Any]:
        return asdict(self)


def as_table(results: Sequence[Result]) -> str:
    """Markdown: mean, standard deviation, smallest and largest of the draws; an exemplar's rows last."""
    lines = [
        "| annotated samples | mIoU | sd | smallest | largest | draws |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (method, samples), own in _groups(results).items():
        title = str(samples) if method == "annotated" else f"1, its labels carried to {samples} more"
        values = [result.miou for result in own]
        lines.append(
            f"| {title} | {statistics.mean(values):.3f} | {_spread(values):.3f} | {min(values):.3f} "
            f"| {max(values):.3f} | {len(values)} |"
        )
    carried = [result.labels_miou for result in results if result.labels_miou is not None]
    if carried:
        lines += ["", f"Labels carried over from one exemplar: mIoU {statistics.mean(carried):.3f} with those of the "
                  f"annotator, sd {_spread(carried):.3f}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def as_plot(results: Sequence[Result]) -> str:
    """SVG: every draw a dot, a line through the means; the exemplar's at one annotated sample."""
    most = max([2, *(r.samples for r in results if r.method == "annotated")])

    def x(samples: int) -> float:
        return LEFT + 16 + (WIDTH - LEFT - 40) * math.log(samples) / math.log(most)

    def y(miou: float) -> float:
        return TOP + (1 - miou) * (HEIGHT - TOP - BOTTOM)

    parts = [_frame(x, y, sorted({r.samples for r in results if r.method == "annotated"}))]
    means = []
    for (method, samples), own in _groups(results).items():
        place = x(samples) if method == "annotated" else x(1) + 9
        colour = COLOURS[method]
        parts += [f'<circle cx="{place:.1f}" cy="{y(r.miou):.1f}" r="3" fill="{colour}" opacity=".6"/>' for r in own]
        mean = statistics.mean(r.miou for r in own)
        if method == "annotated":
            means.append(f"{place:.1f},{y(mean):.1f}")
        else:
            where = f'x="{place + 8:.1f}" y="{y(mean) + 4:.1f}"'
            parts.append(f'<text {where} fill="{colour}">one exemplar, carried</text>')
    parts.append(f'<polyline points="{" ".join(means)}" fill="none" stroke="{COLOURS["annotated"]}" stroke-width="2"/>')
    style = 'font-family="sans-serif" font-size="12" fill="#333"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" {style}>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>"]) + "\n"


def _frame(x: Any, y: Any, samples: Sequence[int]) -> str:
    """Grid lines, numbers and names of the axes."""
    lines = []
    for tenth in range(0, 11, 2):
        at = y(tenth / 10)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>')
    lines += [f'<text x="{x(n):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{n}</text>' for n in samples]
    middle = (LEFT + WIDTH) / 2
    lines.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">annotated samples</text>')
    lines.append(f'<text transform="translate(14 {HEIGHT / 2 - 10}) rotate(-90)" text-anchor="middle">mIoU</text>')
    return "\n".join(lines)


def _groups(results: Sequence[Result]) -> dict[tuple[str, int], list[Result]]:
    """(method, samples) -> results, annotated ones by their number, then exemplars."""
    keys = sorted({(r.method, r.samples) for r in results})
    return {key: [r for r in results if (r.method, r.samples) == key] for key in keys}


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
