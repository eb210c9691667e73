"""Networks that see attributes, classes and codes in a picture, and faces in a photo."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor, nn

from chunkygan.errors import ComponentError
from chunkygan.types import Face


class Classifier(nn.Module, ABC):
    """Attributes of pictures. `names` tells them, in the order of the columns."""

    names: tuple[str, ...]

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(n, len(names)) attributes, in the domain's units, of aligned images (n, 3, h, w) in [-1, 1]."""


class Parser(nn.Module, ABC):
    """Classes of pixels. `classes` names them, in the order of the channels."""

    classes: tuple[str, ...]

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(n, len(classes), h, w) logits of images (n, 3, h, w) in [-1, 1]."""

    def labels(self, images: Tensor) -> Tensor:
        """(n, h, w) index of every pixel's likeliest class."""
        return self(images).argmax(1)


class SegHead(nn.Module, ABC):
    """Classes of a generator's pixels, from its feature maps; one classifier or an ensemble of them.

    Attributes:
        classes: names, in the order of the channels.
        widths: channels of the maps of `Generator.feature_stack` that it reads.
        classifiers: the ensemble, which a training trains; each gives (p, len(classes)) logits of pixels
            (p, sum(widths)), the maps upsampled to one size and stacked.
        config: settings that its file keeps.
    """

    classes: tuple[str, ...]
    widths: tuple[int, ...]
    classifiers: nn.ModuleList
    config: dict[str, Any]

    @abstractmethod
    def forward(self, features: Sequence[Tensor], *, size: tuple[int, int], models: int | None = None) -> Tensor:
        """(models, n, len(classes), h, w) logits; differentiable.

        Args:
            features: what `Generator.feature_stack` gives.
            size: (height, width) of the result.
            models: only the first so many of the ensemble; None: all.
        """

    def of_pixels(self, features: Sequence[Tensor], where: Tensor) -> Tensor:
        """(models, n, len(classes), p): the logits of the pixels that are true in where, (h, w); differentiable.

        A head that need not look at the other pixels overrides this.
        """
        return self(features, size=(where.shape[0], where.shape[1]))[..., where]

    def labels(self, features: Sequence[Tensor], *, size: tuple[int, int]) -> Tensor:
        """(n, h, w) index of every pixel's likeliest class by the mean of the models' logits."""
        return self(features, size=size).mean(0).argmax(1)

    @abstractmethod
    def absorb(self, mean: Tensor, scale: Tensor) -> None:
        """Makes classifiers that were trained on ``(pixels - mean) / scale``, (d,) each, read pixels as they are."""

    def check_widths(self, widths: Sequence[int]) -> None:
        """Raises where feature maps are not those that it was made for.

        Raises:
            ComponentError: another number of maps, or other channels.
        """
        if tuple(widths) != tuple(self.widths):
            raise ComponentError(
                f"this segmentation head is for another generator: it reads feature maps of {tuple(self.widths)} "
                f"channels, and this generator's have {tuple(widths)}; train one for it (train_seghead)"
            )


class Encoder(nn.Module, ABC):
    """An image encoder that predicts W+ codes."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(n, num_ws, w_dim) codes of images (n, 3, h, w) in [-1, 1]."""


class LandmarkDetector(ABC):
    """Finds faces in photos."""

    @abstractmethod
    def detect(self, photo: Image.Image) -> list[Face]:
        """The faces of an upright RGB photo, each with 68 landmarks, in any order; empty where there is none."""
