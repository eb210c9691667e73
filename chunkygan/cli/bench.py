"""Measures seconds a step and peak memory of chunked fits, as ratios to a plain reading of the paper.

Plain and ours take turns in one run, so ratios hold on a noisy machine; absolute times do not.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from chunkygan.errors import RecipeError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resolution", type=int, nargs="+", default=[128, 256], metavar="PX", help="default: 128 256")
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 4, 8], metavar="N", help="default: 1 4 8")
    parser.add_argument("--masks", nargs="+", default=["face", "small"], metavar="KIND", help="face, small, soft")
    parser.add_argument("--space", nargs="+", default=["w_plus"], metavar="NAME", help="default: w_plus")
    parser.add_argument("--memory-mode", nargs="+", default=["joint"], metavar="MODE", help="joint, frugal")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; default: cpu")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="counted rounds a case; default: 5")
    parser.add_argument("--peak", action="store_true", help="measure peak memory too, in processes of their own")
    parser.add_argument("--perceptual", default="procfaces", metavar="NET", help="network of the distance")
    parser.add_argument("--weights", default="procfaces_128_perceptual", metavar="NAME_OR_FILE", help="its weights")
    parser.add_argument("--out", default="runs/bench.json", metavar="FILE", help="default: runs/bench.json")


def run(args: argparse.Namespace) -> None:
    if args.rounds < 1:
        raise RecipeError(f"--rounds must be 1 or more; got {args.rounds}")

    from chunkygan import bench
    from chunkygan.bench_cases import Case
    from chunkygan.files import write_json
    from chunkygan.run_folder import machine, versions

    perceptual = {"name": "lpips", "net": args.perceptual, "weights": args.weights}
    results = []
    for size, chunks, masks, space, memory in itertools.product(
        args.resolution, args.chunks, args.masks, args.space, args.memory_mode
    ):
        case = Case(size, chunks, masks, space, args.device, memory)
        print(f"measuring {case}", file=sys.stderr)
        results.append(bench.measure(case, perceptual, rounds=args.rounds, memory=args.peak))
    overhead = bench.lightning_overhead(results[0].case, perceptual, steps=20)
    print(bench.as_table(results))
    print(f"Lightning adds {1000 * overhead:.1f} ms to a step ({overhead / results[0].ours:.1%} of the first row's)")
    report = {
        "machine": machine(), "versions": versions(), "lightning_seconds_per_step": overhead,
        "results": [result.row() for result in results],
    }  # fmt: skip
    print(f"wrote {write_json(Path(args.out), report)}")
