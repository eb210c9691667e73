"""The pictures of an evaluation and their chunks: a folder of photographs, or a data set that knows its true masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.errors import RecipeError
from chunkygan.images import list_images, read_image
from chunkygan.wording import did_you_mean, known


@dataclass(frozen=True)
class Sample:
    """One picture of an evaluation.

    Args:
        name: unique in its set.
        image: (1, 3, h, w) in [-1, 1].
        masks: (n_chunks, h, w) in [0, 1] where the set knows them; None: the recipe's mask generator tells.
        chunks: names of the masks.
        stem: what ``{stem}`` in the recipe's values stands for.
    """

    name: str
    image: Tensor
    masks: Tensor | None = None
    chunks: tuple[str, ...] = ()
    stem: str = ""


class ImageSet(Protocol):
    """Pictures by name; each is made when it is asked for.

    Attributes:
        names: of all pictures, all different.
        has_masks: whether the pictures bring true masks.
        title: what it is, in a few words.
    """

    names: tuple[str, ...]
    has_masks: bool
    title: str

    def sample(self, name: str) -> Sample:
        """The picture of that name."""


def image_source(
    folder: str | None = None,
    dataset: dict[str, Any] | None = None,
    count: int | None = None,
    chunks: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    """What a recipe's `images` section may say: one of `folder` and `dataset`.

    Args:
        folder: of pictures; where it is named, the data set and its chunks count for nothing.
        dataset: a data set's component spec; its items have ``image`` and soft ``masks``.
        count: how many, from the first; null: all.
        chunks: chunk -> classes of the data set that it joins; classes that none names make the chunk ``rest``.
    """
    return {"folder": folder, "dataset": dataset, "count": count, "chunks": chunks}


def image_set(source: dict[str, Any], *, size: tuple[int, int], seed: int) -> ImageSet:
    """The set that a recipe's `images` section names, at a size, (height, width).

    Raises:
        RecipeError: neither folder nor data set, a class that the data set does not have, or a count below 1.
        ImageError: no such folder, or no picture in it.
    """
    folder, dataset, count, chunks = (source[key] for key in ("folder", "dataset", "count", "chunks"))
    if folder is None and dataset is None:
        raise RecipeError("images: name a folder or a dataset")
    if count is not None and count < 1:
        raise RecipeError(f"images.count: must be 1 or more, or null for all; got {count}")
    if folder is not None:
        return FolderImages(Path(folder), count, size)
    return DatasetImages(dataset, count, chunks, seed)


class FolderImages:
    """The pictures of a folder, cut and resized; their masks come from the recipe.

    Args:
        folder: sub-folders are left out.
        count: how many, by name from the first; None: all.
        size: (height, width).
    """

    has_masks = False

    def __init__(self, folder: Path, count: int | None, size: tuple[int, int]) -> None:
        paths = list_images(folder)[:count]
        stems = Counter(path.stem for path in paths)
        # a.png and a.jpg are two pictures
        self.paths = {path.stem if stems[path.stem] == 1 else path.name: path for path in paths}
        self.names, self.size, self.title = tuple(self.paths), size, str(folder)

    def sample(self, name: str) -> Sample:
        """The picture of that name.

        Raises:
            ImageError: it cannot be read.
        """
        path = self.paths[name]
        return Sample(name, read_image(path, size=self.size), stem=path.stem)


class DatasetImages:
    """The items of a data set with their true masks, joined into chunks.

    Args:
        spec: the data set's component spec.
        count: how many, from the first; None: all.
        chunks: chunk -> classes; None or empty: the masks are not used.
        seed: of the data set.

    Raises:
        RecipeError: a class that the data set does not have, or that two chunks name.
    """

    def __init__(self, spec: dict[str, Any], count: int | None, chunks: dict[str, list[str]] | None, seed: int) -> None:
        self.dataset, self.chunks = create("dataset", spec, seed=seed), chunks
        total = len(self.dataset)
        self.names = tuple(f"{index:04d}" for index in range(total if count is None else min(count, total)))
        self.has_masks = bool(chunks)
        self.title = " ".join(str(value) for key, value in spec.items() if key in ("name", "split"))
        if chunks:
            _check_classes(self.dataset.classes, chunks)

    def sample(self, name: str) -> Sample:
        """The item of that name."""
        item = self.dataset[int(name)]
        names, masks = merged(item["masks"], self.dataset.classes, self.chunks) if self.chunks else ((), None)
        return Sample(name, item["image"][None], masks, names, name)


def merged(masks: Tensor, classes: Sequence[str], chunks: dict[str, list[str]]) -> tuple[tuple[str, ...], Tensor]:
    """Names and masks of chunks that join classes; those without a pixel are left out.

    Args:
        masks: (n_classes, h, w), summing to 1.

    Raises:
        RecipeError: a class that there is not, or that two chunks name.
    """
    _check_classes(classes, chunks)
    named = [name for members in chunks.values() for name in members]
    rest = [name for name in classes if name not in named]
    groups = {**chunks, **({"rest": rest} if rest else {})}
    joined = {key: masks[[list(classes).index(name) for name in members]].sum(0) for key, members in groups.items()}
    present = {key: mask for key, mask in joined.items() if bool((mask > 0.5).any())}
    stacked = torch.stack(list(present.values()))
    return tuple(present), stacked / stacked.sum(0, keepdim=True).clamp_min(1e-6)


def _check_classes(classes: Sequence[str], chunks: dict[str, list[str]]) -> None:
    named = [name for members in chunks.values() for name in members]
    for name in named:
        if name not in classes:
            raise RecipeError(f"images.chunks: no class '{name}'; {known(classes)}{did_you_mean(name, classes)}")
        if named.count(name) > 1:
            raise RecipeError(f"images.chunks: class '{name}' is in two chunks")
