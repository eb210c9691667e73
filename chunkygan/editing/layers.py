"""A photo and the layers over it: each a region whose picture a code draws, over what lies below."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.compositing import effective_masks
from chunkygan.photos.pasting import pasted
from chunkygan.projection import Projection


@dataclass(frozen=True)
class Layer:
    """One region of a picture.

    Args:
        name: what it is called.
        mask: (h, w) in [0, 1], where it shows.
        projection: what is drawn there, fitted to the picture below; None: painted only, it shows nothing yet.
        blend: registry name of a blender; empty: Eq. 3, a cross-fade by the mask.
        frozen: it is part of the picture that goes on being edited, and changes no more.
    """

    name: str
    mask: Tensor
    projection: Projection | None = None
    blend: str = ""
    frozen: bool = False

    @cached_property
    def picture(self) -> Tensor | None:
        """(1, 3, h, w): what is below, with this layer over it; None where it shows nothing yet.

        Outside the mask it is what is below, bit for bit.
        """
        if self.projection is None:
            return None
        if self.blend:
            return pasted(self.projection, create("blender", self.blend))
        return self.projection.render()

    @cached_property
    def share(self) -> Tensor:
        """(h, w) in [0, 1]: how much of each pixel is this layer's, of the colours in `drawn`."""
        if self.projection is None:
            return torch.zeros_like(self.mask)
        segments = self.projection.segments
        own = effective_masks(segments.masks, segments.static).sum(0)
        return (own > 0).to(own) if self._joined else own

    @property
    def drawn(self) -> Tensor | None:
        """(1, 3, h, w): its own colours, which `share` lays over what is below; None where it shows nothing yet."""
        if self.projection is None:
            return None
        return self.picture if self._joined else self.projection.drawn()

    @property
    def _joined(self) -> bool:
        """Whether its colours hold what is below already, wherever it is seen."""
        return bool(self.blend) or (self.projection is not None and len(self.projection.masks) > 1)


@dataclass(frozen=True)
class State:
    """All there is at one moment of editing.

    Args:
        photo: (1, 3, h, w) in [-1, 1], what lies below all layers.
        layers: from below to above; only the last may be unfrozen.
        label: the step that led here, in words.
    """

    photo: Tensor
    layers: tuple[Layer, ...] = ()
    label: str = "open"

    @property
    def picture(self) -> Tensor:
        """(1, 3, h, w) as it looks."""
        for layer in reversed(self.layers):
            if layer.picture is not None:
                return layer.picture
        return self.photo

    @property
    def top(self) -> Layer | None:
        """The layer in work; None where all are frozen."""
        return self.layers[-1] if self.layers and not self.layers[-1].frozen else None
