"""ArcFace with the IR-SE50 network, the identity measure of the pSp family and of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.components.identity.ir_se50 import WIDTHS, IrSe50
from chunkygan.errors import WeightsError
from chunkygan.interfaces import Identity
from chunkygan.shapes import check_shape
from chunkygan.weights import find, read_state_dict

_ROWS, _COLUMNS = slice(35, 223), slice(32, 220)
"""The face in an FFHQ-aligned portrait of 256 pixels: pSp's fixed crop, 188 x 188."""


class ArcFace(Identity):
    """Cosine of ArcFace embeddings of FFHQ-aligned, square portraits; frozen.

    Args:
        weights: file or manifest name of ``model_ir_se50.pth`` or another state dict with its names.
        widths: channels of the four stages.
        reduction: of the squeeze-and-excite layers.

    Raises:
        WeightsError: weights that are missing, damaged or of another network.

    Source: Deng et al., ArcFace, 2019; crop of eladrich/pixel2style2pixel.
    """

    name = "identity_arcface"

    def __init__(self, weights: str | Path, widths: Sequence[int] = WIDTHS, reduction: int = 16) -> None:
        super().__init__()
        self.network = ArcFaceNetwork(widths, reduction)
        path = find(weights)
        _load(self.network, read_state_dict(path), path)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ArcFace:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def embed(self, images: Tensor) -> Tensor:
        """(n, widths[-1]) unit vectors of portraits (n, 3, h, w) in [-1, 1]; differentiable.

        Raises:
            ShapeError: no three-channel pictures.
        """
        check_shape(images, "n 3 h w", name="images")
        return F.normalize(self.network(face_of(images)))


def face_of(images: Tensor) -> Tensor:
    """(n, 3, 112, 112) faces of aligned portraits (n, 3, h, w): scaled to 256 pixels, cut, averaged.

    The peers cut fixed pixels of a 256-pixel picture; larger ones are averaged down to that size, smaller ones
    interpolated up.
    """
    if min(images.shape[-2:]) < 256:
        images = F.interpolate(images, (256, 256), mode="bilinear", align_corners=False)
    elif images.shape[-2:] != (256, 256):
        images = F.adaptive_avg_pool2d(images, 256)
    return F.adaptive_avg_pool2d(images[..., _ROWS, _COLUMNS], 112)


class ArcFaceNetwork(IrSe50):
    """The plain network: (n, 3, 112, 112) RGB in [-1, 1] to (n, widths[-1])."""

    def __init__(self, widths: Sequence[int] = WIDTHS, reduction: int = 16) -> None:
        super().__init__(3, widths, reduction)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(widths[-1]),
            nn.Dropout(0.6),
            nn.Flatten(),
            nn.Linear(widths[-1] * 7 * 7, widths[-1]),
            nn.BatchNorm1d(widths[-1]),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings, not normalised."""
        return self.output_layer(super().forward(x))


def _load(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Fills the network; older files lack batch norm's counters, which evaluation does not use."""
    try:
        missing, unexpected = network.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{path}: not the weights of ArcFace's IR-SE50: {error}") from error
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unexpected)
    if wrong:
        raise WeightsError(
            f"{path}: not the weights of ArcFace's IR-SE50: {len(wrong)} names missing or unknown, {wrong[0]} first"
        )
