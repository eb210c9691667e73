"""Where chunks come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from chunkygan.interfaces.latent_spaces import LatentSpace
from chunkygan.types import Styles


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
