"""Table 2 as text, the summary, the scores, and what the edits look like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from chunkygan.evaluation.calibration import Calibration, Strength
from chunkygan.evaluation.edits import TriedEdit, of_row
from chunkygan.evaluation.rows import Row, budget
from chunkygan.evaluation.scores import ScoreFolder, Scores, write_lines
from chunkygan.evaluation.table import Line, lines, rows_of_cells, shown, shown_wins
from chunkygan.files import atomic_write, write_json
from chunkygan.images import write_image
from chunkygan.sheet import GAP, MARGIN, PAPER, Tile, place_row

MEASURES = {
    "effect": "effect",
    "others": "other attributes",
    "identity_fit": "identity, fit",
    "identity_photo": "identity, photo",
    "outside": "change outside",
}
"""Of every edit, with the title of its column."""

EXPLAINED = """\
Mean ± sd over the pictures. Effect: change of the edit's own attribute, in standard deviations of the domain. Other
attributes: root mean square of their changes, in the same unit. Identity: 1 - cosine of the persons in the fit, or in
the photo, and in the edit. Change outside: mean squared change where the masks of the chunks that the edit is about are
0. Less is better but for the effect."""

SHOWN = 4  # pictures on a sheet


@dataclass(frozen=True)
class Results:
    """What an evaluation of edits found.

    Args:
        facts: what the figures depend on, in words.
        strengths: row -> edit -> how far it goes.
        scores: (picture, row) -> ``"<edit>: <measure>"`` -> value.
        baseline: name of the row that ratios refer to.
        failures: (picture, row) -> why.
    """

    facts: Sequence[str]
    calibration: Calibration
    rows: Sequence[Row]
    edits: Sequence[TriedEdit]
    strengths: Mapping[str, Mapping[str, Strength]]
    scores: Scores
    baseline: str
    failures: Mapping[tuple[str, str], str]


def write_report(out: Path, results: Results, fitted: ScoreFolder, edited: ScoreFolder) -> None:
    """Writes ``table.md``, ``summary.json``, ``scores.csv`` and ``sheet_<edit>.png``."""
    text = markdown(results)
    atomic_write(out / "table.md", lambda file: file.write(text.encode()))
    write_json(out / "summary.json", summary(results))
    failed = [{"image": image, "row": row, "error": why} for (image, row), why in results.failures.items()]
    write_lines(out / "scores.csv", [*score_lines(results), *failed], ["image", "row", "edit", "where", "strength"])
    for name in dict.fromkeys(edit.edit for edit in results.edits):
        sheet = edit_sheet(results, name, fitted, edited)
        if sheet is not None:
            write_image(out / f"sheet_{name}.png", sheet)


def markdown(results: Results) -> str:
    """The paper's table, (a) and (b), of edits of the whole picture; then everything that was measured of all edits."""
    whole = [edit for edit in results.edits if not edit.local]
    parts = [" · ".join(results.facts), _aim(results.calibration)]
    for measure, pair in (("identity_fit", "(a) fit and edit"), ("identity_photo", "(b) photo and edit")):
        parts += [f"1 - cosine of the persons, {pair}:", _paper_table(results, whole, measure)]
    compared = [row for row in results.rows if row.against]
    if compared:
        parts += ["Pictures on which a row keeps the person of the photo better than its counterpart:",
                  _wins(results, whole, compared)]  # fmt: skip
    parts += ["All measures:", _details(results), EXPLAINED, *budget(results.rows)[1]]
    return "\n\n".join(parts) + "\n"


def summary(results: Results) -> dict[str, Any]:
    """Row -> edit -> strength, slope and all measures."""
    found: dict[str, Any] = {}
    for row in results.rows:
        edits = of_row(results.edits, row.chunks)
        line = _line(results, row, [f"{edit.name}: {m}" for edit in edits for m in MEASURES])
        found[row.name] = {"against": row.against, "pictures": line.fits, "edits": {
            edit.name: {
                "edit": edit.edit, "where": edit.where, **_finite(asdict(results.strengths[row.name][edit.name])),
                "measures": {m: asdict(line.cells[f"{edit.name}: {m}"]) for m in MEASURES},
            }
            for edit in edits
        }}  # fmt: skip
    return found


