"""The options of `chunkygan edit`: those that belong to an edit keep the order in which they were given."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from chunkygan.cli import edit_masks
from chunkygan.errors import ProjectionError

if TYPE_CHECKING:
    from chunkygan.editing.edit_words import EditWords

Asked = list[tuple[str, list["EditWords"]]]
"""(edit, sweep, grid, repaint or cohere, its words) in the order in which they were given."""

MOVES = ("edit", "sweep", "grid")
COHERE_STEPS = 20


class _InOrder(argparse.Action):
    """Keeps the options of edits in the order in which they were given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        namespace.words_in_order = [*(getattr(namespace, "words_in_order", None) or []), (self.dest, values)]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds them all."""
    parser.add_argument("projections", nargs="+", metavar="PROJECTION", help="files, or folders with projections")
    edit, sweep = "NAME=STRENGTH", "NAME=FROM:TO:COUNT"
    parser.add_argument("--edit", action=_InOrder, metavar=edit, help="a direction's file or name, and how far")
    parser.add_argument("--chunk", action=_InOrder, metavar="NAME", help="only this chunk; may be given again")
    parser.add_argument("--rows", action=_InOrder, metavar="FIRST:END", help="only these rows of W+")
    parser.add_argument("--masks", action=_InOrder, choices=("move", "static"), help="whether masks go along")
    parser.add_argument("--sweep", action=_InOrder, metavar=sweep, help="a strip over strengths")
    parser.add_argument("--video", action="store_true", help="write the sweep as sweep.mp4 too, there and back")
    parser.add_argument("--grid", action=_InOrder, nargs=2, metavar=sweep, help="two of them against each other")
    parser.add_argument("--directions", action="append", default=[], metavar="DIR", help="folder of direction files")
    parser.add_argument("--present", metavar="FILE", help="YAML or JSON: attributes that the picture has, for a flow")
    parser.add_argument("--remove", action="append", type=int, default=[], metavar="N", help="the N-th edit it has")
    parser.add_argument("--blend", metavar="BLENDER", help="put the edited chunks into the photo: alpha or poisson")
    parser.add_argument("--paste", metavar="PHOTO", help="put the edited chunks into the photo at its full resolution")
    parser.add_argument("--fill", metavar="MASK", help="grey picture: white is the hole, grey must match the photo")
    parser.add_argument("--labels", metavar="FILE", help="write the classes of its pixels as a PNG, and stop")
    parser.add_argument("--repaint", action=_InOrder, metavar="FILE", help="draw the picture that has these classes")
    parser.add_argument("--refine", action=_InOrder, type=int, metavar="N", help="steps that fit the edit to it")
    parser.add_argument(
        "--cohere", action=_InOrder, nargs="?", type=int, const=COHERE_STEPS, metavar="N",
        help=f"let neighbouring chunks agree again where they overlap, N steps; default: {COHERE_STEPS}",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, metavar="N", help="of --repaint; default: 60")
    parser.add_argument("--keep", type=float, default=1.0, metavar="X", help="hold the rest X times as much")
    edit_masks.configure(parser)
    parser.add_argument("--head", metavar="FILE", help="segmentation head; default: that of the generator's domain")
    parser.add_argument("--generator", metavar="NAME_OR_FILE", help="draw with it instead of the projection's own")
    parser.add_argument("--out", default="runs/edit", metavar="DIR", help="default: runs/edit")


def asked_of(args: argparse.Namespace, projections: int) -> Asked:
    """What is asked for, checked.

    Args:
        projections: how many there are.

    Raises:
        ProjectionError: options that do not go together, or numbers that cannot be.
    """
    asked = _in_order(getattr(args, "words_in_order", None) or [])
    options = {option for option, _ in asked}
    if args.video and "sweep" not in options:
        raise ProjectionError("--video is of a sweep: add --sweep NAME=FROM:TO:COUNT")
    if projections > 1 and (args.labels or "repaint" in options):
        raise ProjectionError(f"--labels and --repaint take one projection; there are {projections}")
    if args.steps is not None:
        _positive(args.steps, "steps")
    edit_masks.check(args, projections)
    if args.paste and projections > 1:
        raise ProjectionError(f"--paste takes one projection; there are {projections}")
    if args.present:
        _check_present(asked, args.directions, projections)
    return asked


def _in_order(given: list[tuple[str, Any]]) -> Asked:
    """Each edit with the chunks, rows and the like that were said after it."""
    from chunkygan.editing.edit_words import EditWords, parse_edit, parse_rows

    found: Asked = []
    for option, value in given:
        if option in MOVES:
            texts = value if option == "grid" else [value]
            found.append((option, [parse_edit(text, sweep=option != "edit") for text in texts]))
        elif option == "repaint":
            found.append((option, [EditWords(value, (1.0,))]))
        elif option == "cohere":
            found.append((option, [EditWords(option, (1.0,), refine=_positive(value, option))]))
        elif found and option != "chunk" and found[-1][0] not in (("edit",) if option == "refine" else MOVES):
            raise ProjectionError(f"--{option} {value} does not go with --{found[-1][0]}")
        elif not found:
            raise ProjectionError(f"--{option} {value} belongs to an edit: put it after --edit, --sweep or --grid")
        else:
            for words in found[-1][1]:
                if option == "chunk":
                    words.chunks.append(value)
                elif option == "refine":
                    words.refine = _positive(value, option)
                elif option == "masks":
                    words.masks = value == "move"
                else:
                    words.rows = parse_rows(value)
    if sum(option in ("sweep", "grid") for option, _ in found) > 1:
        raise ProjectionError("one --sweep or --grid at a time")
    return found


def _check_present(words: Asked, folders: list[str], projections: int) -> None:
    from chunkygan.editing.flow_words import is_flow

    if projections > 1:
        raise ProjectionError(f"--present is of one picture; there are {projections} projections")
    if not any(is_flow(edit.name, folders) for option, asked in words if option in MOVES for edit in asked):
        raise ProjectionError("--present is for edits by a flow, such as flow.pt#smile=1; there is none")


def _positive(steps: int, option: str) -> int:
    if steps < 1:
        raise ProjectionError(f"--{option} must be 1 or more steps; got {steps}")
    return steps
