"""The report as one HTML file: no scripts, small pictures within, the large ones linked beside it."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from chunkygan.evaluation.html_style import STYLE
from chunkygan.evaluation.measures import Measure
from chunkygan.evaluation.rows import Row
from chunkygan.evaluation.scatter import panel_svg, panels_of
from chunkygan.evaluation.scores import ScoreFolder, Scores
from chunkygan.evaluation.table import Line, number, outside, shown_wins, wins

THUMBNAIL = 256  # longer side of a picture within the file, in pixels


@dataclass(frozen=True)
class Report:
    """All that the report tells.

    Args:
        title, facts: the headline, and short lines below it: set, pictures, machine.
        scores: of all fits.
        table: its lines.
        measures: in the order of the columns.
        baseline: name of the row that ratios refer to.
        budget: lines about steps and starts; the first one says whether they are equal.
        failures: (picture, row) -> why.
        folder: where pictures lie.
    """

    title: str
    facts: Sequence[str]
    scores: Scores
    table: Sequence[Line]
    measures: Sequence[Measure]
    baseline: str
    budget: Sequence[str]
    failures: Mapping[tuple[str, str], str]
    folder: ScoreFolder

    @property
    def main(self) -> str:
        """The measure that orders pictures: the fit's perceptual distance."""
        return next((m.name for m in self.measures if m.name.startswith("lpips")), self.measures[0].name)


