"""One sheet that shows what a fit is worth: pictures, errors, what each chunk drew, and the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from chunkygan.compositing import effective_masks
from chunkygan.images import to_pil
from chunkygan.masks import resize_masks
from chunkygan.pictures import (
    chunk_picture,
    enlarged,
    error_picture,
    masks_over,
    masks_picture,
    pixel_errors,
    progress_gif,
)
from chunkygan.shapes import check_shape
from chunkygan.sheet import FAINT, GAP, INK, MARGIN, PAPER, Tile, cut, font, place_row, place_table, rule, table_height
from chunkygan.types import Segments

__all__ = ["masks_picture", "progress_gif", "report"]

_CHUNKS_TITLE = "What each chunk draws: in colour where its mask is, with its share of the area"
_TILE = 256  # longer side of a tile of the first row, in pixels, as all lengths here
_TOP = MARGIN + 66  # below the headline
_CAPTION = 60  # below a tile of the first row: two lines
_CHUNK_CAPTION = 48  # below a chunk's tile: one line
_HEADING = 46
_NARROWEST = 640  # between the margins; the table needs it
_MEASURES = ("l2", "lpips", "identity")


def report(
    target: Tensor,
    reconstruction: Tensor,
    segments: Segments,
    drawn: Tensor,
    colours: Tensor,
    *,
    metrics: Mapping[str, float],
    baseline: Tensor | None = None,
    title: str = "Projection in chunks",
) -> Image.Image:
    """A sheet with target, reconstruction, masks and error map, then what each chunk drew, then the numbers.

    Args:
        target: (1, 3, h, w) in [-1, 1].
        reconstruction: as target.
        segments: the chunks, n_chunks of them.
        drawn: (n_chunks, 3, h, w), the whole picture of every chunk's code.
        colours: (n_chunks, 3) in 0 to 255.
        metrics: numbers by name; of a name that begins with l2, lpips or identity, ``baseline_<name>`` is shown
            beside it with the ratio.
        baseline: as target, the reconstruction by one global code; None: left out.
        title: the headline.

    Returns:
        An RGB picture; its width follows from the number of tiles of the first row.

    Raises:
        ShapeError: sizes do not agree.
    """
    sizes = check_shape(target, "1 3 h w", name="target")
    check_shape(reconstruction, "1 3 h w", name="reconstruction", **sizes)
    n = check_shape(segments.masks, "n_chunks h w", name="masks", **sizes)["n_chunks"]
    check_shape(drawn, "n_chunks 3 h w", name="drawn", n_chunks=n, **sizes)
    first = _overview(target, reconstruction, segments, colours, metrics, baseline)
    tile_w, tile_h = first[0].picture.size
    inner = max(len(first) * (tile_w + GAP) - GAP, _NARROWEST)
    columns = _columns(n, len(first))
    chunk_w = min(tile_w, (inner + GAP) // columns - GAP)
    chunks = _chunks(segments, drawn, colours, (max(1, round(chunk_w * tile_h / tile_w)), chunk_w))
    chunk_rows = [chunks[i : i + columns] for i in range(0, n, columns)]
    table = _table(metrics)
    height = _TOP + tile_h + _CAPTION + _HEADING + len(chunk_rows) * (chunks[0].picture.height + _CHUNK_CAPTION)
    height += table_height(table) + MARGIN

    sheet = Image.new("RGB", (2 * MARGIN + inner, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN - 6), cut(pen, title, inner, 28), INK, font(28))
    pen.text((MARGIN, MARGIN + 30), cut(pen, _summary(n, target, metrics), inner, 15), FAINT, font(15))
    place_row(sheet, pen, first, _TOP)
    y = _TOP + tile_h + _CAPTION
    rule(pen, y, sheet.width)
    pen.text((MARGIN, y + 12), cut(pen, _CHUNKS_TITLE, inner, 15), FAINT, font(15))
    y += _HEADING
    for row in chunk_rows:
        place_row(sheet, pen, row, y)
        y += row[0].picture.height + _CHUNK_CAPTION
    place_table(pen, table, y, sheet.width)
    return sheet


def _overview(
    target: Tensor,
    reconstruction: Tensor,
    segments: Segments,
    colours: Tensor,
    metrics: Mapping[str, float],
    baseline: Tensor | None,
) -> list[Tile]:
    """The first row's tiles."""
    static = segments.static
    errors = {"Error, chunks": pixel_errors(reconstruction, target)}
    if baseline is not None:
        errors = {"Error, one code": pixel_errors(baseline, target), **errors}
    scale = _round_up(max(float(e.flatten().quantile(0.995)) for e in (_thinned(e) for e in errors.values())))
    masks = masks_over(target, segments.masks, colours, static)
    tiles = [Tile(_scaled(to_pil(target)), "Target")]
    if baseline is not None:
        tiles.append(Tile(_scaled(to_pil(baseline)), "One code for all", _measures(metrics, "baseline_")))
    tiles.append(Tile(_scaled(to_pil(reconstruction)), "Chunks", _measures(metrics)))
    tiles.append(Tile(_scaled(masks), "Masks", f"photo kept on {_percent(static)}" if static is not None else ""))
    return tiles + [Tile(_scaled(error_picture(e, scale)), name, scale=scale) for name, e in errors.items()]


