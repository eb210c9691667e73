"""Draws a sheet of pictures: of a domain's generator, of any generator file, or of a data set."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from chunkygan.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--generator", default="procfaces_128", metavar="NAME_OR_FILE", help="default: procfaces_128")
    parser.add_argument("--dataset", metavar="NAME", help="draw a data set's pictures instead, such as procfaces")
    parser.add_argument("--grid", default="8x4", metavar="COLUMNSxROWS", help="default: 8x4")
    parser.add_argument("--truncation", type=float, default=1.0, metavar="PSI", help="1: none, 0: the mean picture")
    parser.add_argument("--resolution", type=int, default=128, metavar="PIXELS", help="of a data set's pictures")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--out", default="runs/sample.png", metavar="FILE", help="default: runs/sample.png")


def run(args: argparse.Namespace) -> None:
    columns, rows = _grid(args.grid)

    from chunkygan.images import write_image
    from chunkygan.pictures import grid

    if args.dataset:
        pictures = _of_dataset(args.dataset, columns * rows, args.resolution, args.seed)
    else:
        pictures = _of_generator(args.generator, columns * rows, args.truncation, args.seed)
    print(f"wrote {write_image(Path(args.out), grid(pictures, columns))}")


def _of_generator(name: str, count: int, truncation: float, seed: int) -> Tensor:
    import torch

    from chunkygan.loading import load_generator
    from chunkygan.sampling import sample_ws

    generator = load_generator(name)
    ws = sample_ws(generator, count, seed=seed, truncation=truncation)
    with torch.no_grad():
        return torch.cat([generator.synthesis(generator.styles(batch)) for batch in ws.split(16)])


def _of_dataset(name: str, count: int, resolution: int, seed: int) -> Tensor:
    import torch

    from chunkygan.build import create

    dataset = create("dataset", {"name": name, "count": count, "resolution": resolution}, seed=seed)
    return torch.stack([dataset[i]["image"] for i in range(count)])


def _grid(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or not 0 < int(match[1]) * int(match[2]) <= 10_000:
        raise RecipeError(f"--grid: must be COLUMNSxROWS, such as 8x4, of at most 10000 pictures; got {text!r}")
    return int(match[1]), int(match[2])
