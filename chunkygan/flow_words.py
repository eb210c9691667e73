"""Edits of attributes by their flow, as people write them: ``styleflow.smile=1.5``, ``flow.pt#age=-1``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chunkygan.checkpoint_files.flow_states import KIND, read_flow
from chunkygan.checkpoint_files.recognition import recognised
from chunkygan.errors import ProjectionError
from chunkygan.weights import sha256
from chunkygan.wording import did_you_mean, known

SUFFIXES = (".safetensors", ".pt")


def find_flow(name: str, folders: Sequence[str] = (), *, digest: str | None = None) -> dict[str, Any] | None:
    """The spec of the edit of one attribute by a flow; None where the name is of no flow.

    Args:
        name: ``styleflow.ATTRIBUTE``, of the file ``styleflow`` in one of the folders, or ``FILE#ATTRIBUTE``.
        digest: sha256 of the generator's weight file.

    Raises:
        ProjectionError: no such file or attribute, or a flow that was trained for another generator.
        WeightsError: a file that cannot be read.
    """
    path, attribute = _file(name, folders)
    if path is None:
        return None
    _, config = read_flow(path)
    if attribute not in config.names:
        what = f"no attribute '{attribute}'" if attribute else "several attributes; name one, FILE#NAME"
        raise ProjectionError(f"{path} holds {what}; {known(config.names)}{did_you_mean(attribute, config.names)}")
    if digest and config.generator_sha256 not in (None, digest):
        raise ProjectionError(
            f"{path} was trained for another generator: it names weights with the sha256 "
            f"{str(config.generator_sha256)[:12]}..., this one has {digest[:12]}..."
        )
    return {"name": KIND, "weights": str(path), "sha256": sha256(path), "changes": {attribute: 1.0}}


def _file(name: str, folders: Sequence[str]) -> tuple[Path | None, str]:
    first, dot, attribute = name.partition(".")
    if first == KIND and dot and f".{attribute.partition('#')[0]}" not in SUFFIXES:
        paths = [Path(folder) / (KIND + suffix) for folder in folders for suffix in SUFFIXES]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            where = f"in {', '.join(folders)}" if folders else "where --directions DIR would say"
            raise ProjectionError(f"'{name}' needs a flow, {KIND}.safetensors: there is none {where}; train_styleflow")
        return path, attribute
    file, _, attribute = name.partition("#")
    path = Path(file)
    if path.suffix in SUFFIXES and path.is_file() and recognised(path).kind == KIND:
        return path, attribute
    return None, ""
