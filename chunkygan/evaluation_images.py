"""The pictures of an evaluation and their chunks: a folder of photographs, or a data set that knows its true masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """

    name: str
    image: Tensor
    masks: Tensor | None = None
    chunks: tuple[str, ...] = ()


def image_source(
    folder: str | None = None,
    dataset: dict[str, Any] | None = None,
    count: int | None = None,
    chunks: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    """What a recipe's `images` section may say: one of `folder` and `dataset`.

    Args:
        folder: of pictures.
        dataset: a data set's component spec; its items have ``image`` and soft ``masks``.
        count: how many, from the first; null: all.
        chunks: chunk -> classes of the data set that it joins; classes that none names make the chunk ``rest``.
    """
    return {"folder": folder, "dataset": dataset, "count": count, "chunks": chunks}


def samples(source: dict[str, Any], *, size: tuple[int, int], seed: int) -> Iterator[Sample]:
    """The set's pictures at a size, (height, width).

    Raises:
        RecipeError: both or none of folder and data set, or a class that the data set does not have.
        ImageError: a picture cannot be read.
    """
    folder, dataset, count, chunks = (source[key] for key in ("folder", "dataset", "count", "chunks"))
    if (folder is None) == (dataset is None):
        raise RecipeError("images: name one of folder and dataset")
    if folder is not None:
        for path in list_images(Path(folder))[:count]:
            yield Sample(path.stem, read_image(path, size=size))
        return
    made = create("dataset", dataset, seed=seed)
    for index in range(len(made) if count is None else min(count, len(made))):
        item = made[index]
        names, masks = merged(item["masks"], made.classes, chunks) if chunks else ((), None)
        yield Sample(f"{index:04d}", item["image"][None], masks, names)


def merged(masks: Tensor, classes: Sequence[str], chunks: dict[str, list[str]]) -> tuple[tuple[str, ...], Tensor]:
    """Names and masks of chunks that join classes; those without a pixel are left out.

    Args:
        masks: (n_classes, h, w), summing to 1.

    Raises:
        RecipeError: a class that there is not, or that two chunks name.
    """
    named = [name for members in chunks.values() for name in members]
    for name in named:
        if name not in classes:
            raise RecipeError(f"images.chunks: no class '{name}'; {known(classes)}{did_you_mean(name, classes)}")
        if named.count(name) > 1:
            raise RecipeError(f"images.chunks: class '{name}' is in two chunks")
    rest = [name for name in classes if name not in named]
    groups = {**chunks, **({"rest": rest} if rest else {})}
    joined = {key: masks[[list(classes).index(name) for name in members]].sum(0) for key, members in groups.items()}
    present = {key: mask for key, mask in joined.items() if bool((mask > 0.5).any())}
    stacked = torch.stack(list(present.values()))
    return tuple(present), stacked / stacked.sum(0, keepdim=True).clamp_min(1e-6)
