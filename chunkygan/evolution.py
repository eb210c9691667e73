"""How a fit came about: composites and masks after some of its steps, as in Figure 3 of the paper."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from chunkygan.images import to_pil
from chunkygan.labels import distinct_colours
from chunkygan.pictures import enlarged, masks_picture
from chunkygan.sheet import FAINT, GAP, INK, MARGIN, PAPER, Tile, font, place_row
from chunkygan.types import Segments, Step

_TILE = 128  # longer side in pixels
_CAPTION = 44


class Evolution:
    """A listener that keeps composite and masks after some steps, and after the last one where there are any.

    Args:
        steps: as numbers of steps done; empty: it keeps nothing.

    Attributes:
        moments: (step, composite, chunks) of each.
    """

    def __init__(self, steps: Sequence[int]) -> None:
        self.steps = set(steps)
        self.moments: list[tuple[int, Tensor, Segments]] = []

    def __call__(self, step: Step) -> None:
        if self.steps and (step.step in self.steps or step.step == step.steps):
            self.moments.append((step.step, step.preview(), step.segments()))

    def sheet(self, colours: Tensor | None = None) -> Image.Image:
        """A row of composites, and below it a row of masks in the chunks' colours, (n_chunks, 3) in 0 to 255."""
        names = self.moments[0][2].names
        colours = distinct_colours(len(names)) if colours is None else colours
        above = [Tile(_tile(to_pil(image)), f"step {step}") for step, image, _ in self.moments]
        below = [Tile(_tile(masks_picture(s.masks, colours, s.static)), "") for _, _, s in self.moments]
        width, height = above[0].picture.size
        row = height + _CAPTION
        inner = max(len(above) * (width + GAP) - GAP, 480)
        sheet = Image.new("RGB", (2 * MARGIN + inner, 2 * MARGIN + 2 * row), PAPER)
        pen = ImageDraw.Draw(sheet)
        place_row(sheet, pen, above, MARGIN)
        place_row(sheet, pen, below, MARGIN + row)
        x, y = MARGIN, MARGIN + 2 * row - 24
        for name, colour in zip(names, colours.tolist()):
            end = x + 21 + pen.textlength(name, font(14))
            if end > sheet.width - MARGIN:
                pen.text((x, y), "...", FAINT, font(14))
                break
            pen.rounded_rectangle((x, y + 2, x + 13, y + 15), 3, fill=tuple(colour))
            pen.text((x + 19, y), name, INK, font(14))
            x = round(end) + 14
        return sheet


def _tile(picture: Image.Image) -> Image.Image:
    picture = enlarged(picture, _TILE)
    if max(picture.size) <= _TILE:
        return picture
    factor = _TILE / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)
