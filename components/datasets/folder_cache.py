"""A folder's pictures, decoded once and kept on disk as bytes of one size."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from chunkygan.errors import ComponentError, ImageError
from chunkygan.files import write_json
from chunkygan.images import read_image

if TYPE_CHECKING:
    from chunkygan.components.datasets.folder import Folder

_AT_ONCE = 64


class FolderCache:
    """Pictures by index, as trainings take them; two runs of one folder see the same ones.

    Args:
        folder: made if it is not there; holds ``images.bin`` and ``pictures.json``.
        source: the data set; a folder holds one.

    Raises:
        ImageError, ComponentError: see `Folder.cached`.
    """

    def __init__(self, folder: Path, source: Folder) -> None:
        self.folder, self.source = folder, source
        folder.mkdir(parents=True, exist_ok=True)
        about = folder / "pictures.json"
        if not about.exists():
            self._keep(about)
        kept = json.loads(about.read_text(encoding="utf-8"))
        if kept["source"] != _about(source):
            raise ComponentError(
                f"{source.folder}: has changed since {about} was written, or other options are asked for; "
                "choose another run folder, or delete that cache"
            )
        self.names: list[str] = kept["names"]
        shape = (len(self.names), 3, *source.resolution)
        self._images = np.memmap(folder / "images.bin", dtype=np.uint8, mode="r", shape=shape)

    @property
    def count(self) -> int:
        """How many items there are, mirrored ones included."""
        return len(self.names) * (2 if self.source.flips else 1)

    def __len__(self) -> int:
        return self.count

    def fill(self, until: int | None = None) -> None:
        """Nothing: all pictures are there."""

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """`image` (n, 3, h, w) in [-1, 1] of items."""
        rows, mirrored = indices % len(self.names), indices >= len(self.names)
        image = torch.from_numpy(self._images[rows.numpy()]).float().div_(127.5).sub_(1)
        return {"image": torch.where(mirrored[:, None, None, None], image.flip(3), image)}

    def _keep(self, about: Path) -> None:
        """Decodes every picture; the list of names comes last, so that half a cache is not taken for a whole one."""
        names, bad = [], []
        with (self.folder / "images.bin").open("wb") as file:
            for name, found in self._decoded():
                if isinstance(found, ImageError):
                    bad.append(str(found))
                else:
                    file.write(found.tobytes())
                    names.append(name)
        listed = "\n".join(f"  {line}" for line in bad)
        if bad and self.source.bad == "error":
            raise ImageError(
                f"{self.source.folder}: {len(bad)} of {len(self.source.paths)} pictures cannot be used; mend or remove "
                f"them, or say bad: skip\n{listed}"
            )
        if bad:
            warnings.warn(f"{len(bad)} pictures are left out:\n{listed}", stacklevel=2)
        self.source.require(len(names))
        write_json(about, {"source": _about(self.source), "names": names})

    def _decoded(self) -> Any:
        """(name, (3, h, w) bytes or the error) of every picture, in order."""
        paths = self.source.paths
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(paths), _AT_ONCE):
                some = paths[start : start + _AT_ONCE]
                yield from zip((path.name for path in some), pool.map(self._read, some))

    def _read(self, path: Path) -> np.ndarray | ImageError:
        try:
            image = read_image(path, size=self.source.resolution)
        except ImageError as error:
            return error
        return image[0].add(1).mul(127.5).round().clamp(0, 255).byte().numpy()


def _about(source: Folder) -> dict[str, Any]:
    """What a cache is of: names and sizes of the files, and how they were read."""
    files = [[path.name, path.stat().st_size] for path in source.paths]
    return {"files": files, "resolution": list(source.resolution), "flips": source.flips}
