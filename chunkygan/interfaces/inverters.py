"""What finds codes for a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from chunkygan.interfaces.generators import Generator
from chunkygan.interfaces.mask_generators import MaskGenerator
from chunkygan.interfaces.measures import Perceptual
from chunkygan.types import Fit, Listener, Spec


@dataclass(frozen=True)
class FitRequest:
    """One picture for an inverter: the arguments of `Inverter.project` that are its own."""

    target: Tensor
    spaces: Sequence[Spec]
    mask_generator: MaskGenerator
    start: Fit | None = None
    listeners: Sequence[Listener] = ()
    state: Path | None = None


class Inverter(ABC):
    """Finds codes for the chunks of one image. Inverters chain: `start` may be another inverter's result.

    Attributes:
        fits_together: whether `project_all` gains by many requests at once; otherwise it fits one after the other.
    """

    fits_together: bool = False

    @abstractmethod
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
        """The fit of target, (1, 3, h, w) in [-1, 1].

        Args:
            spaces: component specs of latent spaces, one a chunk; `chunkygan.spaces.latent_spaces` makes them.
            start: codes (and masks) to begin with, of the same chunks; converted where the space differs.
            listeners: called after every step.
            state: file in which an unfinished fit is kept; where it exists, that fit goes on.
        """

    def project_all(
        self, requests: Sequence[FitRequest], *, generator: Generator, perceptual: Perceptual, seed: int = 0
    ) -> Iterator[tuple[int, Fit | Exception]]:
        """The fits of several pictures, each as `project` gives it, as they end: place among the requests, and the fit
        or what went wrong with it.

        An inverter that can fit them together overrides this, and says so by `fits_together`.
        """
        for place, one in enumerate(requests):
            try:
                fit = self.project(
                    one.target, generator=generator, spaces=one.spaces, mask_generator=one.mask_generator,
                    perceptual=perceptual, start=one.start, seed=seed, listeners=one.listeners, state=one.state,
                )  # fmt: skip
            except Exception as error:
                yield place, error
            else:
                yield place, fit


class SharingInverter(Inverter):
    """An inverter of two parts: codes that each picture has of its own, then a generator changed for all of them.

    `project` does both for one picture.

    Attributes:
        together: whether the pictures of a run share one changed generator; otherwise each gets its own.
    """

    together: bool

    @abstractmethod
    def own_part(
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
        """What `project` finds before it changes the generator; arguments as there."""

    @abstractmethod
    def shared_part(
        self,
        targets: Sequence[Tensor],
        fits: Sequence[Fit],
        *,
        generator: Generator,
        perceptual: Perceptual,
        seed: int = 0,
        listeners: Sequence[Listener] = (),
        state: Path | None = None,
    ) -> list[Fit]:
        """The fits with weight changes that they share: one object in all of them. Arguments as in `project`.

        Args:
            targets: (1, 3, h, w) in [-1, 1], one a fit.
        """