def score_lines(results: Results) -> list[dict[str, Any]]:
    """One line for each picture, row and edit."""
    rows = {row.name: row for row in results.rows}
    return [
        {"image": picture, "row": name, "edit": edit.edit, "where": edit.where,
         **{key: values.get(f"{edit.name}: {key}", math.nan) for key in ("strength", *MEASURES)}}
        for (picture, name), values in results.scores.items()
        for edit in of_row(results.edits, rows[name].chunks)
    ]  # fmt: skip


def edit_sheet(results: Results, name: str, fitted: ScoreFolder, edited: ScoreFolder) -> Image.Image | None:
    """An edit on the first pictures: the photo, then the fit and the edits of every row; None before all are done."""
    pictures = [p for p in dict.fromkeys(p for p, _ in results.scores)
                if all((p, row.name) in results.scores for row in results.rows)][:SHOWN]  # fmt: skip
    if not pictures:
        return None
    tiles = [_tiles(results, name, picture, fitted, edited) for picture in pictures]
    w, h = tiles[0][0].picture.size
    size = (2 * MARGIN + len(tiles[0]) * (w + GAP) - GAP, 2 * MARGIN + len(tiles) * (h + 52))
    sheet = Image.new("RGB", size, PAPER)
    for i, line in enumerate(tiles):
        place_row(sheet, ImageDraw.Draw(sheet), line, MARGIN + i * (h + 52))
    return sheet


def _tiles(results: Results, name: str, picture: str, fitted: ScoreFolder, edited: ScoreFolder) -> list[Tile]:
    found = [Tile(Image.open(fitted.target(picture)).convert("RGB"), picture, "photo")]
    w, h = found[0].picture.size
    for row in results.rows:
        strip = Image.open(edited.reconstruction(picture, row.name)).convert("RGB")
        frames = [(0, "fit")]
        for i, edit in enumerate(of_row(results.edits, row.chunks), 1):
            if edit.edit == name:
                frames.append((i, f"{edit.where}, {results.strengths[row.name][edit.name].value:+.2f}"))
        found += [Tile(strip.crop((i * w, 0, (i + 1) * w, h)), row.name, note) for i, note in frames]
    return found


def _aim(calibration: Calibration) -> str:
    if calibration.effect is None:
        return f"All edits with strength {calibration.strength:g}."
    reach = ", ".join(f"{strength:g}" for strength in calibration.strengths)
    return (
        f"Strengths are chosen so that every edit changes its attribute by {calibration.effect:g} standard deviations "
        f"on average, by a line through the mean responses at {reach} of every row; at most {calibration.most:g}."
    )


def _line(results: Results, row: Row, measures: Sequence[str]) -> Line:
    return lines(results.scores, [row], measures, results.baseline)[0]


def _paper_table(results: Results, edits: Sequence[TriedEdit], measure: str) -> str:
    names = [f"{edit.name}: {measure}" for edit in edits]
    body = []
    for row in results.rows:
        line = _line(results, row, names)
        body.append([row.name, *(shown(line.cells[name]) for name in names)])
    return rows_of_cells(["row", *(edit.edit for edit in edits)], body)


def _wins(results: Results, edits: Sequence[TriedEdit], rows: Sequence[Row]) -> str:
    names = [f"{edit.name}: identity_photo" for edit in edits]
    body = []
    for row in rows:
        line = _line(results, row, names)
        body.append([row.name, row.against, *(shown_wins(line.cells[name]) for name in names)])
    return rows_of_cells(["row", "against", *(edit.edit for edit in edits)], body)


def _details(results: Results) -> str:
    head = ["edit", "where", "row", "effect of 1", "strength", *MEASURES.values()]
    body = []
    for edit in results.edits:
        for row in results.rows:
            if edit not in of_row(results.edits, row.chunks):
                continue
            line = _line(results, row, [f"{edit.name}: {m}" for m in MEASURES])
            cells = [line.cells[f"{edit.name}: {m}"] for m in MEASURES]
            strength = results.strengths[row.name][edit.name]
            body.append([edit.edit, edit.where, row.name, _number(strength.slope), _told(strength),
                         *(f"{c.mean:.4f} ± {c.sd:.4f}" if c.n else "-" for c in cells)])  # fmt: skip
    return rows_of_cells(head, body)


def _told(strength: Strength) -> str:
    return _number(strength.value) + (" (at most)" if strength.limited and not math.isnan(strength.value) else "")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}