def _columns(n: int, most: int) -> int:
    """Tiles a row for n chunks: up to two more, and smaller, than the first row has, where rows come out even."""
    rows = math.ceil(n / (most + 2))
    return max(most, math.ceil(n / rows))


def _chunks(segments: Segments, drawn: Tensor, colours: Tensor, size: tuple[int, int]) -> list[Tile]:
    """One tile of a size, (height, width), a chunk."""
    shares = effective_masks(segments.masks, segments.static).detach().float().cpu()
    # enlarged before it is drawn, so that outlines are smooth
    images = F.interpolate(drawn.detach().float().cpu(), size, mode="bicubic", antialias=True)
    masks = resize_masks(shares, size)
    return [
        Tile(chunk_picture(image, mask, colour), name, _percent(share), _rgb(colour))
        for image, mask, share, colour, name in zip(images, masks, shares, colours, segments.names)
    ]


def _scaled(picture: Image.Image) -> Image.Image:
    """The picture at the size of a tile."""
    picture = enlarged(picture, _TILE)
    factor = _TILE / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


def _thinned(errors: Tensor) -> Tensor:
    """At most about a million errors, for a quantile (torch takes 16 million at most)."""
    step = max(1, math.isqrt(errors.numel() // 1_000_000))
    return errors[::step, ::step]


def _round_up(value: float) -> float:
    """The next of 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1 ... that is not below a value; at most 2."""
    if not value > 0.01:
        return 0.01
    power = 10 ** math.floor(math.log10(value))
    return round(min(2.0, next(power * step for step in (1, 1.5, 2, 3, 5, 7, 10) if power * step >= value * 0.999)), 4)


def _measures(metrics: Mapping[str, float], prefix: str = "") -> str:
    """The measures of one reconstruction in one line."""
    found = [name for name in metrics if name.startswith(_MEASURES) and f"{prefix}{name}" in metrics]
    short = sorted(found, key=lambda name: not name.startswith("l2"))[:2]
    return "   ".join(f"{name.split('_')[0].upper()} {_number(metrics[prefix + name])}" for name in short)


def _summary(n: int, target: Tensor, metrics: Mapping[str, float]) -> str:
    """The line below the headline."""
    h, w = target.shape[2:]
    parts = [f"{n} chunk{'s' if n != 1 else ''}", f"{w} x {h} pixels"]
    if "steps" in metrics:
        parts.append(f"{metrics['steps']:,.0f} steps")
    if "seconds" in metrics:
        parts.append(f"{metrics['seconds']:,.1f} seconds")
    if "peak_memory_bytes" in metrics:
        parts.append(f"{metrics['peak_memory_bytes'] / 2**20:,.0f} MB")
    return "   ·   ".join(parts)


def _table(metrics: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Header and rows: each measure, by one code and the ratio where that is known."""
    names = [name for name in metrics if name.startswith(_MEASURES)]
    if not names:
        return []
    compared = any(f"baseline_{name}" in metrics for name in names)
    rows: list[tuple[str, ...]] = [("lower is better", "one code", "chunks", "ratio") if compared else ("", "chunks")]
    for name in names:
        own, other = metrics[name], metrics.get(f"baseline_{name}")
        cells = [_measure_title(name)]
        if compared:
            cells.append("-" if other is None else _number(other))
        cells.append(_number(own))
        if compared:
            cells.append(f"{own / other:.2f}" if other else "-")
        rows.append(tuple(cells))
    return rows


def _measure_title(name: str) -> str:
    """``lpips_squeeze`` as people write it."""
    kind, _, network = name.partition("_")
    title = {"l2": "L2, mean squared difference", "lpips": "LPIPS", "identity": "identity, 1 - cosine"}.get(kind, kind)
    return f"{title} ({network})" if network else title


def _number(value: float) -> str:
    """Four significant digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1 else f"{value:#.4g}"


def _percent(share: Tensor) -> str:
    """The mean of a mask, as a share of the picture's area."""
    value = 100 * float(share.float().mean())
    return f"{value:.0f} %" if value >= 9.95 else f"{value:.1f} %"


def _rgb(colour: Tensor) -> tuple[int, int, int]:
    r, g, b = (int(c) for c in colour)
    return r, g, b