def html(report: Report) -> str:
    """The whole document."""
    sections = [
        f"<h1>{escape(report.title)}</h1>",
        f"<p class=facts>{' · '.join(map(escape, report.facts))}</p>",
        _table(report),
        _budget(report),
        _wins(report),
        "<h2>Picture by picture</h2>",
        "<p>One point a picture; below the diagonal the row is better than its counterpart.</p>",
        *(_scatter(report, measure) for measure in report.measures),
        f"<h2>Best, median and worst by {escape(report.main)}</h2>",
        *(_examples(report, line.row) for line in report.table),
        _failures(report),
        "<h2>What was measured</h2>",
        _measures(report),
        "<h2>Rows</h2>",
        _rows(report),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">\
<title>{escape(report.title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>\n' + "\n".join(sections) + "\n</body></html>\n"


def extremes(scores: Scores, row: str, measure: str) -> list[tuple[str, str]]:
    """("best" | "median" | "worst", picture) of a row; fewer where it has fewer than three pictures.

    The median is the lower one of the two in the middle.
    """
    known = sorted(
        (values[measure], picture)
        for (picture, name), values in scores.items()
        if name == row and values.get(measure, float("nan")) == values.get(measure)
    )
    if not known:
        return []
    picked = {"best": known[0], "median": known[(len(known) - 1) // 2], "worst": known[-1]}
    found: dict[str, str] = {}
    for title, (_, picture) in picked.items():
        found.setdefault(picture, title)
    return [(title, picture) for picture, title in found.items()]


def _table(report: Report) -> str:
    head = ["row", "n", *(m.name for m in report.measures), "outside the masks", "steps", "s"]
    body = []
    for line in report.table:
        cells = [_cell(line, m.name, report) for m in report.measures]
        texts = [escape(outside(line)), number(line.steps, ".0f"), number(line.seconds, ".1f")]
        body.append([escape(line.row.name), str(line.fits), *cells, *texts])
    note = (
        f"Mean ± standard deviation, then the ratio to {report.baseline} on the same pictures. Lower is better; the "
        "best mean is bold. Outside the masks: the largest difference of any channel of any pixel, where a row "
        "keeps the photo."
    )
    return _html_table([escape(text) for text in head], body) + f"<p class=note>{escape(note)}</p>"


def _cell(line: Line, measure: str, report: Report) -> str:
    cell = line.cells[measure]
    if cell.mean is None:
        return "-"
    best = min(own.mean for other in report.table if (own := other.cells[measure]).mean is not None)
    mean = f"<b>{cell.mean:.4f}</b>" if cell.mean == best else f"{cell.mean:.4f}"
    ratio = "" if cell.ratio is None else f"<br><small>× {cell.ratio:.2f}</small>"
    return f"{mean} ± {cell.sd:.4f}{ratio}"


def _budget(report: Report) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in report.budget[1:])
    return f"<p><strong>{escape(report.budget[0])}</strong></p><ul>{items}</ul>"


def _wins(report: Report) -> str:
    names = [m.name for m in report.measures]
    compared = [line for line in report.table if line.row.against]
    body = [
        [escape(line.row.name), escape(line.row.against), *(shown_wins(line.cells[name]) for name in names)]
        for line in compared
    ]
    first = "<h2>Pictures on which a row is better</h2>"
    first += _html_table(["row", "than", *map(escape, names)], body) if body else ""
    rows = [line.row.name for line in report.table]
    matrix = [[escape(row), *(_pair(report, row, other) for other in rows)] for row in rows]
    return first + (
        f"<details><summary>Every row against every other, {escape(report.main)}</summary>"
        + _html_table(["better than", *map(escape, rows)], matrix)
        + "</details>"
    )


def _pair(report: Report, row: str, other: str) -> str:
    better, pairs = wins(report.scores, row, other, report.main)
    return "" if row == other else f"{better} of {pairs}" if pairs else "-"


def _scatter(report: Report, measure: Measure) -> str:
    panels = panels_of(report.scores, [line.row for line in report.table], measure.name)
    return "<div class=plots>" + "".join(panel_svg(panel) for panel in panels) + "</div>" if panels else ""


def _examples(report: Report, row: Row) -> str:
    picked = extremes(report.scores, row.name, report.main)
    groups = [_example(report, row, title, picture) for title, picture in picked]
    return f"<h3>{escape(row.name)}</h3><div class=examples>{''.join(groups)}</div>" if groups else ""


def _example(report: Report, row: Row, title: str, picture: str) -> str:
    folder = report.folder
    shown = [("target", "", folder.target(picture))]
    for name in filter(None, (row.against, row.name)):
        value = report.scores.get((picture, name), {}).get(report.main)
        shown.append((name, "" if value is None else f"{value:.4f}", folder.reconstruction(picture, name)))
    if row.chunks:
        shown.append(("masks", "", folder.masks(picture, row.name)))
    figures = "".join(_figure(folder.out, *item, picture) for item in shown)
    return f"<section><h4>{title}: {escape(picture)}</h4><div class=figures>{figures}</div></section>"


def _figure(out: Path, title: str, value: str, path: Path, picture: str) -> str:
    if not path.is_file():
        return ""
    link = quote(path.relative_to(out).as_posix())
    alt = escape(f"{title} of {picture}")
    caption = f"{escape(title)}{f' <span>{value}</span>' if value else ''}"
    image = f'<a href="{link}"><img src="{thumbnail(path)}" alt="{alt}"></a>'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def thumbnail(path: str | os.PathLike[str]) -> str:
    """A picture file as a small JPEG in a data URI."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=92)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _failures(report: Report) -> str:
    if not report.failures:
        return ""
    body = [[escape(picture), escape(row), escape(why)] for (picture, row), why in report.failures.items()]
    return "<h2>What failed</h2>" + _html_table(["picture", "row", "why"], body, kind="words")


def _measures(report: Report) -> str:
    body = [[escape(text) for text in (m.name, m.what, m.size, m.pixels, m.source)] for m in report.measures]
    return _html_table(["measure", "network", "size", "pixels", "asked for by"], body, kind="words")


def _rows(report: Report) -> str:
    body = []
    for line in report.table:
        row = line.row
        masks = "-" if not row.chunks else _spec(row.mask_generator) if row.mask_generator else "of the set"
        body.append([escape(text) for text in (row.name, _spec(row.latent_space), masks, _spec(row.inverter))])
    return _html_table(["row", "latent space", "masks", "inverter"], body, kind="words")


def _spec(spec: Mapping[str, object]) -> str:
    options = ", ".join(f"{key}: {value}" for key, value in spec.items() if key != "name")
    return f"{spec['name']} ({options})" if options else str(spec["name"])


def _html_table(head: Sequence[str], body: Sequence[Sequence[str]], *, kind: str = "numbers") -> str:
    """Cells are HTML already; those of numbers do not wrap."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    rows = "".join(f"<tr><th>{cells[0]}</th>{''.join(f'<td>{c}</td>' for c in cells[1:])}</tr>" for cells in body)
    return f'<div class="table {kind}"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'
