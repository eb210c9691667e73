"""An encoder's codes as the start of every chunk, then any other inverter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.compositing import effective_masks
from chunkygan.drawing import composite
from chunkygan.errors import ProjectionError
from chunkygan.interfaces import Encoder, FitRequest, Generator, Inverter, MaskGenerator, Perceptual
from chunkygan.shapes import check_shape
from chunkygan.signatures import Part
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Fit, Listener, Segments, Spec


class EncoderInit(Inverter):
    """Predicts every chunk's code, and hands it to another inverter as its start.

    Args:
        encoder: a component, ``{name: psp, weights: ...}``.
        chunks: ``"whole"``: the code of the whole picture serves every chunk; ``"filled"``: each chunk gets the code of
            a picture that shows the target inside its mask and the current composite elsewhere.
        rounds: how often the filled pictures are made anew; a chunk keeps its code where the new one fits worse.
        then: an inverter, ``{name: optimization, steps: 200}``; null: the encoder's codes are the result.

    Source: after Richardson et al. 2021 for one code; codes of filled pictures are this project's choice, the paper
    begins at the mean code.
    """

    def __init__(
        self,
        encoder: Annotated[dict[str, Any], Part("encoder")],
        chunks: Literal["whole", "filled"] = "whole",
        rounds: int = 2,
        then: Annotated[dict[str, Any], Part("inverter")] | None = None,
        generator: Generator | None = None,
        seed: int = 0,
        trainer: dict[str, Any] | None = None,
    ) -> None:
        self.encoder, self.chunks, self.rounds = encoder, chunks, rounds
        self.then: Inverter | None = None
        if then is not None:
            self.then = create("inverter", then, generator=generator, seed=seed, trainer=trainer or {})
        self._made: tuple[Generator, Encoder] | None = None
        if generator is not None:  # a missing file is said before anything runs
            self._encoder(generator)

    def project(
        self,
        target: Tensor,
        *,
        generator: Generator,
        spaces: Sequence[Spec],
        mask_generator: MaskGenerator,
        perceptual: Perceptual,
        start: Fit | None = None,
        seed: int = 0,
        listeners: Sequence[Listener] = (),
        state: Path | None = None,
    ) -> Fit:
        fit = self._begun(FitRequest(target, spaces, mask_generator, start), generator)
        if self.then is None:
            return fit
        return self.then.project(
            target, generator=generator, spaces=spaces, mask_generator=mask_generator, perceptual=perceptual,
            start=fit, seed=seed, listeners=listeners, state=state,
        )  # fmt: skip

    @property
    def fits_together(self) -> bool:  # type: ignore[override]
        """As the inverter that goes on."""
        return self.then is not None and self.then.fits_together

    def project_all(
        self, requests: Sequence[FitRequest], *, generator: Generator, perceptual: Perceptual, seed: int = 0
    ) -> Iterator[tuple[int, Fit | Exception]]:
        if self.then is None:
            yield from super().project_all(requests, generator=generator, perceptual=perceptual, seed=seed)
            return
        begun: dict[int, FitRequest] = {}
        for place, one in enumerate(requests):
            try:
                begun[place] = replace(one, start=self._begun(one, generator))
            except Exception as error:
                yield place, error
        places = [*begun]
        fits = self.then.project_all([*begun.values()], generator=generator, perceptual=perceptual, seed=seed)
        for number, found in fits:
            yield places[number], found

    def _begun(self, one: FitRequest, generator: Generator) -> Fit:
        """The encoder's codes of a picture."""
        check_shape(one.target, "1 3 h w", name="target", h=generator.resolution[0], w=generator.resolution[1])
        if one.start is not None:
            raise ProjectionError("encoder_init makes a start of its own and takes none; chain it first")
        return self._encoded(one.target, generator, one.spaces, one.mask_generator)

    @torch.no_grad()
    def _encoded(
        self, target: Tensor, generator: Generator, spaces: Sequence[Spec], mask_generator: MaskGenerator
    ) -> Fit:
        static = mask_generator.static()
        segments = Segments(mask_generator()[0], mask_generator.names, None if static is None else static[0])
        encoder = self._encoder(generator)
        ws = encoder(target).expand(len(segments.names), -1, -1)
        if self.chunks == "filled" and len(segments.names) > 1:
            ws = filled_codes(target, encoder, generator, segments, ws, rounds=self.rounds)
        made = latent_spaces(spaces, generator)
        codes = tuple(space.from_ws(ws[i : i + 1])[0].cpu() for i, space in enumerate(made))
        cpu = Segments(segments.masks.cpu(), segments.names, None if segments.static is None else segments.static.cpu())
        return Fit(codes=Codes(codes, tuple(spaces)), segments=cpu)

    def _encoder(self, generator: Generator) -> Encoder:
        if self._made is None or self._made[0] is not generator:
            self._made = generator, create("encoder", self.encoder, generator=generator)
        return self._made[1].to(generator.w_avg.device)


def filled_codes(
    target: Tensor, encoder: Encoder, generator: Generator, segments: Segments, ws: Tensor, *, rounds: int
) -> Tensor:
    """Codes (n_chunks, num_ws, w_dim) of pictures that show the target inside a chunk's mask, the composite elsewhere.

    Args:
        ws: the chunks' codes to begin with; one is kept where the new one is further from the target inside the mask.
    """
    weights = effective_masks(segments.masks, segments.static)[:, None]
    errors = _errors(ws, target, generator, weights)
    for _ in range(rounds):
        drawn = composite(generator, [generator.styles(code[None]) for code in ws], segments, target)
        found = torch.cat([encoder(mask * target + (1 - mask) * drawn) for mask in segments.masks[:, None, None]])
        new_errors = _errors(found, target, generator, weights)
        better = new_errors < errors
        ws = torch.where(better[:, None, None], found, ws)
        errors = torch.minimum(errors, new_errors)
        if not better.any():
            break
    return ws


def _errors(ws: Tensor, target: Tensor, generator: Generator, weights: Tensor) -> Tensor:
    """(n_chunks,) squared differences of the codes' pictures from the target, weighted by masks (n_chunks, 1, h, w)."""
    images = torch.cat([generator.synthesis(generator.styles(code[None])) for code in ws])
    return ((images - target).square() * weights).sum((1, 2, 3))
