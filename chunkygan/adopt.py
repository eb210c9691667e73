"""Makes what a training left the weights that ship: ``python -m chunkygan.adopt NAME RUN_FOLDER``.

Of several run folders the one with the lowest of a score is taken: ``--lowest frechet_procfaces``. The file goes to
``checkpoints/``, its size and sha256 into the manifest, and the run's scores into the card, between two marks; what the
card says in words stays, and is for a person to read again.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from chunkygan.errors import ChunkyGANError, WeightsError
from chunkygan.files import atomic_write
from chunkygan.places import shipped
from chunkygan.weights import sha256

MARKS = ("<!-- scores of this file, written by chunkygan.adopt -->", "<!-- end of scores -->")


def adopt(name: str, run: Path, checkpoints: Path) -> Path:
    """Replaces the shipped file `name` by the one in a run folder.

    Args:
        run: with one ``.safetensors`` file and ``scores.txt``: a name and a number a line.
        checkpoints: folder with ``manifest.yaml``, the file and its card ``NAME.md``.

    Returns:
        The file in `checkpoints`.

    Raises:
        WeightsError: the run left no scores or not one file, or the manifest does not know the name.
    """
    found = sorted(run.glob("*.safetensors"))
    if len(found) != 1:
        raise WeightsError(f"{run}: must hold one .safetensors file; it has {len(found)}")
    scores = read_scores(run)
    manifest = checkpoints / "manifest.yaml"
    renewed = with_entry(manifest.read_text(encoding="utf-8"), name, found[0].stat().st_size, sha256(found[0]))
    card, place = checkpoints / f"{name}.md", checkpoints / f"{name}.safetensors"
    text = with_scores(card.read_text(encoding="utf-8"), scores)
    _write(place, found[0].read_bytes())
    _write(card, text.encode())
    _write(manifest, renewed.encode())
    return place


def _write(path: Path, content: bytes) -> None:
    atomic_write(path, lambda file: file.write(content))


def read_scores(run: Path) -> dict[str, float]:
    """The scores that a training wrote into its folder.

    Raises:
        WeightsError: it wrote none.
    """
    path = run / "scores.txt"
    if not path.is_file():
        raise WeightsError(f"{run}: has no scores.txt; the training has not ended?")
    return {name: float(value) for name, value in (line.split() for line in path.read_text().splitlines())}


def best(runs: list[Path], lowest: str | None) -> Path:
    """The only run, or the one with the lowest of a score.

    Raises:
        WeightsError: several runs and no score named, or a run without it.
    """
    if len(runs) == 1:
        return runs[0]
    if lowest is None:
        raise WeightsError("several run folders: say --lowest SCORE")
    scored = {run: read_scores(run) for run in runs}
    for run, scores in scored.items():
        if lowest not in scores:
            raise WeightsError(f"{run}: has no score '{lowest}'; there are {', '.join(scores)}")
    return min(runs, key=lambda run: scored[run][lowest])


def with_entry(manifest: str, name: str, size: int, digest: str) -> str:
    """A manifest's text with an entry's size and sha256 replaced, comments and order kept.

    Raises:
        WeightsError: there is no such entry with both.
    """
    pattern = rf"(?ms)^({re.escape(name)}:\n(?:  [^\n]*\n)*?  size: )\d+(\n(?:  [^\n]*\n)*?  sha256: )\w+$"
    renewed, count = re.subn(pattern, rf"\g<1>{size}\g<2>{digest}", manifest)
    if not count:
        raise WeightsError(f"the manifest has no entry '{name}' with size and sha256")
    return renewed


def with_scores(card: str, scores: Mapping[str, float]) -> str:
    """A model card with its table of scores replaced, or added at its end."""
    rows = "".join(f"| {name} | {value:.4f} |\n" for name, value in scores.items())
    block = f"{MARKS[0]}\n\n| score | |\n| --- | --- |\n{rows}\n{MARKS[1]}"
    if MARKS[0] not in card:
        return f"{card.rstrip()}\n\n## Scores of this file\n\n{block}\n"
    before, rest = card.split(MARKS[0], 1)
    return before + block + rest.split(MARKS[1], 1)[1]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m chunkygan.adopt", description=__doc__)
    parser.add_argument("name", metavar="NAME", help="of the manifest")
    parser.add_argument("runs", metavar="RUN_FOLDER", type=Path, nargs="+", help="what `chunkygan train` had as --out")
    parser.add_argument("--lowest", metavar="SCORE", help="of several folders, take the one where this score is lowest")
    args = parser.parse_args()
    try:
        path = adopt(args.name, best(args.runs, args.lowest), shipped("checkpoints"))
        print(f"{path}: replaced; read {args.name}.md again")
    except ChunkyGANError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
