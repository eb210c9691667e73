"""A folder of pictures as a data set: cut to one aspect around their centre, resized, and kept as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from chunkygan.components.datasets.folder_cache import FolderCache
from chunkygan.errors import ComponentError
from chunkygan.images import list_images, read_image


class Folder(Dataset[dict[str, Tensor]]):
    """The pictures of one folder, sorted by name; sub-folders are left out.

    Args:
        path: the folder.
        resolution: pixels a side, or [height, width].
        flips: every picture a second time, mirrored left to right: doubles a small set of what has no left and right.
        bad: what becomes of files that cannot be read: ``"error"`` stops and names them all, ``"skip"`` goes on
            without them and names them in a warning.
        minimum: the fewest pictures to go on with. Augmentation makes some hundreds enough for a first result.

    Raises:
        ComponentError: fewer pictures than that, or a size or choice that is none.
        ImageError: no such folder, or no picture in it.
    """

    def __init__(
        self,
        path: str,
        resolution: int | list[int] = 128,
        flips: bool = False,
        bad: Literal["error", "skip"] = "error",
        minimum: int = 64,
    ) -> None:
        sides = [resolution, resolution] if isinstance(resolution, int) else list(resolution)
        if len(sides) != 2 or min(sides) < 1:
            raise ComponentError(f"resolution must be pixels a side, or [height, width]; got {resolution!r}")
        if bad not in ("error", "skip"):
            raise ComponentError(f"bad must be 'error' or 'skip'; got {bad!r}")
        self.folder, self.flips, self.bad, self.minimum = Path(path).expanduser(), flips, bad, minimum
        self.resolution: tuple[int, int] = (sides[0], sides[1])
        if self.folder.is_file():
            raise ComponentError(f"path must be a folder of pictures; got the file {self.folder}")
        self.paths = list_images(self.folder)
        self.require(len(self.paths))

    def require(self, found: int) -> None:
        """Raises ComponentError where so many pictures are too few."""
        if found < self.minimum:
            raise ComponentError(
                f"{self.folder}: {found} pictures that can be read; at least {self.minimum} are needed (minimum)"
            )

    def __len__(self) -> int:
        return len(self.paths) * (2 if self.flips else 1)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`image`, (3, h, w) in [-1, 1]; where `flips`, the second half are the first half mirrored.

        Raises:
            ImageError: the file cannot be read.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        image = read_image(self.paths[index % len(self.paths)], size=self.resolution)[0]
        return {"image": image if index < len(self.paths) else image.flip(2)}

    def images(self, indices: Sequence[int]) -> Tensor:
        """(n, 3, h, w) in [-1, 1]."""
        return torch.stack([self[index]["image"] for index in indices])

    def cached(self, folder: Path) -> FolderCache:
        """The pictures on disk, decoded once.

        Raises:
            ImageError: files that cannot be read, all of them named (where `bad` is "error").
            ComponentError: too few can be read, or the folder has changed since its pictures were kept.
        """
        return FolderCache(folder, self)
