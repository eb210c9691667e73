"""A picture as chunks: what a fit found, what was edited since, and how it draws."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from chunkygan.drawing import composite
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Noise, Segments, Styles
from chunkygan.wording import did_you_mean, known


@dataclass(frozen=True)
class Move:
    """One linear edit: codes moved along a direction.

    Args:
        direction: of W, (w_dim,); of W+, (num_ws, w_dim); or of the chunks' own space, its ``code_shape``.
        strength: how far; 0 is the identity.
        chunks: indices of the chunks it moves.
    """

    direction: Tensor
    strength: float
    chunks: tuple[int, ...]


@dataclass(frozen=True)
class Projection:
    """One picture, fitted. Edits are a list beside the fit, so each can be taken back.

    Args:
        target: (1, 3, h, w) in [-1, 1], the picture that was fitted.
        codes: the fitted codes, without edits.
        segments: the chunks.
        generator: what draws them; on any device.
        generator_spec: its component spec, ``{"name": ..., "weights": ...}``, from which it is loaded again.
        generator_sha256: of its weight file; None for a generator without one.
        noise: fitted noise maps; None: the generator's own.
        mask_state: the mask generator's parameters.
        edits: in the order in which they act.
        metrics: measures by name.
        recipe: the resolved recipe that made it.
    """

    target: Tensor
    codes: Codes
    segments: Segments
    generator: Generator
    generator_spec: dict[str, Any] = field(default_factory=dict)
    generator_sha256: str | None = None
    noise: tuple[Tensor, ...] | None = None
    mask_state: dict[str, Tensor] = field(default_factory=dict)
    edits: tuple[Move, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def masks(self) -> Tensor:
        """(n_chunks, h, w) in [0, 1], summing to 1 at every pixel."""
        return self.segments.masks

    @cached_property
    def spaces(self) -> tuple[LatentSpace, ...]:
        """Each chunk's latent space; chunks of the same space share the object."""
        return latent_spaces(self.codes.spaces, self.generator)

    @torch.no_grad()
    def edited_codes(self) -> list[Tensor]:
        """The chunks' codes after all edits."""
        codes = list(self.codes.values)
        for edit in self.edits:
            for i in edit.chunks if edit.strength else ():
                codes[i] = self.spaces[i].move(codes[i], _in_space(edit.direction, self.spaces[i]), edit.strength)
        return codes

    @torch.no_grad()
    def render(self) -> Tensor:
        """(1, 3, h, w), nominally in [-1, 1]: Eq. 1, and Eq. 3 where there is a static mask, on the CPU."""
        device = self._device
        static = None if self.segments.static is None else self.segments.static.to(device)
        segments = Segments(self.masks.to(device), self.segments.names, static)
        image = composite(self.generator, self._styles(), segments, self.target.to(device), noise=self._noise())
        return image.cpu()

    @torch.no_grad()
    def drawn(self) -> Tensor:
        """(n_chunks, 3, h, w): the whole picture that each chunk's code draws, on the CPU."""
        return torch.cat([self.generator.synthesis(s, noise=self._noise()).cpu() for s in self._styles()])

    def edit(self, direction: Tensor, strength: float, chunk: str | Sequence[str] | None = None) -> Projection:
        """The projection with one more edit.

        Args:
            direction: see `Move`.
            strength: how far; 0 is the identity, bit for bit.
            chunk: name of the chunk to move, or several; None: all.

        Raises:
            ProjectionError: no such chunk.
            ShapeError: the direction fits no space of a chunk.
        """
        chunks = tuple(range(len(self.segments.names))) if chunk is None else self._indices(chunk)
        for i in chunks:
            _in_space(direction, self.spaces[i])
        return replace(self, edits=(*self.edits, Move(direction.detach().cpu(), float(strength), chunks)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as one safetensors file, whole or not at all; `chunkygan.load_projection` reads it.

        Raises:
            WeightsError: it cannot be written.
        """
        from chunkygan.projection_file import save_projection

        save_projection(self, path)

    @property
    def _device(self) -> torch.device:
        return self.generator.w_avg.device

    def _styles(self) -> list[Styles]:
        codes = self.edited_codes()
        return [space.to_styles(code[None].to(self._device)) for space, code in zip(self.spaces, codes)]

    def _noise(self) -> Noise:
        return "const" if self.noise is None else [value.to(self._device) for value in self.noise]

    def _indices(self, chunk: str | Sequence[str]) -> tuple[int, ...]:
        names = self.segments.names
        wanted = [chunk] if isinstance(chunk, str) else list(chunk)
        for name in wanted:
            if name not in names:
                raise ProjectionError(f"no chunk '{name}'; {known(names)}{did_you_mean(name, names)}")
        return tuple(names.index(name) for name in wanted)


def _in_space(direction: Tensor, space: LatentSpace) -> Tensor:
    """A direction as one of this space."""
    generator = space.generator
    direction = direction.to(generator.w_avg)
    if tuple(direction.shape) == space.code_shape:
        return direction.cpu()
    if tuple(direction.shape) in ((generator.w_dim,), (generator.num_ws, generator.w_dim)):
        return space.direction(direction).cpu()
    raise ShapeError(
        f"direction must have shape ({generator.w_dim},), ({generator.num_ws}, {generator.w_dim}) or "
        f"{space.code_shape}; got {tuple(direction.shape)}"
    )
