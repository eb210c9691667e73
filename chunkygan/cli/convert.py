"""Turns a weight file of any origin into this project's safetensors: a generator, or an encoder of the pSp family.

What the file is shows in its content. Nothing in it is run. What a bare state dict cannot tell comes as key=value:

    chunkygan convert ffhq.pkl ffhq.safetensors
    chunkygan convert state_dict.pt cats.safetensors conv_clamp=256
    chunkygan convert psp_ffhq_encode.pt psp.safetensors
    chunkygan convert psp_ffhq_encode.pt generator.safetensors --part generator
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chunkygan.cli.arguments import only_overrides
from chunkygan.errors import RecipeError, WeightsError

if TYPE_CHECKING:
    from chunkygan.checkpoint_files.recognition import Checkpoint

PARTS = ("encoder", "generator")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="a weight file, or a name of the weights manifest")
    parser.add_argument("target", metavar="DST.safetensors")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="what the file cannot tell: conv_clamp=256")
    parser.add_argument("--part", choices=PARTS, help="of a file that holds both; default: its encoder")
    parser.add_argument("--half", action="store_true", help="store a generator's numbers in half precision")
    parser.add_argument("--force", action="store_true", help="replace DST if it exists")


def run(args: argparse.Namespace) -> None:
    target = Path(args.target)
    overrides = _values(only_overrides(args.overrides))
    if target.suffix != ".safetensors":
        raise WeightsError(f"'{target}': must end in .safetensors, the only format that is written")
    if target.exists() and not args.force:
        raise WeightsError(f"'{target}' exists; --force replaces it")

    from chunkygan.checkpoint_files.recognition import recognised
    from chunkygan.weights import find

    checkpoint = recognised(find(args.source))
    held = [part for part in PARTS if part in checkpoint.states]
    if not held or args.part not in (None, *held):
        wanted = args.part or "generator or encoder"
        raise WeightsError(f"{checkpoint.path} holds no {wanted} that can be converted: it is {checkpoint.title}")
    part = args.part or held[0]
    convert = _encoder if part == "encoder" else _generator
    if part == "encoder" and overrides:
        raise RecipeError([f"{key}: an encoder takes no options" for key in overrides])
    convert(checkpoint, target, overrides, half=args.half)
    left = [other for other in held if other != part]
    print(f"wrote the {part} of {checkpoint.path.name} ({checkpoint.title}) to {target}")
    for other in left:
        print(f"it also holds a {other}: --part {other}")


def _generator(checkpoint: Checkpoint, target: Path, overrides: dict[str, Any], *, half: bool) -> None:
    import torch

    from chunkygan.generator_file import write_generator
    from chunkygan.loading import load_generator

    generator = load_generator(checkpoint.path, **overrides)
    notes = {"source": checkpoint.path.name, "source_kind": checkpoint.kind}
    write_generator(generator, target, dtype=torch.float16 if half else torch.float32, **notes)


def _encoder(checkpoint: Checkpoint, target: Path, overrides: dict[str, Any], *, half: bool) -> None:
    from chunkygan.checkpoint_files.encoder_states import read_encoder, write_encoder

    state, config, average = read_encoder(checkpoint.path)
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    write_encoder(target, state, config, average, source=checkpoint.path.name, source_kind=checkpoint.kind)


def _values(overrides: list[str]) -> dict[str, Any]:
    import yaml

    pairs = (override.split("=", 1) for override in overrides)
    return {key.removeprefix("generator."): yaml.safe_load(value) for key, value in pairs}
