"""The folder of an evaluation: each finished fit is a file of its own, so nothing is lost and any process can go on."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from chunkygan.errors import ChunkyGANError
from chunkygan.files import atomic_write, write_json

Scores = dict[tuple[str, str], dict[str, float]]
"""(picture, row) -> measures by name; what could not be measured is NaN."""


class ScoreFolder:
    """Where the scores and pictures of fits lie.

    Args:
        out: the run folder.
        rows: names of all rows; each gets a folder.
        part: the folder that holds theirs, where an evaluation has several parts.

    Files: ``targets/<picture>.png``; ``<part>/<row>/<picture>.json``, written last, with the measures; beside it
    ``<picture>.png``, the reconstruction, and ``<picture>_masks.png`` for a row with chunks.
    """

    def __init__(self, out: Path, rows: Sequence[str], part: str = "rows") -> None:
        self.out = out
        self._folders = {name: out / part / f"{number:02d}_{_plain(name)}" for number, name in enumerate(rows, 1)}

    def target(self, picture: str) -> Path:
        return self.out / "targets" / f"{picture}.png"

    def reconstruction(self, picture: str, row: str) -> Path:
        return self._folders[row] / f"{picture}.png"

    def projection(self, picture: str, row: str) -> Path:
        return self._folders[row] / f"{picture}.safetensors"

    def masks(self, picture: str, row: str) -> Path:
        return self._folders[row] / f"{picture}_masks.png"

    def write(self, picture: str, row: str, scores: dict[str, float]) -> None:
        """Keeps a fit's scores: it is done then."""
        values = {name: value if math.isfinite(value) else None for name, value in scores.items()}
        write_json(self._file(picture, row), {"image": picture, "row": row, "scores": values})

    def is_done(self, picture: str, row: str) -> bool:
        return self._file(picture, row).is_file()

    def scores(self, picture: str, row: str) -> dict[str, float]:
        """The scores of a fit that is done.

        Raises:
            ChunkyGANError: the file is damaged; says which, to be deleted.
        """
        return _scores_in(self._file(picture, row))

    def read(self, pictures: Iterable[str]) -> Scores:
        """The scores of all fits that are done.

        Raises:
            ChunkyGANError: a file is damaged; says which, to be deleted.
        """
        found: Scores = {}
        for picture in pictures:
            for row in self._folders:
                path = self._file(picture, row)
                if path.is_file():
                    found[picture, row] = _scores_in(path)
        return found

    def _file(self, picture: str, row: str) -> Path:
        return self._folders[row] / f"{picture}.json"


def write_csv(path: Path, scores: Scores, failures: dict[tuple[str, str], str] | None = None) -> None:
    """One line for each picture and row: all measures, and why it failed."""
    done = [{"image": image, "row": row, **values} for (image, row), values in scores.items()]
    failed = [{"image": image, "row": row, "error": error} for (image, row), error in (failures or {}).items()]
    write_lines(path, [*done, *failed], ["image", "row"])


def write_lines(path: Path, lines: Sequence[Mapping[str, object]], first: Sequence[str]) -> None:
    """Lines as CSV: the columns `first`, then all others in the order in which they come up, ``error`` last."""
    others = dict.fromkeys(name for line in lines for name in line if name not in (*first, "error"))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*first, *others, "error"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    atomic_write(path, lambda file: file.write(text.getvalue().encode()))


def _scores_in(path: Path) -> dict[str, float]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["scores"]
        return {str(name): math.nan if value is None else float(value) for name, value in values.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ChunkyGANError(f"{path}: holds no scores ({error}); delete it, and the fit is done again") from error


def _plain(title: str) -> str:
    """A title as a part of a file name."""
    return "".join(c if c.isalnum() or c in "-_+" else "-" for c in title)[:60]
