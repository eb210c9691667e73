"""Measures seconds a step and peak memory of chunked fits, as ratios to a plain reading of the paper.

Plain and ours take turns in one run, so ratios hold on a noisy machine; absolute times do not.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chunkygan.errors import RecipeError

if TYPE_CHECKING:
    from chunkygan.bench.cases import Case

CHOICES = {
    "masks": ("face", "small", "soft"),
    "memory_mode": ("joint", "frugal"),
    "precision": ("32-true", "bf16-mixed"),
}

_PROFILED = (8, "face", "w_plus", "32-true")
"""Chunks, masks, space and precision of the standard cases whose steps are looked into."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--standard", action="store_true", help="the cases of `make bench`, instead of the following")
    parser.add_argument("--resolution", type=int, nargs="+", default=[128, 256], metavar="PX", help="default: 128 256")
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 4, 8], metavar="N", help="default: 1 4 8")
    parser.add_argument("--masks", nargs="+", default=["face", "small"], metavar="KIND", help="face, small, soft")
    parser.add_argument("--space", nargs="+", default=["w_plus"], metavar="NAME", help="default: w_plus")
    parser.add_argument("--memory-mode", nargs="+", default=["joint"], metavar="MODE", help="joint, frugal")
    parser.add_argument("--precision", nargs="+", default=["32-true"], metavar="P", help="32-true, bf16-mixed")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; default: cpu")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="counted rounds a case; default: 5")
    parser.add_argument("--peak", action="store_true", help="measure peak memory too, in processes of their own")
    parser.add_argument("--start-up", action="store_true", help="time --help, list and the first step of an inversion")
    parser.add_argument("--profile", action="store_true", help="say what a step of the first case spends its time on")
    parser.add_argument("--head", action="store_true", help="measure a segmentation head beside its full stack instead")
    parser.add_argument("--perceptual", default="procfaces", metavar="NET", help="network of the distance")
    parser.add_argument("--weights", default="procfaces_128_perceptual", metavar="NAME_OR_FILE", help="its weights")
    parser.add_argument("--out", default="runs/bench.json", metavar="FILE", help="default: runs/bench.json")
    parser.add_argument("--history", metavar="DIR", help="keep the report there, with a plot and an overview")


def run(args: argparse.Namespace) -> None:
    _check(args)
    if args.head:
        return _run_head(args)

    from chunkygan.bench import memory as peaks
    from chunkygan.bench import startup
    from chunkygan.bench.profile import profile_step
    from chunkygan.bench.report import report_of
    from chunkygan.bench.steps import lightning_overhead, measure
    from chunkygan.bench.tables import as_tables
    from chunkygan.files import write_json

    perceptual = {"name": "lpips", "net": args.perceptual, "weights": args.weights}
    cases = _cases(args)
    results, overheads = [], []
    for case in cases:
        peak = args.peak or (args.standard and case.resolution >= 1024)
        print(f"measuring {case}", file=sys.stderr)
        results.append(measure(case, perceptual, rounds=_rounds(args, case), peak=peak).row())
    for case in {case.resolution: case for case in reversed(cases)}.values():
        print(f"measuring Lightning at {case}", file=sys.stderr)
        steps = 6 if case.resolution >= 1024 else 30
        overheads.append(lightning_overhead(case, perceptual, steps=steps).row())
    tight = [_tightest(args.device)] if args.standard else []
    for case in tight:
        print(f"measuring the memory of {case}", file=sys.stderr)
    memory = [peaks.row(case, perceptual) for case in tight]
    profiles = []
    for case in _profiled(args, cases):
        shares = profile_step(case, perceptual)
        print(f"{case}\n{shares.as_text()}\n")
        profiles.append({"case": str(case), "parts": shares.parts, "operators": shares.operators})
    start_up = [row.row() for row in startup.measure(rounds=3)] if args.start_up or args.standard else []
    report = report_of(results, overheads, memory, start_up, profiles)
    print(as_tables(report))
    for file in [write_json(Path(args.out), report), *_kept(args, report)]:
        print(f"wrote {file}")


def _run_head(args: argparse.Namespace) -> None:
    from chunkygan.bench.head import as_table, measure_head
    from chunkygan.files import write_json

    results = []
    for size in args.resolution:
        print(f"measuring a head at {size} pixels", file=sys.stderr)
        results.append(measure_head(size, rounds=args.rounds, memory=args.peak, device=args.device))
    print(as_table(results))
    print(f"wrote {write_json(Path(args.out), [result.row() for result in results])}")


def _check(args: argparse.Namespace) -> None:
    """Raises where an option cannot be, before anything is measured."""
    problems = [] if args.rounds >= 1 else [f"--rounds must be 1 or more; got {args.rounds}"]
    for name, allowed in CHOICES.items():
        problems += [
            f"--{name.replace('_', '-')} must be of {', '.join(allowed)}; got '{value}'"
            for value in getattr(args, name)
            if value not in allowed
        ]
    if problems:
        raise RecipeError(problems)


def _cases(args: argparse.Namespace) -> list[Case]:
    from chunkygan.bench.cases import Case, standard

    if args.standard:
        return standard(args.device)
    return [
        Case(size, chunks, masks, space, args.device, memory, precision)
        for size, chunks, masks, space, memory, precision in itertools.product(
            args.resolution, args.chunks, args.masks, args.space, args.memory_mode, args.precision
        )
    ]


def _tightest(device: str) -> Case:
    """The case that has to fit in little memory."""
    from chunkygan.bench.cases import Case

    return Case(1024, 12, device=device, memory="frugal")


def _profiled(args: argparse.Namespace, cases: list[Case]) -> list[Case]:
    """The cases whose steps are looked into: the first, or of the standard ones eight face chunks at every size."""
    if args.standard:
        return [case for case in cases if (case.chunks, case.masks, case.space, case.precision) == _PROFILED]
    return cases[:1] if args.profile else []


def _rounds(args: argparse.Namespace, case: Case) -> int:
    """Fewer for the large cases of the standard ones, whose steps take many seconds on a CPU."""
    return min(args.rounds, 2) if args.standard and case.resolution >= 1024 and case.device == "cpu" else args.rounds


def _kept(args: argparse.Namespace, report: dict[str, Any]) -> list[Path]:
    from chunkygan.bench.report import keep

    return keep(Path(args.history), report) if args.history else []
