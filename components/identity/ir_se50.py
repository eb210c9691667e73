"""The 50-layer squeeze-and-excite residual network that ArcFace and the pSp family of encoders share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

UNITS = (3, 4, 14, 3)
"""Units a stage; the first unit of every stage, of the first too, halves the picture."""
WIDTHS = (64, 128, 256, 512)


class IrSe50(nn.Module):
    """(n, c_in, h, w) to (n, widths[-1], h / 16, w / 16); state names ``input_layer.*`` and ``body.0`` to ``body.23``.

    Args:
        widths: channels of the four stages.
        reduction: how much narrower the squeeze of a unit is than the unit.
        units: residual units a stage; 3, 13, 30, 3 make 100 layers, 3, 8, 36, 3 make 152.
        squeeze: whether units end with squeeze-and-excite.

    Source: Deng et al., ArcFace, 2019; layer numbering of eladrich/pixel2style2pixel.
    """

    def __init__(
        self,
        c_in: int = 3,
        widths: Sequence[int] = WIDTHS,
        reduction: int = 16,
        units: Sequence[int] = UNITS,
        *,
        squeeze: bool = True,
    ) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(c_in, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        made = []
        before = widths[0]
        for width, count in zip(widths, units):
            for i in range(count):
                made.append(Unit(before, width, stride=2 if i == 0 else 1, reduction=reduction, squeeze=squeeze))
                before = width
        self.body = nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.input_layer(x))


class Unit(nn.Module):
    """Residual unit: norm, 3x3, PReLU, 3x3 with the stride, norm, squeeze-and-excite; no activation after the sum."""

    def __init__(self, c_in: int, c_out: int, *, stride: int, reduction: int, squeeze: bool = True) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)  # plain subsampling
        if c_in != c_out:
            self.shortcut_layer = shortcut(c_in, c_out, stride)
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(c_in),
            nn.Conv2d(c_in, c_out, 3, 1, 1, bias=False),
            nn.PReLU(c_out),
            nn.Conv2d(c_out, c_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(c_out),
            *([SqueezeExcite(c_out, reduction)] if squeeze else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution with a stride, without bias: the same as with stride 1 on the pixels that it looks at.

    oneDNN's own backward pass of such a stride writes beyond its buffer where a channels-last input has fewer channels
    than a vector register (github.com/uxlfoundation/oneDNN/issues/6035), so the pixels are picked before.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__(c_in, c_out, 1, bias=False)
        self.every = stride

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :, :: self.every, :: self.every])


def shortcut(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """What carries a residual unit's input past it where channels or size change."""
    return nn.Sequential(Pointwise(c_in, c_out, stride), nn.BatchNorm2d(c_out))


class SqueezeExcite(nn.Module):
    """Channels weighted by what the whole picture says of them."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))
