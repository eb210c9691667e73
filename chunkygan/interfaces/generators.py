"""Networks that draw, and what tells their pictures from others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from chunkygan.types import Feature, Noise, Styles, Window

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
        """Logits of images (n, 3, h, w), nominally in [-1, 1]: the larger, the likelier real.

        Returns:
            (n,), or (n, k) from a discriminator that judges k places of a picture.

        Raises:
            ShapeError: images of another size, or a class vector where there is none to give.
        """
