"""The convolutional bodies of the pSp family: a picture to features at a half, quarter, ... of its side."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from chunkygan.checkpoint_files.encoder_states import EncoderConfig
from chunkygan.components.identity.ir_se50 import IrSe50, shortcut


def residual_layers(config: EncoderConfig) -> dict[str, nn.Module]:
    """The layers that ArcFace's network shares, under their state names, in forward order."""
    squeeze = config.body == "ir_se"
    whole = IrSe50(config.inputs, config.widths, config.reduction, config.units, squeeze=squeeze)
    return dict(whole.named_children())


def resnet_layers(config: EncoderConfig) -> dict[str, nn.Module]:
    """ResNet's basic units after a 7x7 convolution, without its pooling, under their state names.

    Source: ResNetBackboneEncoder of yuval-alaluf/restyle-encoder.
    """
    before, made = config.widths[0], []
    for stage, (count, width) in enumerate(zip(config.units, config.widths)):
        for i in range(count):
            made.append(BasicUnit(before, width, stride=2 if i == 0 and stage else 1))
            before = width
    first = config.widths[0]
    return {
        "conv1": nn.Conv2d(config.inputs, first, 7, 2, 3, bias=False),
        "bn1": nn.BatchNorm2d(first),
        "relu": nn.PReLU(first),
        "body": nn.Sequential(*made),
    }


class BasicUnit(nn.Module):
    """Residual unit of two 3x3 convolutions, with an activation after the sum."""

    def __init__(self, c_in: int, c_out: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.downsample = shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(inner + self.downsample(x))


def stages(x: Tensor, body: nn.Sequential, units: Sequence[int]) -> list[Tensor]:
    """What a body gives after each of its stages of so many units."""
    found, end = [], 0
    for count in units:
        for i in range(end, end + count):
            x = body[i](x)
        end += count
        found.append(x)
    return found
