"""Drawn faces as a data set: every item is known from its seed, and no item of one split is in the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

from chunkygan.errors import ComponentError

from .procfaces_canvas import CLASSES
from .procfaces_extras import extras_of, prepared
from .procfaces_parameters import (
    ATTRIBUTE_NAMES,
    COUNT,
    FIRST_COUNT,
    HUE_NAMES,
    NAMES,
    FaceParameters,
    parameters_from_normal,
)
from .procfaces_render import Rendering, render

if TYPE_CHECKING:
    from .procfaces_cache import FaceCache

SPLITS = ("train", "test", "hard")
"""`hard` draws people that are in neither of the others, each with one of the extras that no training picture has."""
_HARD = 500_000_000  # its items are those of the test split from here on


def mixing(width: int) -> Tensor:
    """The (width, width) rotation between latents and normals, in double precision."""
    generator = torch.Generator().manual_seed(20210)
    turn, _ = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
    return turn


def normals_from_latent(z: Tensor) -> Tensor:
    """The (n, COUNT) normals behind the faces of latents z, (n, z_dim) with z_dim >= COUNT.

    A fixed rotation mixes the latents, so that no coordinate of z is an attribute. Like StyleGAN2's
    mapping network it sees only the direction of z.
    """
    width = z.shape[1]
    if width < COUNT:
        raise ComponentError(f"z_dim must be at least {COUNT}, the number of a face's parameters; got {width}")
    turn = mixing(width)
    direction = z * z.square().mean(1, keepdim=True).clamp(min=1e-8).rsqrt()
    first, later = turn[:, :COUNT].to(z).split([FIRST_COUNT, COUNT - FIRST_COUNT], 1)
    return torch.cat([direction @ first, direction @ later], 1)  # as one product, the first could round differently


def parameters_from_latent(z: Tensor) -> FaceParameters:
    """The faces of latents z, (n, z_dim)."""
    return parameters_from_normal(normals_from_latent(z))


class ProcFaces(Dataset[dict[str, Tensor]]):
    """Faces drawn when they are asked for, item by item or many at once with `rendering`.

    Args:
        resolution: pixels a side.
        seed: which faces; the same seed draws the same ones on every machine's CPU, to rounding.
        count: how many there are.
        split: "train", "test" or "hard", see `SPLITS`.
        z_dim: width of the latents the faces come from.
        supersampling: samples per pixel and side.
        workers: processes that fill a folder of `cached` pictures; None: one a core.

    Raises:
        ComponentError: no such split, no items, or no worker.
    """

    def __init__(
        self,
        resolution: int = 128,
        seed: int = 0,
        count: int = 1000,
        split: str = "train",
        z_dim: int = 64,
        supersampling: int = 2,
        workers: int | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ComponentError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
        if count < 1:
            raise ComponentError(f"count must be at least 1; got {count}")
        if workers is not None and workers < 1:
            raise ComponentError(f"workers must be at least 1; got {workers}")
        self.resolution, self.seed, self.count, self.split = resolution, seed, count, split
        self.z_dim, self.supersampling, self.workers = z_dim, supersampling, workers

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the label classes."""
        return CLASSES

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes."""
        return ATTRIBUTE_NAMES

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of everything that a face is made of."""
        return NAMES

    def parameters_of(self, z: Tensor) -> Tensor:
        """(n, len(parameter_names)) of the faces that latents z, (n, z_dim), stand for; no picture is drawn."""
        return parameters_from_latent(z).values

    def traits_of(self, z: Tensor) -> Tensor:
        """(n, k) what the faces of latents z, (n, z_dim), look like, in numbers that pictures depend on simply:
        parameters scaled to [-1, 1], and hues as points of a circle."""
        faces = parameters_from_latent(z)
        angles = torch.stack([faces[name][:, 0, 0] for name in HUE_NAMES], 1) * (2 * math.pi)
        return torch.cat([faces.scaled(), angles.cos(), angles.sin()], 1)

    def held_out(self, count: int, split: str = "test", supersampling: int | None = None) -> dict[str, Tensor]:
        """`image`, `labels`, `attributes` and `z` of that many items of a split that no training sees."""
        test = ProcFaces(self.resolution, self.seed, count, split, self.z_dim, supersampling or self.supersampling)
        drawn = test.rendering(range(count))
        return {
            "image": drawn.image,
            "labels": drawn.labels,
            "attributes": drawn.attributes,
            "z": test.latents(range(count)),
        }

    def cached(self, folder: Path) -> FaceCache:
        """The items on disk, drawn as they are needed."""
        from .procfaces_cache import FaceCache

        return FaceCache(folder, self)

    def __len__(self) -> int:
        return self.count

    def latents(self, indices: Sequence[int]) -> Tensor:
        """Standard normal latents (n, z_dim) of the items: each has a generator of its own."""
        generator, first = torch.Generator(), _HARD if self.split == "hard" else 0
        drawn = []
        for index in indices:
            generator.manual_seed(2 * (self.seed * 10**9 + first + index) + (self.split != "train"))
            drawn.append(torch.randn(self.z_dim, generator=generator))
        return torch.stack(drawn)

    def rendering(self, indices: Sequence[int]) -> Rendering:
        """The pictures of the items and the truth about them."""
        faces = parameters_from_latent(self.latents(indices))
        if self.split != "hard":
            return render(faces, self.resolution, supersampling=self.supersampling)
        extras = extras_of(list(indices), self.seed)
        return render(prepared(faces, extras), self.resolution, supersampling=self.supersampling, extras=extras)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`image`, `labels`, `masks`, `attributes`, `identity` as in `Rendering` without the first axis, and `z`."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        drawn = self.rendering([index])
        names = ("image", "labels", "masks", "attributes", "identity")
        return {name: getattr(drawn, name)[0] for name in names} | {"z": self.latents([index])[0]}
