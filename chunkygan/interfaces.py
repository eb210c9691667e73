"""What a plugin implements. Nothing here knows a component; `chunkygan.testing` checks a component against it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from chunkygan.errors import ComponentError
from chunkygan.types import Face, Feature, Fit, Listener, Noise, Spec, Styles, Window

Drawing = TypeVar("Drawing", bound="Tensor | list[Tensor]")


class Generator(nn.Module, ABC):
    """A frozen image generator with a style space.

    Attributes:
        resolution: (height, width) of a full picture in pixels.
        z_dim, w_dim, c_dim: widths of the input latent, of W, and of the class vector (0: unconditional).
        num_ws: rows of W+.
        style_dims: channels of each entry of `styles`, in forward order.
        style_rows: the row of W+ that feeds each entry of `styles`.
        w_avg: (w_dim,), mean of W.
        component, config: registry name and constructor arguments, from which the network is made again.
    """

    component: str
    config: dict[str, Any]
    resolution: tuple[int, int]
    z_dim: int
    w_dim: int
    c_dim: int
    num_ws: int
    style_dims: tuple[int, ...]
    style_rows: tuple[int, ...]
    w_avg: Tensor

    @abstractmethod
    def mapping(self, z: Tensor, c: Tensor | None = None, *, truncation: float = 1.0) -> Tensor:
        """(n, num_ws, w_dim) codes of latents z, (n, z_dim); truncation pulls them towards `w_avg`."""

    @abstractmethod
    def styles(self, ws: Tensor) -> Styles:
        """S space of ws, (n, num_ws, w_dim): raw affine outputs in forward order, toRGB included."""

    @abstractmethod
    def synthesis(
        self,
        styles: Styles,
        *,
        noise: Noise = "const",
        size: int | None = None,
        window: Window | None = None,
        feature: Feature | None = None,
    ) -> Tensor:
        """(n, 3, h, w) pictures, nominally in [-1, 1].

        Args:
            styles: what `styles` returns, or any S-space code split into layers.
            noise: how noise inputs are filled.
            size: stop at the partial sum whose longer side is this many pixels; None: the full picture.
            window: draw only this rectangle (in pixels of the picture that `size` names); equals the crop of
                the full picture.
            feature: features that replace or join those of one layer.
        """

    def window_cost(self, window: Window, size: int | None = None) -> float:
        """What drawing a window of a partial sum costs, as a share of the full picture's cost."""
        height, width = window.size
        return height * width / (self.resolution[0] * self.resolution[1])

    def synthesis_windows(
        self,
        styles: Styles,
        windows: Sequence[Window],
        owners: Sequence[int],
        *,
        noise: Noise = "const",
        frugal: bool = False,
        size: int | None = None,
    ) -> list[Tensor]:
        """Pictures of samples, each in a window, (1, 3, wh, ww); equal to `synthesis`, window by window.

        A generator that can share work between the windows overrides this.

        Args:
            styles: a batch.
            windows: in pixels of the picture that `size` names.
            owners: the sample that each window is drawn of; one may have several.
            frugal: keep no activations for the backward pass but draw each sample once more in it; exact.
            size: as for `synthesis`.
        """

        def draw(owner: int, window: Window) -> Tensor:
            own = [style[owner : owner + 1] for style in styles]
            return self.synthesis(own, noise=noise, size=size, window=window)

        return self.drawn_frugally(draw, owners, windows) if frugal else [*map(draw, owners, windows)]

    @staticmethod
    def drawn_frugally(draw: Callable[..., Drawing], *arguments: Sequence[Any]) -> list[Drawing]:
        """The drawings, of which the backward pass keeps nothing but draws each once more; called as `map` is."""
        if not torch.is_grad_enabled():
            return [*map(draw, *arguments)]
        return [checkpoint(draw, *own, use_reentrant=False, preserve_rng_state=False) for own in zip(*arguments)]

    @abstractmethod
    def features(self, styles: Styles, *, noise: Noise = "const") -> list[Tensor]:
        """Feature maps of all layers in forward order, each (n, c, h, w) at its own resolution."""

    def constant(self) -> Tensor | None:
        """(c, h, w), the learnt input of the first layer; None where there is none."""
        return None

    def feature_stack(self, styles: Styles, *, noise: Noise = "const") -> list[Tensor]:
        """What segmentation heads read: the constant, where there is one, and `features`; (n, c, h, w) each."""
        maps, constant = self.features(styles, noise=noise), self.constant()
        return maps if constant is None else [constant.expand(len(styles[0]), -1, -1, -1), *maps]

    @torch.no_grad()
    def feature_widths(self) -> list[int]:
        """Channels of each map of `feature_stack`; costs one synthesis."""
        mean = self.styles(self.w_avg.expand(1, self.num_ws, -1))
        return [part.shape[1] for part in self.feature_stack(mean)]

    @abstractmethod
    def noise_maps(self) -> list[Tensor]:
        """Copies of the stored noise maps, one (h, w) a convolution in forward order."""

    def public_state_dict(self) -> dict[str, Tensor]:
        """The state under the names that files have."""
        return dict(self.state_dict())


class Discriminator(nn.Module, ABC):
    """Tells a generator's pictures from real ones; can be differentiated twice.

    Attributes:
        resolution: (height, width) of the pictures in pixels.
        c_dim: width of the class vector (0: unconditional).
    """

    resolution: tuple[int, int]
    c_dim: int

    @abstractmethod
    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """(n,) logits of images (n, 3, h, w), nominally in [-1, 1]: the larger, the likelier real.

        Raises:
            ShapeError: images of another size, or a class vector where there is none to give.
        """


