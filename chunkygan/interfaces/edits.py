"""What changes codes, and joins the result with a photo."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from chunkygan.interfaces.latent_spaces import LatentSpace


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
