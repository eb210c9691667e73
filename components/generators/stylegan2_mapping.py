"""StyleGAN2's mapping network: latents (and classes) to W."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from chunkygan.components.generators.stylegan2_layers import EPSILON, FullyConnected
from chunkygan.errors import ShapeError
from chunkygan.shapes import check_shape


def normalise(x: Tensor) -> Tensor:
    """Vectors (n, d) scaled to mean square 1."""
    return x * (x.square().mean(1, keepdim=True) + EPSILON).rsqrt()


class Mapping(nn.Module):
    """z, (n, z_dim), and for a conditional network c, (n, c_dim), to w, (n, w_dim)."""

    w_avg: Tensor

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, layers: int, lr_multiplier: float) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.layers = z_dim, c_dim, layers
        if c_dim:
            self.embed = FullyConnected(c_dim, w_dim)
        widths = [z_dim + (w_dim if c_dim else 0)] + [w_dim] * layers
        for i in range(layers):
            layer = FullyConnected(widths[i], widths[i + 1], lr_multiplier=lr_multiplier, activate=True)
            self.add_module(f"fc{i}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Raises ShapeError for a z or c of another width, or a class where there is none to give."""
        check_shape(z, "n z_dim", name="z", z_dim=self.z_dim)
        if (c is None) != (self.c_dim == 0):
            raise ShapeError(f"c: this generator takes a class vector of {self.c_dim} numbers; got {c}")
        x = normalise(z)
        if c is not None:
            check_shape(c, "n c_dim", name="c", c_dim=self.c_dim)
            x = torch.cat([x, normalise(self.embed(c))], 1)
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x
