"""Masks from a segmentation head on a generator's features: they move with a latent code of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from chunkygan.build import create
from chunkygan.components.mask_generators.seghead_chunks import Small, chunks_of, of_names, without_small
from chunkygan.errors import ProjectionError, RecipeError
from chunkygan.interfaces import Generator, LatentSpace, MaskGenerator, Perceptual, SegHead
from chunkygan.labels import distinct_colours
from chunkygan.sampling import sample_ws
from chunkygan.types import Styles

Start = Literal["projection", "bank", "mean"]


class SegHeadMasks(MaskGenerator):
    """``S = G_S(X_S)``: the classes of what the generator draws for a mask code, summed into chunks.

    Args:
        generator: the frozen generator whose features the head reads.
        size: (height, width) of the masks.
        image: (1, 3, h, w), the picture that the code starts from.
        perceptual: what the start's projection compares with; None: pixels of a bank only.
        weights: of the head.
        head: registry name of the head.
        chunks: chunk -> classes; null: every class is one. Classes that none names make the chunk `rest`.
        rest: name of that chunk.
        small: what becomes of chunks below `least` at the start: "merge" into the rest, "drop" (their pixels go to the
            next likeliest class), or "keep".
        least: share of the picture.
        temperature: of the softmax over classes; below 1 edges are sharper, above softer.
        space: of the mask code.
        start: "projection" of the image as a whole, the best of a "bank" of samples, or the "mean" code.
        start_steps: of that projection.
        bank_samples: how many.
        models: how many of the head's ensemble are asked; null: all. Time follows it.
        seed: of the bank and of the projection.
        fitted: the chunks' names, and what `fitted` has given after a fit: masks as the fit has left them.

    Attributes:
        offset: the parameter: how far the code is from its start, in standard deviations of its space.
        names: one name a chunk.
        colours: (n_chunks, 3) uint8.

    Raises:
        ComponentError: a head for another generator.
        RecipeError: chunks that do not fit the head's classes, or an option out of range.
        ProjectionError: the start's code gives masks that are no numbers.

    Source: ChunkyGAN, section 3; head after DatasetGAN.
    """

    start: Tensor
    scale: Tensor

    def __init__(
        self,
        generator: Generator,
        size: tuple[int, int],
        image: Tensor | None = None,
        perceptual: Perceptual | None = None,
        *,
        weights: str | Path,
        head: str = "datasetgan_mlp",
        chunks: Mapping[str, Sequence[str]] | None = None,
        rest: str = "rest",
        small: Small = "merge",
        least: float = 0.003,
        temperature: float = 1.0,
        space: Literal["w", "w_plus"] = "w_plus",
        start: Start = "projection",
        start_steps: int = 60,
        bank_samples: int = 256,
        models: int | None = None,
        seed: int = 0,
        fitted: tuple[Sequence[str], Mapping[str, Tensor]] | None = None,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise RecipeError(f"mask_generator.temperature: must be above 0; got {temperature}")
        self.size, self.temperature, self.models = (size[0], size[1]), temperature, models
        made: SegHead = create("seg_head", {"name": head, "weights": str(weights)}, generator=generator)
        self._held = (generator, made, create("latent_space", space, generator=generator))  # no part of its state
        self._chunks = chunks_of(made.classes, chunks, rest)
        if fitted is None:
            code = _start(start, generator, self.space, image, perceptual, start_steps, bank_samples, seed)
        else:
            code = _code(fitted[1], self.space)
        self.register_buffer("start", code.detach().clone())
        self.register_buffer("scale", self.space.scale().detach().clone())
        self.offset = nn.Parameter(torch.zeros_like(self.start))
        if fitted is None:
            self._chunks = without_small(self._chunks, self._areas(), least=least, small=small, rest=rest)
        else:
            self._chunks = of_names(self._chunks, fitted[0], small=small, rest=rest)
        self.names = self._chunks.names
        self.colours = distinct_colours(len(self.names))

    @property
    def head(self) -> SegHead:
        return self._held[1]

    @property
    def space(self) -> LatentSpace:
        """Of the mask code."""
        return self._held[2]

    def code(self) -> Tensor:
        """X_S, ``code_shape`` of its space."""
        return self.start + self.scale * self.offset

    def logits(self) -> Tensor:
        """(1, n_classes, h, w), the mean of the models asked."""
        return self._logits(self.space.to_styles(self.code()[None]))

    def forward(self) -> Tensor:
        return self._chunks.masks(self.logits(), self.temperature)

    def moved(self, change: Callable[[Tensor, LatentSpace], Styles]) -> Tensor:
        return self._chunks.masks(self._logits(change(self.code(), self.space)), self.temperature)

    def _logits(self, styles: Styles) -> Tensor:
        generator, head, _ = self._held
        head.to(self.offset.device)
        return head(generator.feature_stack(styles), size=self.size, models=self.models).mean(0)

    def fitted(self) -> dict[str, Tensor]:
        return {"code": self.code()}

    @torch.no_grad()
    def _areas(self) -> list[float]:
        masks = self()[0]
        if not bool(masks.isfinite().all()):
            raise ProjectionError("the mask code gives masks that are no numbers; choose another start of seghead")
        return masks.mean((1, 2)).tolist()


def _code(state: Mapping[str, Tensor], space: LatentSpace) -> Tensor:
    """The code that a fit has kept."""
    code = state.get("code")
    if code is None or tuple(code.shape) != space.code_shape or not bool(code.isfinite().all()):
        raise ProjectionError(f"the mask code that was kept must be {space.code_shape} finite numbers")
    return code.to(space.generator.w_avg)


def _start(
    kind: Start,
    generator: Generator,
    space: LatentSpace,
    image: Tensor | None,
    perceptual: Perceptual | None,
    steps: int,
    samples: int,
    seed: int,
) -> Tensor:
    """The code that masks begin with; the mean where there is no picture."""
    if kind == "mean" or image is None:
        return space.mean()
    if kind == "bank" or perceptual is None:
        return space.from_ws(_nearest(generator, image, samples, seed))[0]
    inverter = create("inverter", {"name": "optimization", "steps": steps, "start": "bank", "l2": 0.5})
    name = "w" if len(space.code_shape) == 1 else "w_plus"
    whole = create("mask_generator", "single", size=generator.resolution)
    fit = inverter.project(
        image, generator=generator, spaces=[{"name": name}], mask_generator=whole, perceptual=perceptual, seed=seed
    )
    return fit.codes.values[0].to(generator.w_avg)


@torch.no_grad()
def _nearest(generator: Generator, image: Tensor, samples: int, seed: int) -> Tensor:
    """(1, num_ws, w_dim): the sample whose picture differs least from the image, pixel by pixel."""
    mean = generator.w_avg.expand(1, generator.num_ws, -1)
    ws = torch.cat([mean, sample_ws(generator, samples, seed=seed, truncation=0.7)])
    image = image.to(generator.w_avg)
    misses = [
        (generator.synthesis(generator.styles(batch), noise="none") - image).square().mean((1, 2, 3))
        for batch in ws.split(16)
    ]
    best = int(torch.cat(misses).argmin())
    return ws[best : best + 1]
