"""Draws a sheet of pictures: of a domain's generator, of any generator file, or of a data set.

With --annotate it writes a folder to paint classes in, one picture a file.
"""

from __future__ import annotations

import argparse
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chunkygan.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--generator", default="procfaces_128", metavar="NAME_OR_FILE", help="default: procfaces_128")
    parser.add_argument("--dataset", metavar="NAME", help="draw a data set's pictures instead, such as procfaces")
    parser.add_argument("--grid", default="8x4", metavar="COLUMNSxROWS", help="default: 8x4")
    parser.add_argument("--truncation", type=float, default=1.0, metavar="PSI", help="1: none, 0: the mean picture")
    parser.add_argument("--resolution", type=int, default=128, metavar="PIXELS", help="of a data set's pictures")
    parser.add_argument("--workers", type=int, metavar="N", help="processes for a data set; default: one a core")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--annotate", metavar="DIR", help="write pictures, latents and empty labels to paint")
    parser.add_argument("--n", type=int, default=16, metavar="N", help="how many to annotate; default: 16")
    parser.add_argument("--classes", metavar="FILE", help="names and colours of the classes; default: the domain's")
    parser.add_argument("--suggest", metavar="HEAD", help="annotate those that this head is least certain of")
    parser.add_argument("--out", default="runs/sample.png", metavar="FILE", help="default: runs/sample.png")


def run(args: argparse.Namespace) -> None:
    if args.annotate:
        _annotate(args)
        return
    if args.suggest:
        raise RecipeError("--suggest: says what to annotate; name a folder with --annotate too")
    columns, rows = _grid(args.grid)

    from chunkygan.images import write_image
    from chunkygan.pictures import grid

    if args.dataset:
        pictures = _of_dataset(args, columns * rows)
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


def _of_dataset(args: argparse.Namespace, count: int) -> Tensor:
    import numpy as np
    import torch

    from chunkygan.build import create
    from chunkygan.workers import in_order

    if args.workers is not None and args.workers < 1:
        raise RecipeError(f"--workers: must be at least 1; got {args.workers}")
    dataset = create("dataset", {"name": args.dataset, "count": count, "resolution": args.resolution}, seed=args.seed)
    picture = functools.partial(_picture, dataset)
    return torch.from_numpy(np.stack(list(in_order(picture, range(count), workers=args.workers))))


def _picture(dataset: Any, index: int) -> Any:
    """Picture `index` as an array, which passes between processes more cheaply than a tensor."""
    return dataset[index]["image"].numpy()


def _annotate(args: argparse.Namespace) -> None:
    from chunkygan.annotating.folder import write_annotations
    from chunkygan.annotating.labels import read_classes
    from chunkygan.domain import load_domain
    from chunkygan.loading import load_generator

    if not 1 <= args.n <= 10_000:
        raise RecipeError(f"--n: must be 1 to 10000 pictures; got {args.n}")
    classes = read_classes(Path(args.classes)) if args.classes else load_domain(args.generator).classes
    if not classes:
        raise RecipeError(f"--classes: domain '{args.generator}' names no classes; name a file of them")
    generator = load_generator(args.generator)
    ws, pictures = _candidates(generator, args)
    folder = write_annotations(Path(args.annotate), pictures, ws, classes)
    print(f"wrote {folder}: paint the pictures in labels/ with the colours of classes.yaml, then")
    own = "" if args.generator == "procfaces_128" else f" generator.weights={args.generator}"
    print(f"chunkygan check {folder} and chunkygan train train_seghead training.annotations={folder}{own}")


def _candidates(generator: Any, args: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Codes and pictures to annotate: samples, or those of eight times as many that a head is least certain of."""
    import torch

    from chunkygan.build import create
    from chunkygan.ensemble import picture_uncertainty, uncertainty
    from chunkygan.sampling import sample_ws

    ws = sample_ws(generator, args.n * (8 if args.suggest else 1), seed=args.seed, truncation=args.truncation)
    with torch.no_grad():
        if args.suggest:
            head = create("seg_head", {"name": "datasetgan_mlp", "weights": args.suggest}, generator=generator)
            if len(head.classifiers) < 2:
                raise RecipeError(f"--suggest: {args.suggest} is one classifier alone, which disagrees with nobody; "
                                  "train an ensemble (seg_head.models)")  # fmt: skip
            doubts = []
            for batch in ws.split(1):
                maps = generator.feature_stack(generator.styles(batch))
                doubts.append(picture_uncertainty(uncertainty(head(maps, size=generator.resolution))))
            ws = ws[torch.cat(doubts).argsort(descending=True)[: args.n]]
        pictures = [generator.synthesis(generator.styles(batch)) for batch in ws.split(16)]
    return ws, torch.cat(pictures).clamp(-1, 1)


def _grid(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or not 0 < int(match[1]) * int(match[2]) <= 10_000:
        raise RecipeError(f"--grid: must be COLUMNSxROWS, such as 8x4, of at most 10000 pictures; got {text!r}")
    return int(match[1]), int(match[2])
