"""MobileFaceNet, a light face recognition network, as an identity measure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.components.identity.crop import Box, resample_box
from chunkygan.errors import ShapeError, WeightsError
from chunkygan.interfaces import Identity
from chunkygan.shapes import check_shape
from chunkygan.weights import find, read_state_dict

FFHQ_CROP: Box = (0.0924, -0.0586, 0.9072, 0.9015)
"""The box of an FFHQ-aligned portrait that stands for face detection; measured cosine to detected crops: 0.97."""

_BLOCKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""(expansion, channels, count, stride of the first) of the runs of bottlenecks."""


class MobileFaceNet(Identity):
    """Cosine of MobileFaceNet's embeddings of aligned portraits; frozen.

    Args:
        weights: file or manifest name of a state dict, under the key ``net_state_dict`` or bare.
        crop: (left, top, right, bottom) of the face in fractions of the picture; None: that of an FFHQ-aligned
            portrait, which reaches a little beyond the upper edge.

    Raises:
        WeightsError: weights that are missing, damaged or of another network.
        ShapeError: crop is no box.

    Source: Chen et al., MobileFaceNets, 2018; sizes of Xiaoccer/MobileFaceNet_Pytorch.
    """

    name = "identity_mobilefacenet"

    def __init__(self, weights: str | Path, crop: Box | None = None) -> None:
        super().__init__()
        self.crop = _checked(FFHQ_CROP if crop is None else crop)
        self.network = MobileFaceNetwork()
        path = find(weights)
        _load(self.network, read_state_dict(path), path)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> MobileFaceNet:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def embed(self, images: Tensor) -> Tensor:
        """(n, 128) unit vectors of portraits (n, 3, h, w) in [-1, 1]; differentiable.

        Raises:
            ShapeError: no three-channel pictures.
        """
        check_shape(images, "n 3 h w", name="images")
        faces = resample_box(images, self.crop, (112, 96))
        return F.normalize(self.network(((faces + 1) * 127.5 - 127.5) / 128))


class MobileFaceNetwork(nn.Module):
    """The plain network: (n, 3, 112, 96), RGB as ``(byte - 127.5) / 128``, to (n, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Convolution(3, 64, 3, stride=2, padding=1)
        self.dw_conv1 = _Convolution(64, 64, 3, padding=1, groups=64)
        blocks: list[nn.Module] = []
        c_in = 64
        for expansion, c_out, count, stride in _BLOCKS:
            for i in range(count):
                blocks.append(_Bottleneck(c_in, c_out, expansion, stride if i == 0 else 1))
                c_in = c_out
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = _Convolution(128, 512, 1)
        self.linear7 = _Convolution(512, 512, (7, 6), groups=512, linear=True)
        self.linear1 = _Convolution(512, 128, 1, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 128) embeddings, not normalised."""
        x = self.blocks(self.dw_conv1(self.conv1(x)))
        return self.linear1(self.linear7(self.conv2(x))).flatten(1)


class _Convolution(nn.Module):
    """Convolution, batch norm and, unless linear, PReLU."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.prelu: nn.Module = nn.Identity() if linear else nn.PReLU(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn(self.conv(x)))


class _Bottleneck(nn.Module):
    """Widen, depthwise 3x3, narrow; added to its input where the shapes agree."""

    def __init__(self, c_in: int, c_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = c_in * expansion
        self.adds = stride == 1 and c_in == c_out
        self.conv = nn.Sequential(
            nn.Conv2d(c_in, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


def _checked(crop: Box) -> Box:
    box = tuple(float(edge) for edge in crop)
    if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise ShapeError(f"crop must be [left, top, right, bottom] in fractions of the picture; got {list(crop)}")
    return box


def _load(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except RuntimeError as error:
        raise WeightsError(f"{path}: not the weights of MobileFaceNet: {error}") from error
