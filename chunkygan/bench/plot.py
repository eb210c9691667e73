"""A plot of a benchmark's rows, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

WIDTH, LABELS, ROW, TOP, BOTTOM = 900, 300, 26, 64, 56
COLOURS = {"to_plain": "#3566a8", "to_global": "#c9772c"}
TITLES = {
    "to_plain": "share of a plain step (full pictures, one graph)",
    "to_global": "in steps of one code for the whole picture",
}
LIMITS = {"to_plain": 1.0, "to_global": 2.0}
"""Dashed lines: the plain step itself, and twice a global step."""

_HALO = 'stroke="#fff" stroke-width="3" paint-order="stroke"'


def plot(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Bars of both ratios, a line a case.

    Args:
        rows: of `chunkygan.bench.steps.Result.row`.
        title: one line, of the machine as a rule.
    """
    height = TOP + ROW * len(rows) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(12, 22, title, size=14),
    ]
    for i, row in enumerate(rows):
        parts.append(_text(LABELS - 10, TOP + ROW * i + 17, label(row), anchor="end"))
    span = (WIDTH - LABELS - 24) // 2
    for number, key in enumerate(TITLES):
        parts += _panel(rows, key, LABELS + number * span, span - 36, height)
    return "\n".join([*parts, "</svg>"]) + "\n"


def label(row: Mapping[str, Any]) -> str:
    """A case in a few words.

    >>> label({"resolution": 128, "chunks": 8, "masks": "face", "space": "w", "memory": "joint"})
    '128 px, 8 face, w'
    """
    words = f"{row['resolution']} px, {row['chunks']} {row['masks']}, {row['space']}"
    usual = {"memory": "joint", "precision": "32-true"}
    more = [str(row[key]) for key, value in usual.items() if row.get(key, value) != value]
    return " ".join([words, *more])


def _panel(rows: Sequence[Mapping[str, Any]], key: str, left: int, width: int, height: int) -> list[str]:
    """Bars of one ratio, its axis from 0, and its limit."""
    values = [float(row[key]) for row in rows]
    end = max([*values, LIMITS[key]], default=1.0) * 1.08
    low = height - BOTTOM + 4
    parts = [_text(left, TOP - 14, TITLES[key], colour=COLOURS[key])]
    for tick in _ticks(end):
        x = left + width * tick / end
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{low}" stroke="#e3e3e3"/>')
        parts.append(_text(x, low + 16, f"{tick:g}", anchor="middle"))
    x = left + width * LIMITS[key] / end
    parts.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{low}" stroke="#444" stroke-dasharray="4 3"/>')
    for i, value in enumerate(values):
        y = TOP + ROW * i + 4
        parts.append(
            f'<rect x="{left}" y="{y}" width="{width * value / end:.1f}" height="{ROW - 9}" fill="{COLOURS[key]}"/>'
        )
        parts.append(_text(left + width * value / end + 4, y + 13, f"{value:.2f}"))
    return parts


def _ticks(end: float) -> list[float]:
    """Three to six round numbers from 0 to an end."""
    step = next(step for step in (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if end / step <= 6)
    return [step * i for i in range(int(end / step) + 1)]


def _text(
    x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", colour: str = "#222"
) -> str:
    look = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}" {_HALO}'
    return f'<text x="{x:.1f}" y="{y}" {look}>{escape(words)}</text>'
