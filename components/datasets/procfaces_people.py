"""Drawn people, several pictures of each: what an identity network learns from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .procfaces import SPLITS, ProcFaces, mixing, parameters_from_latent
from .procfaces_parameters import COUNT, IDENTITY_NAMES, NAMES

_PERSON = [NAMES.index(name) for name in IDENTITY_NAMES]
_FIRST_SHOT = 3 * 10**9  # people are numbered from 0, and their pictures from here on
_SHOT = [i for i in range(COUNT) if i not in _PERSON]


class ProcFacesPeople(ProcFaces):
    """Faces of `people`, `shots` pictures of each in a row: the person is kept, and pose, expression, gaze, light,
    make-up, glasses, clothes and background are drawn anew.

    Args:
        resolution: pixels a side.
        seed: which people.
        people: how many.
        shots: pictures of each.
        split: "train" or "test".
        z_dim: width of the latents the faces come from.
        supersampling: samples per pixel and side.
        workers: processes that fill a folder of `cached` pictures; None: one a core.

    Raises:
        ComponentError: no such split, no items, or no worker.
    """

    def __init__(
        self,
        resolution: int = 64,
        seed: int = 0,
        people: int = 2000,
        shots: int = 5,
        split: str = "train",
        z_dim: int = 64,
        supersampling: int = 1,
        workers: int | None = None,
    ) -> None:
        super().__init__(resolution, seed, people * shots, split, z_dim, supersampling, workers)
        self.people, self.shots = people, shots

    def person(self, indices: Tensor) -> Tensor:
        """Whose pictures the items (n,) are: (n,) in 0 to people - 1."""
        return indices // self.shots

    def latents(self, indices: Sequence[int]) -> Tensor:
        """Latents (n, z_dim) of the items, all of the length that `normals_from_latent` keeps, so that pictures of a
        person agree in the person's parameters."""
        normals = torch.stack([self._normals(index) for index in indices])
        return (normals @ mixing(self.z_dim).T).float()

    def truth(self) -> Tensor:
        """(people, d) in [-1, 1]: the renderer's own identity vectors."""
        return parameters_from_latent(self.latents(range(0, self.count, self.shots))).identity()

    def strangers(self, people: int, resolution: int) -> dict[str, Tensor]:
        """`image` and `person` of people of the test split, finely sampled; four shots each."""
        others = ProcFacesPeople(resolution, self.seed, people, 4, "test", self.z_dim, supersampling=2)
        items = torch.arange(others.count)
        return {"image": others.rendering(items.tolist()).image, "person": others.person(items)}

    def _normals(self, index: int) -> Tensor:
        normals = torch.empty(self.z_dim, dtype=torch.float64)
        rest = list(range(COUNT, self.z_dim))
        for columns, number in ((_PERSON, index // self.shots), (_SHOT + rest, _FIRST_SHOT + index)):
            seed = (self.seed * 10**9 + number) * 4 + 2 + SPLITS.index(self.split)
            drawn = torch.randn(len(columns), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
            normals[columns] = drawn * drawn.square().mean().clamp(min=1e-8).rsqrt()
        return normals
