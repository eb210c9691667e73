"""A fit's progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from chunkygan.types import Step

LINES = 5  # plain lines a fit


class Progress:
    """A listener that shows a fit's step and loss; used with `with`.

    Args:
        title: what is fitted.
        bar: show a bar on a terminal; False where several processes write to it.
    """

    def __init__(self, title: str, *, bar: bool = True) -> None:
        self.title = title
        self._wants_bar = bar and sys.stderr.isatty()
        self._bar: Any = None
        self._began = time.monotonic()

    def __enter__(self) -> Progress:
        if self._wants_bar:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("loss {task.fields[loss]}"))
            self._bar = Bar(TextColumn(self.title), *columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=None, loss="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        loss = f"{step.losses['total']:.4f}"
        if self._bar is not None:
            self._bar.update(self._task, completed=step.step, total=step.steps, loss=loss)
        elif step.step % max(step.steps // LINES, 1) == 0 or step.step in (1, step.steps):
            seconds = time.monotonic() - self._began
            print(f"{self.title}: step {step.step}/{step.steps}, loss {loss}, {seconds:.0f} s", file=sys.stderr)
