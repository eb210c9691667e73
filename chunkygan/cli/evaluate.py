"""Measures how faithfully the rows of a recipe reconstruct a set of pictures, or how well what they find can be edited.

Goes on where it was interrupted.
Given again when all is done, it writes the report anew. With trainer.devices=N, and trainer.num_nodes=M, N processes on
each of M machines share the fits.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chunkygan.cli.arguments import add_run_arguments, load_recipe, only_overrides
from chunkygan.errors import ChunkyGANError, RecipeError
from chunkygan.wording import known

if TYPE_CHECKING:
    from chunkygan.evaluation.fits import Fits
    from chunkygan.lightning.share import Failure

_EVALUATIONS = {
    "evaluate_fidelity": "chunkygan.evaluation.fidelity:FidelityEvaluation",
    "evaluate_editability": "chunkygan.evaluation.editability:EditabilityEvaluation",
}
"""Job -> what does it."""

SHOWN = 10  # failures that are told in the terminal; the report has all


class Evaluation(Protocol):
    """An evaluation that can be run.

    Attributes:
        fits: its pictures and rows.
        report: the file to look at first.
    """

    fits: Fits
    report: Path

    def run(self) -> dict[tuple[str, str], Failure]:
        """Does what is not done yet, and writes what sums up; returns what failed, by picture and row."""
        ...


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe that ships, or a YAML file, for an evaluation")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the recipe")
    add_run_arguments(parser, out="runs/evaluate")


def run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe, only_overrides(args.overrides), seed=args.seed)
    if recipe.job not in _EVALUATIONS:
        raise RecipeError(f"job: '{recipe.job}' is no evaluation; {known(_EVALUATIONS)}", recipe.source)

    from chunkygan.lightning.share import launch
    from chunkygan.run_folder import open_run

    out = Path(args.out)
    open_run(out, recipe, shared=True)
    with launch(recipe.data["trainer"]) as team:
        module, name = _EVALUATIONS[recipe.job].split(":")
        evaluation: Evaluation = getattr(importlib.import_module(module), name)(recipe, out, team, _tell)
        failures = evaluation.run()
        if not team.first:
            return 0
    print((out / "table.md").read_text(encoding="utf-8"))
    print(f"report: {evaluation.report}\nscores: {out / 'scores.csv'}")
    return _concluded(failures, len(evaluation.fits.pairs))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _concluded(failures: dict[tuple[str, str], Failure], fits: int) -> int:
    """The exit code, after telling what failed.

    Raises:
        ChunkyGANError: some fits failed, none of them by a fault of ours.
    """
    if not failures:
        return 0
    told = [f"{picture}, {row}: {failure.message}" for (picture, row), failure in failures.items()]
    more = [f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
    text = "\n".join([*told[:SHOWN], *more, f"{len(told)} of {fits} fits failed; the others are done"])
    faults = [failure.trace for failure in failures.values() if failure.trace]
    if not faults:
        raise ChunkyGANError(text)
    print(faults[0], "this is a fault of the program; please report it", text, sep="\n", file=sys.stderr)
    return 1
