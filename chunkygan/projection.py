"""A picture as chunks: what a fit found, what was edited since, and how it draws."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from chunkygan.coherence import LEAST_OVERLAP, mean_disagreement, overlap
from chunkygan.drawing import Drawn, drawn_of
from chunkygan.editing.component_edits import (
    AnyEdit,
    ComponentEdit,
    check_edit,
    component_edit,
    edited_code,
    edited_styles,
    warning_about,
)
from chunkygan.editing.mask_painting import painted_segments
from chunkygan.editing.moves import Move
from chunkygan.editing.moving_masks import can_move, moved_masks
from chunkygan.errors import ProjectionError
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.photos.alignment import Alignment
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Noise, Segments, Styles, WeightChanges
from chunkygan.weight_changes import tuned
from chunkygan.wording import did_you_mean, known

__all__ = ["ComponentEdit", "Move", "Projection"]


@dataclass(frozen=True)
class Projection:
    """One picture, fitted. Edits are a list beside the fit, so each can be taken back.

    Args:
        target: (1, 3, h, w) in [-1, 1], the picture that was fitted.
        codes: the fitted codes, without edits.
        segments: the chunks, before any edit.
        generator: what draws them; on any device.
        generator_spec: its component spec, ``{"name": ..., "weights": ...}``, from which it is loaded again.
        generator_sha256: of its weight file; None for a generator without one.
        noise: fitted noise maps; None: the generator's own.
        mask_state: the mask generator's parameters.
        edits: in the order in which they act.
        metrics: measures by name.
        recipe: the resolved recipe that made it.
        weight_changes: of the generator, where it was tuned for this picture.
        alignment: where the picture lies in the photo that it was cut from; None where that is not known.
        fitted: the fit's own chunks, where other masks have been painted since; None: `segments` are the fit's.
    """

    target: Tensor
    codes: Codes
    segments: Segments
    generator: Generator
    generator_spec: dict[str, Any] = field(default_factory=dict)
    generator_sha256: str | None = None
    noise: tuple[Tensor, ...] | None = None
    mask_state: dict[str, Tensor] = field(default_factory=dict)
    edits: tuple[AnyEdit, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    weight_changes: WeightChanges | None = None
    alignment: Alignment | None = None
    fitted: Segments | None = None

    @property
    def masks(self) -> Tensor:
        """(n_chunks, h, w) in [0, 1], summing to 1 at every pixel; moved by the edits that masks follow."""
        return self.edited_segments.masks

    @cached_property
    def edited_segments(self) -> Segments:
        """The chunks after all edits: `segments` themselves where no edit takes the masks along.

        Masks that were painted over since the fit rest: their mask code knows nothing of what was painted.
        """
        edits = [edit for edit in self.edits if edit.acts and edit.masks]
        if not edits or self.fitted is not None:
            return self.segments
        names, generator = self.segments.names, self.generator
        masks = moved_masks(edits, names=names, state=self.mask_state, recipe=self.recipe, generator=generator)
        return replace(self.segments, masks=masks)

    @property
    def masks_can_move(self) -> bool:
        """Whether the masks have a code of their own, which an edit can move."""
        return can_move(self.recipe, self.mask_state)

    @cached_property
    def spaces(self) -> tuple[LatentSpace, ...]:
        """Each chunk's latent space; chunks of the same space share the object."""
        return latent_spaces(self.codes.spaces, self.drawer)

    @property
    def drawer(self) -> Generator:
        """The generator that draws this picture: its tuned copy where there are weight changes."""
        return tuned(self.generator, self.weight_changes)

    @torch.no_grad()
    def edited_codes(self) -> list[Tensor]:
        """The chunks' codes after all edits that their spaces can hold; see `edited_styles`."""
        codes = list(self.codes.values)
        for edit in self.edits:
            for i in edit.chunks:
                codes[i] = edited_code(edit.of_chunk(i), codes[i], self.spaces[i])
        return codes

    @torch.no_grad()
    def edited_styles(self) -> list[Styles]:
        """The chunks' styles, batch of 1, after all edits: those of single channels of S included."""
        return [
            edited_styles([edit.of_chunk(i) for edit in self.edits if i in edit.chunks], code.to(self._device), space)
            for i, (code, space) in enumerate(zip(self.codes.values, self.spaces))
        ]

    def render(self) -> Tensor:
        """(1, 3, h, w), nominally in [-1, 1]: Eq. 1, and Eq. 3 where there is a static mask, on the CPU."""
        return self._in_windows().image.cpu()

    def disagreement(self) -> Tensor:
        """(h, w): how far the chunks disagree where their masks overlap, see `chunkygan.coherence`, on the CPU."""
        return self._in_windows().disagreement().cpu()

    def mean_disagreement(self) -> float | None:
        """The number of `disagreement`: see `chunkygan.coherence.mean_disagreement`; None where no masks overlap."""
        shared = overlap(self.masks, self.segments.static)
        return mean_disagreement(self.disagreement(), shared) if float(shared.sum()) >= LEAST_OVERLAP else None

    @torch.no_grad()
    def _in_windows(self) -> Drawn:
        """Each chunk drawn where its mask is used."""
        device = self._device
        static = None if self.segments.static is None else self.segments.static.to(device)
        segments = Segments(self.masks.to(device), self.segments.names, static)
        styles = [torch.cat(layer) for layer in zip(*self.edited_styles())]
        return drawn_of(self.drawer, styles, segments, self.target.to(device), noise=self._noise())

    @torch.no_grad()
    def drawn(self) -> Tensor:
        """(n_chunks, 3, h, w): the whole picture that each chunk's code draws, on the CPU."""
        return torch.cat([self.drawer.synthesis(s, noise=self._noise()).cpu() for s in self.edited_styles()])

    def edit(
        self,
        direction: Tensor | Mapping[str, Any],
        strength: float,
        chunk: str | Sequence[str] | None = None,
        *,
        rows: tuple[int, int] | None = None,
        name: str = "",
        masks: bool = False,
    ) -> Projection:
        """The projection with one more edit; warns where it goes beyond what the domain holds.

        Args:
            direction, rows, name: see `Move`; or, for a direction, the spec of a component of the kind `edit`,
                ``{"name": "styleflow", "weights": ..., "changes": {"smile": 1.0}}``.
            strength: how far; 0 is the identity, bit for bit.
            chunk: name of the chunk to move, or several; None: all.
            masks: masks that have a code of their own (`seghead`) go along, for edits that move what is seen: a turn of
                the head.

        Raises:
            ProjectionError: no such chunk or rows, or masks that cannot move.
            ShapeError: the direction fits no space of a chunk.
            ComponentError, WeightsError: a component that cannot be made.
        """
        if isinstance(direction, Mapping):
            made = component_edit(direction, float(strength), self.chunk_indices(chunk), rows, name)
            return replace(self, edits=(*self.edits, self._checked(replace(made, masks=masks))))
        move = Move(direction.detach().cpu(), float(strength), self.chunk_indices(chunk), rows, name, masks=masks)
        return replace(self, edits=(*self.edits, self._checked(move)))

    def change_edit(self, index: int, *, chunk: str | Sequence[str] | None = None, **changes: Any) -> Projection:
        """The projection with one edit changed, the others as they are.

        Args:
            index: of the edit in `edits`; negative from the end.
            chunk: chunks that it moves from now on; None: as before.
            changes: any of `strength`, `name`, `enabled`, `masks`; of a linear edit `direction` and `rows`, of another
                `spec`.

        Raises:
            ProjectionError, ShapeError: as `edit`; or no such edit.
        """
        place = self._place(index)
        move = replace(self.edits[place], **changes)
        move = self._checked(move if chunk is None else replace(move, chunks=self.chunk_indices(chunk)))
        return replace(self, edits=(*self.edits[:place], move, *self.edits[place + 1 :]))

    def remove_edit(self, index: int) -> Projection:
        """The projection as if that edit had never been made.

        Raises:
            ProjectionError: no such edit.
        """
        place = self._place(index)
        return replace(self, edits=self.edits[:place] + self.edits[place + 1 :])

    def reorder_edits(self, order: Sequence[int]) -> Projection:
        """The projection with its edits in another order.

        Args:
            order: every index of `edits` once.

        Raises:
            ProjectionError: an index that is missing, doubled, or not there.
        """
        if sorted(order) != list(range(len(self.edits))):
            raise ProjectionError(f"the order must name each edit, 0 to {len(self.edits) - 1}, once; got {list(order)}")
        return replace(self, edits=tuple(self.edits[i] for i in order))

    def with_masks(self, masks: Tensor | Segments | None) -> Projection:
        """The projection with other masks, from which each chunk's code is drawn at once; the fit's own are kept.

        Args:
            masks: (n_chunks, h, w) in [0, 1], divided by their sum; or chunks with their static mask; None: the fit's
                own again, bit for bit.

        Raises:
            ShapeError: another number of chunks or size, a value outside of [0, 1], or a pixel that no mask has.
            ProjectionError: chunks of other names.
        """
        own = self.segments if self.fitted is None else self.fitted
        if masks is None:
            return replace(self, segments=own, fitted=None)
        return replace(self, segments=painted_segments(self.edited_segments, masks), fitted=own)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as one safetensors file, whole or not at all; `chunkygan.load_projection` reads it.

        Raises:
            WeightsError: it cannot be written.
        """
        from chunkygan.projection_file import save_projection

        save_projection(self, path)

    def chunk_indices(self, chunk: str | Sequence[str] | None) -> tuple[int, ...]:
        """Indices of chunks by name, of all for None.

        Raises:
            ProjectionError: no such chunk.
        """
        names = self.segments.names
        wanted = list(names) if chunk is None else [chunk] if isinstance(chunk, str) else list(chunk)
        for name in wanted:
            if name not in names:
                raise ProjectionError(f"no chunk '{name}'; {known(names)}{did_you_mean(name, names)}")
        return tuple(dict.fromkeys(names.index(name) for name in wanted))

    @property
    def _device(self) -> torch.device:
        return self.generator.w_avg.device

    def _noise(self) -> Noise:
        return "const" if self.noise is None else [value.to(self._device) for value in self.noise]

    def _checked(self, edit: AnyEdit) -> AnyEdit:
        for i in edit.chunks:
            check_edit(edit.of_chunk(i), self.spaces[i])
        if edit.masks and not self.masks_can_move:
            raise ProjectionError(
                f"the masks of {', '.join(self.segments.names)} have no code that an edit could move: they rest"
            )
        if (warning := warning_about(edit, self.generator)) is not None:
            warnings.warn(warning, stacklevel=3)
        return edit

    def _place(self, index: int) -> int:
        if not -len(self.edits) <= index < len(self.edits):
            raise ProjectionError(f"no edit {index}; there are {len(self.edits)}")
        return index % len(self.edits)
