"""Table 1 from the scores: means, spreads, ratios to one code in W+, and on how many pictures a row is better."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chunkygan.evaluation.rows import Row
from chunkygan.evaluation.scores import Scores

OUTSIDE = "outside_mask"
"""Largest difference to the photo where it is kept; only rows that keep some of it have it."""


@dataclass(frozen=True)
class Cell:
    """One measure of one row.

    Args:
        n: pictures it is known for.
        mean, sd: over them; the sd is that of a sample (n - 1), 0 for one picture; None where n is 0.
        ratio: mean over the baseline row's mean, on the pictures that both have; None where that cannot be told.
        wins: pictures on which it is below the row that this one is compared with.
        pairs: pictures on which both are known.
    """

    n: int
    mean: float | None
    sd: float | None
    ratio: float | None
    wins: int
    pairs: int


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Args:
        cells: by measure.
        fits: pictures that were fitted.
        outside: largest difference outside of the masks over all pictures, 0 to 2; None where nothing is kept.
        seconds, steps: mean of a fit; None without fits.
    """

    row: Row
    cells: dict[str, Cell]
    fits: int
    outside: float | None
    seconds: float | None
    steps: float | None


def lines(scores: Scores, rows: Sequence[Row], measures: Sequence[str], baseline: str) -> list[Line]:
    """The table.

    Args:
        measures: names.
        baseline: name of the row that ratios refer to.
    """
    return [_line(scores, row, measures, baseline) for row in rows]


def wins(scores: Scores, row: str, other: str, measure: str) -> tuple[int, int]:
    """On how many pictures a row is below another one, and on how many both are known."""
    pairs = list(zip(*_paired(scores, row, other, measure)))
    return sum(a < b for a, b in pairs), len(pairs)


def markdown(table: Sequence[Line], measures: Sequence[str], baseline: str) -> str:
    """Two tables: mean ± sd with the ratio to the baseline in brackets; and the pictures on which rows are better."""
    head = ["row", "n", *measures, "outside the masks", "steps", "s"]
    first = [[line.row.name, str(line.fits), *(shown(line.cells[name]) for name in measures), outside(line),
              number(line.steps, ".0f"), number(line.seconds, ".1f")] for line in table]  # fmt: skip
    compared = [line for line in table if line.row.against]
    second = [[line.row.name, line.row.against, *(shown_wins(line.cells[name]) for name in measures)]
              for line in compared]  # fmt: skip
    parts = [rows_of_cells(head, first), f"Mean ± sd; in brackets the ratio to {baseline}. Lower is better."]
    if compared:
        parts += ["Pictures on which a row is better than its counterpart:",
                  rows_of_cells(["row", "against", *measures], second)]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def rows_of_cells(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    texts = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in texts)


def shown(cell: Cell) -> str:
    """``0.3194 ± 0.0365 (0.87)``."""
    ratio = "" if cell.ratio is None else f" ({cell.ratio:.2f})"
    return f"{cell.mean:.4f} ± {cell.sd:.4f}{ratio}" if cell.n else "-"


def shown_wins(cell: Cell) -> str:
    return f"{cell.wins} of {cell.pairs}" if cell.pairs else "-"


def outside(line: Line) -> str:
    """The largest difference outside the masks; that there is no outside is said too."""
    return "no static mask" if line.outside is None else f"{line.outside:.3g}"


def number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _line(scores: Scores, row: Row, measures: Sequence[str], baseline: str) -> Line:
    own = [values for (_, name), values in scores.items() if name == row.name]
    cells = {name: _cell(scores, row, name, baseline) for name in measures}
    kept = _known(values.get(OUTSIDE) for values in own)
    seconds, steps = (_known(values.get(key) for values in own) for key in ("seconds", "steps"))
    return Line(row, cells, len(own), max(kept, default=None), _mean(seconds), _mean(steps))


def _cell(scores: Scores, row: Row, measure: str, baseline: str) -> Cell:
    values = _known(own.get(measure) for (_, name), own in scores.items() if name == row.name)
    mine, base = _paired(scores, row.name, baseline, measure)
    ratio = statistics.mean(mine) / statistics.mean(base) if base and statistics.mean(base) > 0 else None
    better, pairs = wins(scores, row.name, row.against, measure) if row.against else (0, 0)
    sd = None if not values else statistics.stdev(values) if len(values) > 1 else 0.0
    return Cell(len(values), _mean(values), sd, ratio, better, pairs)


def _paired(scores: Scores, row: str, other: str, measure: str) -> tuple[list[float], list[float]]:
    """The values of two rows on the pictures on which both are known."""
    found = [
        (values.get(measure, math.nan), scores.get((picture, other), {}).get(measure, math.nan))
        for (picture, name), values in scores.items()
        if name == row
    ]
    both = [(a, b) for a, b in found if math.isfinite(a) and math.isfinite(b)]
    return [a for a, _ in both], [b for _, b in both]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None
