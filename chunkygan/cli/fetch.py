"""Fetches public weights: one entry of the manifest, or all that a domain needs.

  chunkygan fetch --list             what there is: licence, size, whether its sum is known, and whether it is here
  chunkygan fetch ffhq_1024          all that the domain ffhq_1024 needs
  chunkygan fetch e4e_ffhq --to DIR

Interrupted, the same command goes on where it was. Nothing else in this program uses the network.
"""

from __future__ import annotations

import argparse
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from chunkygan.errors import WeightsError

if TYPE_CHECKING:
    from chunkygan.weights import Weights


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="weights or domains")
    parser.add_argument("--list", action="store_true", help="show what can be fetched, and fetch nothing")
    parser.add_argument("--to", metavar="DIR", help="default: $CHUNKYGAN_CHECKPOINTS, ./checkpoints, or the cache")
    parser.add_argument("--timeout", type=float, default=30, metavar="SECONDS", help="of silence; default: 30")


def run(args: argparse.Namespace) -> None:
    from chunkygan.fetching import download

    if args.list:
        _list(args.names)
        return
    if not args.names:
        raise WeightsError("name weights or a domain; `chunkygan fetch --list` shows what there is")
    from pathlib import Path

    folder = Path(args.to).expanduser() if args.to else download.fetch_folder()
    entries = download.wanted(args.names)
    if not entries:
        print("nothing to fetch: all of it ships")
    for entry in entries:
        here = download.present(entry) if not args.to else None
        print(f"{entry.name}: {entry.what}\n  licence: {entry.licence}\n  page: {entry.page}", file=sys.stderr)
        with _Bar(entry.file) as bar:
            path = download.fetch(entry, here.parent if here else folder, listener=bar, timeout=args.timeout)
        known = "" if entry.sha256 else f"; its sum was not known and is recorded in {path.name}.sha256"
        print(f"{entry.name}: {path}{known}")


def _list(names: list[str]) -> None:
    from chunkygan.domain import domain_names, load_domain
    from chunkygan.fetching import download
    from chunkygan.weights import manifest

    for entry in download.wanted(names) if names else [e for e in manifest().values() if e.url]:
        _show(entry)
    if not names:
        print("domains:")
        for name in domain_names():
            parts = [part for part in download.weights_of(load_domain(name)) if manifest()[part].url]
            print(f"  {name}: {', '.join(parts) or 'ships'}")


def _show(entry: Weights) -> None:
    from chunkygan.fetching import download

    name, facts = download.as_row(entry)
    here = download.present(entry)
    print(f"{name}: {facts['what']}; {f'here: {here}' if here else 'not here'}")
    print(f"  {facts['size']}; {facts['sum']}\n  licence: {facts['licence']}\n  {facts['page']}")


class _Bar:
    """A download's progress: a bar on a terminal, ten lines elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._bar: Any = None
        self._said = -1

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._bar = Progress(self.title, *columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, here: int, total: int | None) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=here, total=total)
        elif total and (tenth := here * 10 // total) > self._said:
            self._said = tenth
            print(f"{self.title}: {here / 1e6:,.1f} of {total / 1e6:,.1f} MB", file=sys.stderr)
