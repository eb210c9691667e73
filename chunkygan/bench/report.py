"""A benchmark's report: JSON, tables, and a folder that keeps one of each machine and day."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chunkygan.bench.plot import plot
from chunkygan.bench.tables import as_tables
from chunkygan.errors import ChunkyGANError
from chunkygan.files import atomic_write, write_json
from chunkygan.run_folder import machine, versions

Report = Mapping[str, Any]

KEYS = {"date", "machine", "versions", "results", "lightning", "memory", "start_up", "profiles"}

HEADER = """# Benchmarks

One row a run of `make bench`: ratios, since times of different machines do not compare. *Of plain*: a step's time as a
share of a direct reading of the paper (a full picture for every chunk, one graph, no windows), both in one run and in
turns. *Global steps*: the time of a step in steps of one code for the whole picture, by the same fit. Each file holds
all cases, start-up, Lightning's share and versions; [docs/speed.md](../speed.md) says what is measured and how.

"""


def report_of(
    results: Sequence[Mapping[str, Any]],
    overheads: Sequence[Mapping[str, Any]] = (),
    memory: Sequence[Mapping[str, Any]] = (),
    start_up: Sequence[Mapping[str, Any]] = (),
    profiles: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything that was measured, with the day, the machine, its threads and versions."""
    import torch

    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "results": list(results),
        "lightning": list(overheads),
        "memory": list(memory),
        "start_up": list(start_up),
        "profiles": list(profiles),
    }


def keep(folder: Path, report: Report) -> list[Path]:
    """The files written: the report and its plot, named by day and machine, and the folder's README.

    A report of the same day and machine is replaced.
    """
    name = f"{report['date']}_{machine_name(report['machine'])}"
    drawing = plot(report["results"], f"{_machine(report)}, {report['date']}")
    files = [
        write_json(folder / f"{name}.json", report),
        atomic_write(folder / f"{name}.svg", lambda file: file.write(drawing.encode())),
    ]
    text = overview(folder)
    return [*files, atomic_write(folder / "README.md", lambda file: file.write(text.encode()))]


def overview(folder: Path) -> str:
    """The README of a folder of reports: a row for each, the newest first, and the tables of the newest.

    Raises:
        ChunkyGANError: a file that is no report.
    """
    files = sorted(folder.glob("*.json"), reverse=True)
    reports = [_read(file) for file in files]
    lines = [
        "| run | chunkygan | torch | 8 chunks 1024 px: of plain | global steps | small chunk 1024 px: global steps "
        "| 8 chunks 128 px: of plain | Lightning at 128 px |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for file, report in zip(files, reports):
        large, small = _found(report, 1024, 8, "face"), _found(report, 1024, 1, "small")
        light = next((row["share"] for row in report["lightning"] if row["resolution"] == 128), None)
        cells = [
            f"[{report['date']}, {_machine(report)}]({file.name})", report["versions"]["chunkygan"],
            report["versions"].get("torch", ""), _number(large, "to_plain"), _number(large, "to_global"),
            _number(small, "to_global"), _number(_found(report, 128, 8, "face"), "to_plain"),
            "" if light is None else f"{light:.1%}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    text = HEADER + "\n".join(lines) + "\n"
    if not reports:
        return text
    return f"{text}\n## {reports[0]['date']}\n\n![Ratios of all cases]({files[0].stem}.svg)\n\n{as_tables(reports[0])}"


def machine_name(found: Mapping[str, str]) -> str:
    """A machine in a file's name: its GPU or processor, and its cores.

    >>> machine_name({"processor": "Intel(R) Xeon(R) CPU @ 2.50GHz", "cores": "2"})
    'intel-xeon-2.50ghz-2-cores'
    """
    words = re.sub(r"\((r|tm|c)\)|\b(cpu|processor)\b|@", " ", found.get("gpu", found["processor"]).lower())
    name = re.sub(r"[^a-z0-9.]+", "-", words).strip("-.") or "machine"
    return name if "gpu" in found else f"{name}-{found['cores']}-cores"


def _machine(report: Report) -> str:
    found = report["machine"]
    return found.get("gpu") or f"{found['processor']}, {found['cores']} cores"


def _read(file: Path) -> Report:
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        if report.keys() >= KEYS:
            return report
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, AttributeError) as problem:
        raise ChunkyGANError(f"{os.fspath(file)}: is no report of a benchmark: {problem}") from problem
    raise ChunkyGANError(f"{os.fspath(file)}: is no report of a benchmark; move it out of this folder")


def _found(report: Report, resolution: int, chunks: int, masks: str) -> Mapping[str, Any] | None:
    usual = {"resolution": resolution, "chunks": chunks, "masks": masks, "space": "w_plus", "precision": "32-true"}
    return next((row for row in report["results"] if usual.items() <= row.items()), None)


def _number(row: Mapping[str, Any] | None, key: str) -> str:
    return "" if row is None else f"{row[key]:.2f}"
