"""Eq. 2 as a LightningModule: codes, and masks where they move, fitted to one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from chunkygan.drawing import Drawn, cover_of_segments, drawn_of
from chunkygan.interfaces import Generator, LatentSpace, MaskGenerator, Perceptual
from chunkygan.lightning import noise_maps
from chunkygan.lightning.fit_settings import Settings
from chunkygan.lightning.schedule import fading, learning_rate
from chunkygan.lightning.views import View, reduced, view_of
from chunkygan.masks import pruned
from chunkygan.memory import fitting_mode
from chunkygan.objective import dispersion, incoherence, l2, objective, shrinking
from chunkygan.spaces import batched_styles
from chunkygan.types import Noise, Segments, Styles
from chunkygan.windows import Cover


@dataclass(frozen=True)
class Problem:
    """What is fitted to what. The networks are held, moved to the device, and never saved with the fit."""

    target: Tensor
    generator: Generator
    spaces: Sequence[LatentSpace]
    perceptual: Perceptual


class ChunkFit(pl.LightningModule):
    """One picture's codes in training. Codes are kept as offsets from their start, in their space's own unit.

    Args:
        problem: target, networks and spaces.
        mask_generator: its parameters, if any, are fitted too.
        start: one code a chunk, ``code_shape`` of its space.
        noise: noise maps to begin with; None: the generator's own.
        seed: of the latent noise.
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
        self._held = [problem]  # in a list, so that Lightning does not take the networks for its own
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
        self.frugal = bool(settings.frugal)
        self.history: list[dict[str, Tensor]] = []
        self._covers: dict[int | None, Cover] = {}  # by the size that is drawn, as long as masks rest
        self._resting: dict[int | None, Segments] = {}
        self._views: dict[int | None, View] = {}
        self.movable = any(p.requires_grad for p in mask_generator.parameters())
        if self.movable:
            with torch.no_grad():
                self.register_buffer("first_areas", self._segments().masks.mean((1, 2)))

    @property
    def problem(self) -> Problem:
        """What is fitted to what."""
        return self._held[0]

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

    def noise_input(self) -> Noise:
        """The fitted noise maps, or the generator's own."""
        return list(self.noise) if len(self.noise) else "const"

    def composite(self) -> Tensor:
        """(1, 3, h, w): what the codes draw together, at full size."""
        return self._drawn(self.styles(self.codes()), self.segments(), None).image

    def _drawn(self, styles: Styles, segments: Segments, size: int | None) -> Drawn:
        return drawn_of(
            self.problem.generator, styles, segments, self._view(size).target, noise=self.noise_input(),
            cover=self.cover(segments, size), frugal=self.frugal, size=size,
        )  # fmt: skip

    def styles(self, codes: Sequence[Tensor]) -> Styles:
        """S-space codes of codes, a batch."""
        return batched_styles(self.problem.spaces, codes)

    def cover(self, segments: Segments, size: int | None = None) -> Cover:
        """Where each chunk is drawn; taken once where masks rest."""
        if self._moving():
            return cover_of_segments(self.problem.generator, segments, size)
        if size not in self._covers:
            self._covers[size] = cover_of_segments(self.problem.generator, segments, size)
        return self._covers[size]

    def _view(self, size: int | None) -> View:
        if size not in self._views:
            with torch.no_grad():
                p = self.problem
                self._views[size] = view_of(p.target, p.perceptual, size, self.settings.perceptual_size)
        return self._views[size]

    def terms(self, codes: Sequence[Tensor]) -> dict[str, Tensor]:
        """The objective's terms that have a weight, unweighted."""
        weights, size = self.settings.weights, self.settings.size(len(self.history))
        segments, styles, view = self.segments(size), self.styles(codes), self._view(size)
        drawn = self._drawn(styles, segments, size)
        image, terms = drawn.image, dict[str, Tensor]()
        if weights["perceptual"]:
            terms["perceptual"] = view.distance(image, self.problem.perceptual).sum()
        if weights["l2"]:
            terms["l2"] = l2(image, view.target).sum()
        if weights["dispersion"]:
            terms["dispersion"] = dispersion(self._comparable())
        if weights["coherence"] and len(codes) > 1:
            terms["coherence"] = incoherence(drawn.disagreement())
        if len(self.noise) and self.settings.fit_noise:
            terms["noise"] = noise_maps.correlation(self.noise)
        if weights["masks"] and self._moving():
            first = self.get_buffer("first_areas")
            terms["masks"] = shrinking(segments.masks.mean((1, 2)), first, keep=self.settings.mask_keep)
        return terms

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        terms = self.terms([code + noise for code, noise in zip(self.codes(), self._latent_noise())])
        total = objective(terms, self.settings.weights)
        self.history.append({name: value.detach() for name, value in {**terms, "total": total}.items()})
        return total

    def configure_optimizers(self) -> Any:
        s = self.settings
        shared = [] if self.shared is None else [self.shared]
        groups = [{"params": [*self.offsets, *shared, *(n for n in self.noise if n.requires_grad)], "lr": s.lr}]
        if moving := [p for p in self.mask_generator.parameters() if p.requires_grad]:
            groups.append({"params": moving, "lr": s.mask_lr})
        optimizer = torch.optim.Adam(groups, betas=s.betas, fused=self.device.type in ("cpu", "cuda"))

        def rate(step: int) -> float:
            return learning_rate(step, s.steps, rampup=s.rampup, rampdown=s.rampdown)

        def mask_rate(step: int) -> float:
            return rate(step) if s.masks_move(step) else 0.0

        rates: list[Any] = [rate, mask_rate]
        factor = torch.optim.lr_scheduler.LambdaLR(optimizer, rates[: len(groups)])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": factor, "interval": "step"}}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.settings.fit_noise:
            noise_maps.normalise(self.noise)

    def on_fit_start(self) -> None:
        p = self.problem
        self._held = [
            Problem(p.target.to(self.device), p.generator.to(self.device), p.spaces, p.perceptual.to(self.device))
        ]
        self._views = {}
        if self.settings.frugal is None:
            p, segments = self.problem, self.segments()
            mode = fitting_mode(p.generator, self.cover(segments), self.device, perceptual=p.perceptual)
            self.frugal = mode == "frugal"

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = [{name: float(value) for name, value in row.items()} for row in self.history]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = [{name: torch.tensor(value) for name, value in row.items()} for row in checkpoint["history"]]
        self._resting, self._covers = {}, {}

    def _comparable(self) -> Tensor:
        """(n_chunks, d) codes, without noise, as rows of one space: the chunks' own where they agree, S otherwise."""
        codes, kinds = self.codes(), {type(space) for space in self.problem.spaces}
        return torch.stack([code.flatten() for code in codes]) if len(kinds) == 1 else torch.cat(self.styles(codes), 1)

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