class LatentSpace(ABC):
    """A space of codes that decode to a generator's styles. Codes are ``(n, *code_shape)``."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    @property
    @abstractmethod
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code, without the batch dimension."""

    @abstractmethod
    def to_styles(self, codes: Tensor) -> Styles:
        """Styles of codes; differentiable."""

    @abstractmethod
    def from_ws(self, ws: Tensor) -> Tensor:
        """The nearest codes of this space to W+ codes (n, num_ws, w_dim). Lossless where the space allows."""

    @abstractmethod
    def from_styles(self, styles: Styles) -> Tensor:
        """The nearest codes of this space to styles of any origin (least squares where it is no inverse)."""

    @abstractmethod
    def scale(self) -> Tensor:
        """Standard deviation of the domain's codes, broadcastable to ``code_shape``: the unit of latent noise and
        of step sizes."""

    def mean(self) -> Tensor:
        """The mean code, ``code_shape``."""
        ws = self.generator.w_avg.expand(1, self.generator.num_ws, -1)
        return self.from_ws(ws)[0]

    def sample(self, n: int, *, rng: torch.Generator, truncation: float = 1.0) -> Tensor:
        """n random codes of the domain; `rng` lives on the CPU."""
        z = torch.randn(n, self.generator.z_dim, generator=rng).to(self.generator.w_avg)
        c = torch.zeros(n, self.generator.c_dim).to(z) if self.generator.c_dim else None
        return self.from_ws(self.generator.mapping(z, c, truncation=truncation))

    def direction(self, ws: Tensor) -> Tensor:
        """What a direction of W, (w_dim,), or W+, (num_ws, w_dim), is in this space; ``code_shape``."""
        origin = self.generator.w_avg.expand(1, self.generator.num_ws, -1)
        return (self.from_ws(origin + ws.to(origin)) - self.from_ws(origin))[0]

    def move(self, codes: Tensor, direction: Tensor, strength: float | Tensor) -> Tensor:
        """Codes moved along a direction that broadcasts to ``code_shape``."""
        return codes + strength * direction.to(codes)


class MaskGenerator(nn.Module, ABC):
    """Soft masks that sum to 1, from whatever parameters the module exposes to the optimiser."""

    names: tuple[str, ...]

    @abstractmethod
    def forward(self) -> Tensor:
        """(n_images, n_chunks, h, w) in [0, 1], summing to 1 over the chunks at every pixel."""

    def fitted(self) -> dict[str, Tensor]:
        """What a fit has moved, by name, for continuing or editing; its own parameters unless it says otherwise."""
        return dict(self.named_parameters())

    def static(self) -> Tensor | None:
        """(n_images, h, w) in [0, 1]: where the image itself is kept (S_X of Eq. 3); None for nowhere."""
        return None

    def moved(self, change: Callable[[Tensor, LatentSpace], Styles]) -> Tensor | None:
        """As `forward`, of the mask code with an edit: `change` gives styles, batch of 1, of a code in its space.

        None where masks have no code. What has one takes an argument `fitted` in its constructor: the chunks' names and
        what `fitted` has given, masks as a fit has left them.
        """
        return None


class Perceptual(nn.Module, ABC):
    """A perceptual distance whose target side is computed once. `name` tells its network: ``lpips_squeeze``."""

    name: str

    @abstractmethod
    def features(self, images: Tensor) -> list[Tensor]:
        """What the distance compares, of images (n, 3, h, w) in [-1, 1]."""

    @abstractmethod
    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """(n,) distances of two results of `features`; 0 where they agree."""

    def taps(self, images: Tensor) -> list[Tensor]:
        """Feature maps (n, c, h, w) of images, as the network leaves them; `features`, where there are no others."""
        return self.features(images)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(n,) distances of images (n, 3, h, w) in [-1, 1]."""
        return self.distance(self.features(x), self.features(y))


class Identity(nn.Module, ABC):
    """An embedding whose cosine compares identities. `name` tells its network: ``identity_mobilefacenet``."""

    name: str

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """(n, d) unit vectors of aligned images (n, 3, h, w) in [-1, 1]."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(n,) of 1 - cosine, in [0, 2]."""
        return 1 - (self.embed(x) * self.embed(y)).sum(1)


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


class Blender(ABC):
    """Joins a drawn picture and a photo inside a mask."""

    @abstractmethod
    def blend(self, drawn: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
        """(n, 3, h, w) of pictures and photos (n, 3, h, w), equal to photo, bit for bit, where mask (n, h, w) is 0."""

    def blend_chunks(self, drawn: Tensor, photo: Tensor, masks: Tensor) -> Tensor:
        """(1, 3, h, w): several pictures (n, 3, h, w), each in its mask of (n, h, w), in one photo (1, 3, h, w).

        The masks sum to at most 1. A blender that can mend the seams between the pictures too overrides this.
        """
        total = masks.sum(0)
        joined = (drawn * (masks / total.clamp_min(1e-12)).unsqueeze(1)).sum(0, keepdim=True)
        return self.blend(joined, photo, total[None])


class Edit(ABC):
    """A change of codes with a strength; strength 0 is the identity, bit for bit."""

    @abstractmethod
    def apply(self, codes: Tensor, space: LatentSpace, strength: float) -> Tensor:
        """Edited codes, ``(n, *code_shape)``."""

    def warning(self, strength: float) -> str | None:
        """What to tell about a strength beyond the plausible range; None for nothing."""
        return None
