"""Figure 4 as SVG: one point a picture, one row's measure against another's; below the diagonal is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from chunkygan.evaluation.rows import Row
from chunkygan.evaluation.scores import Scores

SIDE = 200  # of the square that holds the points, in units of the drawing
LEFT, TOP, RIGHT, BOTTOM = 58, 46, 14, 50
WIDTH, HEIGHT = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM
BETTER, WORSE = "#1f6fb2", "#c8501e"
_STYLE = 'font-family="system-ui, sans-serif" font-size="11" fill="#333"'


@dataclass(frozen=True)
class Panel:
    """One diagram.

    Args:
        title: above it.
        x, y: names of the axes.
        points: (picture, value on x, value on y), all finite.
    """

    title: str
    x: str
    y: str
    points: tuple[tuple[str, float, float], ...]


def panels_of(scores: Scores, rows: Sequence[Row], measure: str) -> list[Panel]:
    """A panel for every row that is compared with another one, its counterpart on the x axis."""
    panels = []
    for row in rows:
        if not row.against:
            continue
        mine = {p: values.get(measure, math.nan) for (p, name), values in scores.items() if name == row.name}
        others = {p: values.get(measure, math.nan) for (p, name), values in scores.items() if name == row.against}
        points = tuple(
            (picture, others[picture], value)
            for picture, value in mine.items()
            if picture in others and math.isfinite(value) and math.isfinite(others[picture])
        )
        panels.append(Panel(measure, row.against, row.name, points))
    return panels


def panel_svg(panel: Panel) -> str:
    """The diagram as an SVG element of `WIDTH` x `HEIGHT`; a point's tooltip names its picture."""
    values = [value for _, x, y in panel.points for value in (x, y)]
    low, high, step = _range(min(values, default=0.0), max(values, default=1.0))

    def place(value: float) -> float:
        return (value - low) / (high - low) * SIDE

    better = sum(y < x for _, x, y in panel.points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" {_STYLE}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" font-size="13" font-weight="600">{escape(panel.title)}</text>',
        f'<text x="{LEFT}" y="36">better on {better} of {len(panel.points)}</text>',
        f'<g transform="translate({LEFT} {TOP})">',
        *_axes(low, high, step, place),
        f'<path d="M0 {SIDE}L{SIDE} 0" stroke="#999" stroke-dasharray="4 3"/>',
    ]
    for name, x, y in panel.points:
        colour = BETTER if y < x else WORSE
        parts.append(
            f'<circle cx="{place(x):.1f}" cy="{SIDE - place(y):.1f}" r="3.2" fill="{colour}" fill-opacity="0.75">'
            f"<title>{escape(name)}: {x:.4g}, {y:.4g}</title></circle>"
        )
    parts += [
        f'<text x="{SIDE / 2}" y="{SIDE + 36}" text-anchor="middle">{escape(panel.x)}</text>',
        f'<text transform="translate(-44 {SIDE / 2}) rotate(-90)" text-anchor="middle">{escape(panel.y)}</text>',
        "</g></svg>",
    ]
    return "\n".join(parts)


def sheet_svg(panels: Sequence[Panel], columns: int = 4) -> str:
    """All panels side by side in one SVG document."""
    wide, high = max(1, min(columns, len(panels))), max(1, math.ceil(len(panels) / columns))
    size = f'viewBox="0 0 {wide * WIDTH} {high * HEIGHT}" width="{wide * WIDTH}" height="{high * HEIGHT}"'
    placed = [
        f'<g transform="translate({i % columns * WIDTH} {i // columns * HEIGHT})">{panel_svg(panel)}</g>'
        for i, panel in enumerate(panels)
    ]
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', *placed, "</svg>"]) + "\n"


def _axes(low: float, high: float, step: float, place: Callable[[float], float]) -> list[str]:
    """Frame, ticks and their numbers, the same on both axes."""
    parts = [f'<rect width="{SIDE}" height="{SIDE}" fill="#fafafa" stroke="#ccc"/>']
    for k in range(round((high - low) / step) + 1):
        value = low + k * step
        at = place(value)
        parts.append(f'<path d="M{at:.1f} {SIDE}v4M0 {SIDE - at:.1f}h-4" stroke="#999"/>')
        parts.append(f'<text x="{at:.1f}" y="{SIDE + 17}" text-anchor="middle" font-size="10">{value:.3g}</text>')
        parts.append(f'<text x="-8" y="{SIDE - at + 3.5:.1f}" text-anchor="end" font-size="10">{value:.3g}</text>')
    return parts


def _range(low: float, high: float) -> tuple[float, float, float]:
    """Round ends around two numbers, and a round step with at most six steps between them.

    >>> _range(0.03, 0.27)
    (0.0, 0.3, 0.05)
    """
    span = max(high - low, abs(high) * 0.01, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(power * k for k in (1, 2, 5, 10) if power * k * 5 >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return round(first * step, 12), round(max(last, first + 1) * step, 12), step
