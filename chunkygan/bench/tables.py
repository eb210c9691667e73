"""A benchmark's report as tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def as_tables(report: Mapping[str, Any]) -> str:
    """Markdown of whatever a report holds."""
    tables = [
        _steps(report["results"]), _memory(report["memory"]), _overheads(report["lightning"]),
        _start_up(report["start_up"]), _profiles(report["profiles"]),
    ]  # fmt: skip
    return "\n".join(table for table in tables if table)


def _steps(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [
        "| px | chunks | masks | space | memory mode | precision | s/step | of plain | global steps | peak MiB added "
        "| of plain | process MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        added, plain = row["ours_memory"], row["plain_memory"]
        extended = "" if row["plain_chunks"] == row["chunks"] else " *"
        cells = [
            *(str(row[key]) for key in ("resolution", "chunks", "masks", "space", "memory", "precision")),
            f"{row['ours']:.3f}", f"{row['to_plain']:.2f}{extended}", f"{row['to_global']:.2f}", _mib(added),
            f"{added / plain:.2f}" if added and plain else "", _mib(row["process_memory"]),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    note = "\n\\* the plain graph of all chunks does not fit in memory: its time follows from those of one and two\n"
    return "\n".join(lines) + "\n" + (note if any(row["plain_chunks"] != row["chunks"] for row in rows) else "")


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:.0f}"


def _memory(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = ["| px | chunks | masks | memory mode | MiB added | process MiB |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {r['resolution']} | {r['chunks']} | {r['masks']} | {r['memory']} "
        f"| {_mib(r['added'])} | {_mib(r['process'])} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def _profiles(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    parts = sorted({part for row in rows for part in row["parts"]}, key=lambda part: -rows[-1]["parts"].get(part, 0))
    lines = [f"| share of a step | {' | '.join(parts)} |", "| --- " * (len(parts) + 1) + "|"]
    lines += [f"| {r['case']} | " + " | ".join(f"{r['parts'].get(part, 0):.1%}" for part in parts) + " |" for r in rows]
    return "\n".join(lines) + "\n"


def _overheads(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = ["| px | chunks | masks | s/step | Lightning adds | share |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {r['resolution']} | {r['chunks']} | {r['masks']} | {r['seconds_step']:.3f} "
        f"| {1000 * r['seconds_added']:.2f} ms | {r['share']:.1%} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def _start_up(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = ["| start-up | s | s of its own | costliest imports, s |", "| --- | --- | --- | --- |"]
    for row in rows:
        imports = ", ".join(f"{name} {seconds:.2f}" for name, seconds in row["imports"].items() if seconds >= 0.005)
        lines.append(f"| {row['what']} | {row['seconds']:.2f} | {row['own']:.2f} | {imports} |")
    return "\n".join(lines) + "\n"
