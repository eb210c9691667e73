"""Drawn faces on disk as bytes, so that a training that sees each many times draws it once."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chunkygan.errors import ComponentError
from chunkygan.files import write_json
from chunkygan.workers import in_order

from .procfaces import ProcFaces
from .procfaces_parameters import ATTRIBUTE_NAMES, NAMES


class FaceCache:
    """Pictures, label maps, latents and attributes of the first items of a data set, in memory-mapped files.

    Another process may go on filling the folder while this one reads what is there.

    Args:
        folder: made if it is not there.
        faces: what to draw; a folder holds one data set.

    Raises:
        ComponentError: the folder's pictures are of another data set, or of faces with other parameters.
    """

    def __init__(self, folder: Path, faces: ProcFaces) -> None:
        self.folder, self.faces = folder, faces
        folder.mkdir(parents=True, exist_ok=True)
        self._done = folder / "done.txt"
        self._check(folder / "drawn.json")
        n, size = len(faces), faces.resolution
        self.images = self._map("images", np.uint8, (n, 3, size, size))
        self.labels = self._map("labels", np.uint8, (n, size, size))
        self.z = self._map("z", np.float32, (n, faces.z_dim))
        self.attributes = self._map("attributes", np.float32, (n, len(ATTRIBUTE_NAMES)))

    @property
    def count(self) -> int:
        """How many items there will be."""
        return len(self.faces)

    def __len__(self) -> int:
        """How many items are there by now."""
        return int(self._done.read_text() or 0) if self._done.exists() else 0

    def fill(self, until: int | None = None, at_once: int = 32, *, workers: int | None = None) -> None:
        """Draws what is missing of the first `until` items (None: all).

        Args:
            at_once: items a process draws before it asks for more; after each so many the folder is whole.
            workers: processes that draw, None: as the data set says. The pictures are the same for any number.
        """
        end = len(self.faces) if until is None else until
        parts = [range(start, min(start + at_once, end)) for start in range(len(self), end, at_once)]
        workers = self.faces.workers if workers is None else workers
        for items, drawn in zip(parts, in_order(functools.partial(_drawn, self.faces), parts, workers=workers)):
            self._keep(items, drawn)

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """`image` (n, 3, h, w) in [-1, 1], `labels` (n, h, w) int64, `z` and `attributes` of items."""
        rows = indices.numpy()
        image = torch.from_numpy(self.images[rows]).float().div_(127.5).sub_(1)
        labels = torch.from_numpy(self.labels[rows]).long()
        z, attributes = torch.from_numpy(self.z[rows]), torch.from_numpy(self.attributes[rows])
        return {"image": image, "labels": labels, "z": z, "attributes": attributes}

    def _keep(self, items: range, drawn: dict[str, np.ndarray]) -> None:
        for name, values in drawn.items():
            getattr(self, name)[items.start : items.stop] = values
        part = self._done.with_suffix(".part")
        part.write_text(str(items.stop))
        part.replace(self._done)  # whole, for whoever reads it meanwhile

    def _check(self, path: Path) -> None:
        """Refuses to mix faces of two data sets; a folder without the file is older than it, or empty."""
        if not path.exists() and not self._done.exists():
            write_json(path, _about(self.faces))
        if not path.exists() or json.loads(path.read_text(encoding="utf-8")) != _about(self.faces):
            raise ComponentError(
                f"{self.folder}: the pictures there were drawn with other options, or by an earlier version whose "
                "faces had other parameters; choose another folder, or delete this one"
            )

    def _map(self, name: str, kind: type, shape: tuple[int, ...]) -> np.memmap:
        path = self.folder / f"{name}.bin"
        fresh = not path.exists() or path.stat().st_size != int(np.prod(shape)) * np.dtype(kind).itemsize
        if fresh:  # also where the folder held a data set of another size: nothing of it is left
            self._done.unlink(missing_ok=True)
        return np.memmap(path, dtype=kind, mode="w+" if fresh else "r+", shape=shape)


def _about(faces: ProcFaces) -> dict[str, Any]:
    """What decides what item `i` looks like."""
    options = {name: value for name, value in vars(faces).items() if name not in ("count", "people", "workers")}
    return {"faces": type(faces).__name__, "parameters": list(NAMES), **options}


def _drawn(faces: ProcFaces, items: range) -> dict[str, np.ndarray]:
    """What is kept of the items, by the names of the files."""
    drawn = faces.rendering(items)
    return {
        "images": drawn.image.add(1).mul(127.5).round().byte().numpy(),
        "labels": drawn.labels.byte().numpy(),
        "z": faces.latents(items).numpy(),
        "attributes": drawn.attributes.numpy(),
    }
