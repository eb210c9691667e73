"""Tiles, captions and tables on a sheet of paper; measures in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from PIL import Image, ImageDraw, ImageFont

from chunkygan.pictures import error_picture

MARGIN = 40
GAP = 16
PAPER = (252, 252, 250)
INK = (28, 30, 34)
FAINT = (112, 116, 124)
_RULE = (222, 223, 226)


@dataclass(frozen=True)
class Tile:
    """A picture and what stands below it.

    Args:
        picture: as large as it is drawn.
        title: first line.
        note: second line; beside the title where there is a swatch.
        swatch: colour of a small square before the title.
        scale: the error at the end of a colour bar, which is drawn in place of the note; 0: no bar.
    """

    picture: Image.Image
    title: str
    note: str = ""
    swatch: tuple[int, int, int] | None = None
    scale: float = 0.0


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which needs no file; it has Latin letters only."""
    return ImageFont.load_default(size=size)


def place_row(sheet: Image.Image, pen: ImageDraw.ImageDraw, row: Sequence[Tile], y: int) -> None:
    """Puts tiles beside each other, their upper edges at y."""
    x = MARGIN
    for tile in row:
        w, h = tile.picture.size
        sheet.paste(tile.picture, (x, y))
        pen.rectangle((x - 1, y - 1, x + w, y + h), outline=_RULE)
        _caption(sheet, pen, tile, x, y + h + 9)
        x += w + GAP


def _caption(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, x: int, y: int) -> None:
    """The lines below a tile."""
    width = tile.picture.width
    if tile.swatch:
        note_w = pen.textlength(tile.note, font(14))
        pen.rounded_rectangle((x, y + 2, x + 13, y + 15), 3, fill=tile.swatch)
        pen.text((x + width - note_w, y + 2), tile.note, FAINT, font(14))
        pen.text((x + 21, y), cut(pen, tile.title, width - 29 - note_w, 16), INK, font(16))
        return
    pen.text((x, y), cut(pen, tile.title, width, 16), INK, font(16))
    if tile.scale:
        _colour_bar(sheet, pen, tile.scale, x, y + 22, width)
    else:
        pen.text((x, y + 20), cut(pen, tile.note, width, 13), FAINT, font(13))


def _colour_bar(sheet: Image.Image, pen: ImageDraw.ImageDraw, scale: float, x: int, y: int, width: int) -> None:
    """The colours of errors from 0 to a scale, with both numbers."""
    end = f"{scale:g}"
    left, right = x + 14, x + width - round(pen.textlength(end, font(13))) - 6
    ramp = torch.linspace(0, scale, max(2, right - left)).expand(9, -1)
    sheet.paste(error_picture(ramp, scale), (left, y + 3))
    pen.text((x, y), "0", FAINT, font(13))
    pen.text((right + 6, y), end, FAINT, font(13))


def rule(pen: ImageDraw.ImageDraw, y: int, width: int) -> None:
    """Draws a line across a sheet of a width."""
    pen.line((MARGIN, y + 2, width - MARGIN, y + 2), _RULE)


def table_height(table: Sequence[tuple[str, ...]]) -> int:
    """Room that `place_table` needs."""
    return 26 + 28 * len(table) if table else 0


def place_table(pen: ImageDraw.ImageDraw, table: Sequence[tuple[str, ...]], y: int, width: int) -> None:
    """Draws a table below a line: header first, the first column flush left, the others flush right."""
    if not table:
        return
    rule(pen, y, width)
    y += 18
    for i, row in enumerate(table):
        ink, size = (FAINT, 14) if i == 0 else (INK, 16)
        pen.text((MARGIN, y), row[0], ink, font(size))
        for k, cell in enumerate(row[1:]):
            right = MARGIN + 400 + 110 * k
            pen.text((right - pen.textlength(cell, font(size)), y), cell, ink, font(size))
        y += 28


def cut(pen: ImageDraw.ImageDraw, text: str, width: float, size: int) -> str:
    """The text, its end replaced by dots where it is wider than allowed."""
    if pen.textlength(text, font(size)) <= width:
        return text
    while text and pen.textlength(text + "...", font(size)) > width:
        text = text[:-1]
    return text + "..."
