"""How much annotating pays: the overlap of heads trained on a few annotated samples, or from one exemplar."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chunkygan.annotating.table import Result, as_plot, as_table
from chunkygan.build import create
from chunkygan.errors import RecipeError
from chunkygan.files import atomic_write
from chunkygan.interfaces import Generator
from chunkygan.lightning.seghead_propagation import propagated
from chunkygan.lightning.seghead_samples import Labelled, Pixels, choose_pixels, regular_pixels
from chunkygan.lightning.seghead_scores import mean_overlap, score_of_pixels
from chunkygan.lightning.seghead_sources import painted, parsed
from chunkygan.lightning.seghead_training import Settings, train_head
from chunkygan.loading import frozen

EVERY = 2
"""Of held-out pictures, every so many rows and columns count."""


@dataclass(frozen=True)
class _Set:
    """What all rows share: labelled pictures, their pixels, and pixels of those held out."""

    generator: Generator
    classes: Sequence[str]
    own: Labelled
    pixels: Pixels
    kept: Pixels


class AnnotationTable:
    """One head for every number of samples and every draw of them; what is finished is kept after each.

    Args:
        out: gets ``scores.csv``, ``table.md`` and ``table.svg``.
        head: component spec.
        carried: samples that one exemplar's labels are carried to; 0: leave these rows out.
    """

    def __init__(
        self, out: Path, data: _Set, head: Mapping[str, Any], settings: Settings, *, carried: int, seed: int,
        trainer: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        self.out, self.data, self.head, self.settings = out, data, head, settings
        self.carried, self.seed, self.trainer = carried, seed, trainer
        self.results = _read(out / "scores.csv")

    def run(self, counts: Sequence[int], draws: int) -> str:
        """The table, markdown, after all rows that were not there yet."""
        for draw in range(draws):
            order = torch.randperm(len(self.data.own.ws), generator=torch.Generator().manual_seed(self.seed + draw))
            for count in counts:
                self._row("annotated", count, draw, order[:count].tolist())
            if self.carried:
                self._row("exemplar", self.carried, draw, order[:1].tolist())
        table = as_table(self.results)
        atomic_write(self.out / "table.md", lambda file: file.write(table.encode()))
        atomic_write(self.out / "table.svg", lambda file: file.write(as_plot(self.results).encode()))
        return table

    def _row(self, method: str, count: int, draw: int, chosen: list[int]) -> None:
        if any((r.method, r.samples, r.draw) == (method, count, draw) for r in self.results):
            return
        began, labels = time.monotonic(), None
        if method == "exemplar":
            pixels, labels = self._carried(chosen[0])
        else:
            pixels = self.data.pixels.of(chosen)
        state = self.out / "state.ckpt"
        state.unlink(missing_ok=True)
        head = train_head(
            self.data.generator, self.head, self.data.classes, pixels, self.settings, seed=self.seed + draw,
            state=state, save_every=self.settings.steps + 1, trainer=self.trainer,
        )  # fmt: skip
        score = score_of_pixels(head, self.data.kept)
        self.results.append(Result(method, count, draw, score, labels, time.monotonic() - began))
        _write(self.out / "scores.csv", self.results)
        print(f"{method}, {count} samples, draw {draw}: mIoU {score:.3f}", flush=True)

    def _carried(self, place: int) -> tuple[Pixels, float]:
        """Pixels of an exemplar and of samples that got its labels, and the mean overlap of these labels."""
        generator, own = self.data.generator, self.data.own
        exemplar = own.part(place, place + 1)
        others = [i for i in range(len(own.ws)) if i != place][: self.carried]
        found = propagated(generator, exemplar, own.ws[others], classes=len(self.data.classes), seed=self.seed)
        right = mean_overlap(found.labels, own.labels[others], len(self.data.classes))
        pixels = choose_pixels(generator, exemplar.joined(found), most=self.settings.pixels, seed=self.seed)
        return pixels, right


def train(
    out_dir: Path,
    seed: int,
    *,
    generator: Mapping[str, Any],
    seg_head: Mapping[str, Any],
    parser: Mapping[str, Any] | None = None,
    annotations: str | Sequence[str] | None = None,
    counts: Sequence[int] = (1, 2, 5, 10, 20, 30),
    draws: int = 5,
    pool: int = 40,
    held_out: int = 20,
    carried: int = 30,
    steps: int = 400,
    batch: int = 128,
    learning_rate: float = 3e-3,
    balance: float = 0.6,
    pixels: int = 1024,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Measures; goes on where an earlier call with this `out_dir` was stopped.

    Args:
        annotations: a folder of painted pictures, or several; null: the parser labels generated samples.
        counts: numbers of annotated samples that heads are trained on.
        draws: how often each number is drawn anew from the pool.
        pool: how many samples the parser labels to draw from; of a folder, all that are not held out.
        held_out: how many more, for the scores; of a folder, at most a quarter.
        carried: samples that one exemplar's labels are carried to; 0: without these rows.
        steps, batch, learning_rate, balance, pixels: as in a training of a head.

    Returns:
        Path of the table.

    Raises:
        RecipeError: neither annotations nor a parser, or numbers that ask for more samples than there are.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings(steps, batch, learning_rate, balance, pixels)
    drawer: Generator = frozen(create("generator", dict(generator)))
    if annotations is not None:
        source = painted(drawer, annotations, 10**9, held_out)
    elif parser is not None:
        source = parsed(drawer, parser, pool, held_out, 1.0, seed)
    else:
        raise RecipeError("training.annotations: name a folder of annotations, or a parser that labels samples")
    there = len(source.own.ws)
    wrong = [n for n in counts if not 1 <= n <= there]
    if wrong or draws < 1 or not len(source.kept.ws) or not 0 <= carried < there:
        raise RecipeError(
            f"training: counts must be 1 to {there}, the samples there are to draw from, carried below it, draws 1 or "
            f"more, and a sample held out; got {list(counts)}, {carried}, {draws}, {len(source.kept.ws)}"
        )
    data = _Set(
        drawer, source.classes, source.own, choose_pixels(drawer, source.own, most=pixels, seed=seed),
        regular_pixels(drawer, source.kept, every=EVERY),
    )  # fmt: skip
    table = AnnotationTable(out_dir, data, seg_head, settings, carried=carried, seed=seed, trainer=trainer)
    print(table.run(sorted(set(counts)), draws))
    return out_dir / "table.md"


def _read(path: Path) -> list[Result]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [Result.of(line) for line in csv.DictReader(file)]


def _write(path: Path, results: Sequence[Result]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Result.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.row() for result in results)
    atomic_write(path, lambda file: file.write(text.getvalue().encode()))
