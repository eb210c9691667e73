"""Eq. 2 for one picture: codes, and masks where they move; what they ask to be drawn, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from chunkygan.drawing import Drawn, cover_of_segments
from chunkygan.interfaces import Generator, LatentSpace, MaskGenerator, Perceptual
from chunkygan.lightning import noise_maps
from chunkygan.lightning.batch_drawing import Sketch, drawn_together
from chunkygan.lightning.fit_settings import Settings
from chunkygan.lightning.schedule import fading, learning_rate
from chunkygan.lightning.views import reduced
from chunkygan.masks import pruned
from chunkygan.objective import dispersion, incoherence, l2, objective, shrinking
from chunkygan.spaces import batched_styles
from chunkygan.types import Noise, Segments
from chunkygan.windows import Cover


@dataclass(frozen=True)
class Problem:
    """What is fitted to what. The networks are held, moved to the device, and never saved with the fit."""

    target: Tensor
    generator: Generator
    spaces: Sequence[LatentSpace]
    perceptual: Perceptual


class ChunkFit(nn.Module):
    """One picture's codes in training. Codes are kept as offsets from their start, in their space's own unit.

    Args:
        problem: target, networks and spaces.
        mask_generator: its parameters, if any, are fitted too.
        start: one code a chunk, ``code_shape`` of its space.
        noise: noise maps to begin with; None: the generator's own.
        seed: of the latent noise.

    Attributes:
        history: the losses of each step.
        adam: what the optimiser remembers of each of `trained`, between fits.
    """

    def __init__(
        self,
        problem: Problem,
        mask_generator: MaskGenerator,
        start: Sequence[Tensor],
        settings: Settings,
        *,
        noise: Sequence[Tensor] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._held = [problem]  # in a list, so that the networks are no part of it
        self.settings, self.seed = settings, seed
        self.mask_generator = mask_generator
        self.offsets = nn.ParameterList(torch.zeros_like(code) for code in start)
        for i, (code, space) in enumerate(zip(start, problem.spaces)):
            self.register_buffer(f"start_{i}", code.detach().clone())
            self.register_buffer(f"scale_{i}", space.scale().detach().clone())
        # Dispersion is steep: with offsets of their own alone, Adam would slow down along what the chunks share, too.
        shared = bool(settings.dispersion) and len(start) > 1 and len({type(space) for space in problem.spaces}) == 1
        self.shared = nn.Parameter(torch.zeros_like(start[0])) if shared else None
        maps = list(noise) if noise is not None else problem.generator.noise_maps()
        fitted = noise is not None or settings.fit_noise
        self.noise = nn.ParameterList(
            nn.Parameter(value.detach().clone(), requires_grad=settings.fit_noise) for value in (maps if fitted else [])
        )
        self.history: list[dict[str, Tensor]] = []
        self.adam: list[dict[str, Any]] = []
        self._covers: dict[int | None, Cover] = {}  # by the size that is drawn, as long as masks rest
        self._resting: dict[int | None, Segments] = {}
        self.movable = any(p.requires_grad for p in mask_generator.parameters())
        if self.movable:
            with torch.no_grad():
                self.register_buffer("first_areas", self._segments().masks.mean((1, 2)))

    @property
    def problem(self) -> Problem:
        """What is fitted to what."""
        return self._held[0]

    @property
    def device(self) -> torch.device:
        """Where its codes are."""
        return self.get_buffer("start_0").device

    @property
    def steps_left(self) -> int:
        """How many steps are to be done."""
        return self.settings.steps - len(self.history)

    def size(self) -> int | None:
        """Longer side in pixels at which the next step draws; None: the full size."""
        return self.settings.size(len(self.history))

    def codes(self) -> list[Tensor]:
        """The chunks' codes, each ``code_shape`` of its space."""
        return [
            self.get_buffer(f"start_{i}")
            + self.get_buffer(f"scale_{i}") * (offset if self.shared is None else offset + self.shared)
            for i, offset in enumerate(self.offsets)
        ]

    def segments(self, size: int | None = None) -> Segments:
        """The chunks' masks as they are now, at the size that is drawn; without gradient where they rest."""
        if self._moving():
            self._resting, self._covers = {}, {}
            return self._reduced(self._segments(), size)
        if size not in self._resting:
            with torch.no_grad():
                self._resting[size] = self._reduced(self._segments(), size)
        return self._resting[size]

    def cover(self, segments: Segments, size: int | None = None) -> Cover:
        """Where each chunk is drawn; taken once where masks rest."""
        if self._moving():
            return cover_of_segments(self.problem.generator, segments, size)
        if size not in self._covers:
            self._covers[size] = cover_of_segments(self.problem.generator, segments, size)
        return self._covers[size]

    def sketch(self, size: int | None = None, *, noisy: bool = False) -> Sketch:
        """What there is to draw at a size.

        Args:
            noisy: with the latent noise of the next step.
        """
        codes, segments = self.codes(), self.segments(size)
        if noisy:
            codes = [code + noise for code, noise in zip(codes, self._latent_noise())]
        noise: Noise = list(self.noise) if len(self.noise) else "const"
        return Sketch(codes, self.problem.spaces, segments, self.cover(segments, size), noise)

    def composite(self) -> Tensor:
        """(1, 3, h, w): what the codes draw together, at full size."""
        p = self.problem
        return drawn_together(p.generator, [self.sketch()], p.target)[0].image

    def terms(self, drawn: Drawn, target: Tensor, distance: Tensor | None) -> dict[str, Tensor]:
        """The objective's terms that have a weight, unweighted.

        Args:
            drawn: what was drawn of the sketch of this step.
            target: (1, 3, h, w), of the picture's size.
            distance: scalar, the perceptual distance; None where it has no weight.
        """
        weights, terms = self.settings.weights, dict[str, Tensor]()
        if distance is not None:
            terms["perceptual"] = distance
        if weights["l2"]:
            terms["l2"] = l2(drawn.image, target).sum()
        if weights["dispersion"]:
            terms["dispersion"] = dispersion(self._comparable())
        if weights["coherence"] and len(self.offsets) > 1:
            terms["coherence"] = incoherence(drawn.disagreement())
        if len(self.noise) and self.settings.fit_noise:
            terms["noise"] = noise_maps.correlation(self.noise)
        if weights["masks"] and self._moving():
            first = self.get_buffer("first_areas")
            terms["masks"] = shrinking(drawn.segments.masks.mean((1, 2)), first, keep=self.settings.mask_keep)
        return terms

    def recorded(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum of a step's terms, after all have gone into the history."""
        total = objective(terms, self.settings.weights)
        self.history.append({name: value.detach() for name, value in {**terms, "total": total}.items()})
        return total

    def trained(self) -> list[tuple[dict[str, Any], Callable[[], float]]]:
        """Groups of parameters for the optimiser, each with the factor of its step size in the next step."""
        s = self.settings
        shared = [] if self.shared is None else [self.shared]
        own = {"params": [*self.offsets, *shared, *(n for n in self.noise if n.requires_grad)], "lr": s.lr}
        groups: list[tuple[dict[str, Any], Callable[[], float]]] = [(own, self._rate)]
        if moving := [p for p in self.mask_generator.parameters() if p.requires_grad]:
            groups.append(({"params": moving, "lr": s.mask_lr}, self._mask_rate))
        return groups

    def after_step(self) -> None:
        """What follows a step of the optimiser."""
        if self.settings.fit_noise:
            noise_maps.normalise(self.noise)

    def hold_on(self, device: torch.device) -> None:
        """Moves what it only holds, target and networks, to a device."""
        p = self.problem
        generator, perceptual = p.generator.to(device), p.perceptual.to(device)
        self._held = [replace(p, target=p.target.to(device), generator=generator, perceptual=perceptual)]

    def forget_masks(self) -> None:
        """Has masks and windows taken anew, after the parameters were set from outside."""
        self._resting, self._covers = {}, {}

    def _reduced(self, segments: Segments, size: int | None) -> Segments:
        if size is None:
            return segments
        static = None if segments.static is None else reduced(segments.static[None], size)[0]
        return Segments(reduced(segments.masks, size), segments.names, static)

    def _moving(self) -> bool:
        return self.movable and self.settings.masks_move(len(self.history))

    def _segments(self) -> Segments:
        static, masks = self.mask_generator.static(), self.mask_generator()[0]
        if self.movable:
            masks = pruned(masks, self.settings.mask_threshold)
        return Segments(masks, self.mask_generator.names, None if static is None else static[0])

    def _rate(self) -> float:
        s = self.settings
        return learning_rate(len(self.history), s.steps, rampup=s.rampup, rampdown=s.rampdown)

    def _mask_rate(self) -> float:
        return self._rate() if self.settings.masks_move(len(self.history)) else 0.0

    def _comparable(self) -> Tensor:
        """(n_chunks, d) codes, without noise, as rows of one space: the chunks' own where they agree, S otherwise."""
        codes, spaces = self.codes(), self.problem.spaces
        if len({type(space) for space in spaces}) == 1:
            return torch.stack([code.flatten() for code in codes])
        return torch.cat(batched_styles(spaces, codes), 1)

    def _latent_noise(self) -> list[Tensor]:
        """Noise on the codes, a function of seed and step alone, so that a resumed fit draws the same."""
        s, step = self.settings, len(self.history)
        strength = s.latent_noise * fading(step, s.steps, until=s.latent_noise_until)
        if not strength:
            return [torch.zeros((), device=self.device)] * len(self.offsets)
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        drawn = torch.cat([torch.randn(offset.shape, generator=rng).flatten() for offset in self.offsets])
        parts = (strength * drawn).to(self.device).split([offset.numel() for offset in self.offsets])  # one transfer
        return [
            self.get_buffer(f"scale_{i}") * part.view_as(offset)
            for i, (offset, part) in enumerate(zip(self.offsets, parts))
        ]
