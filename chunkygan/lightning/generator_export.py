"""What a generator's training leaves behind: the averaged weights as a file, and a sheet of samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.images import write_image
from chunkygan.interfaces import Generator
from chunkygan.weights import write_safetensors


@torch.no_grad()
def set_average_w(generator: Any, samples: int = 10_000) -> None:
    """Sets `w_avg` to the mean of W over random latents of a fixed seed."""
    latents = torch.randn(samples, generator.z_dim, generator=torch.Generator().manual_seed(123))
    generator.w_avg.copy_(generator.mapping(latents.to(generator.w_avg))[:, 0].mean(0))


def write_weights(generator: Any, path: Path, *, dtype: torch.dtype = torch.float16, **notes: str) -> Path:
    """Writes the generator as `chunkygan.load_generator` reads it; `notes` become metadata."""
    set_average_w(generator)
    tensors = {name: value.detach().to(dtype).contiguous() for name, value in generator.public_state_dict().items()}
    about = {"format": "chunkygan.generator", "format_version": "1", "component": "stylegan2", **notes}
    write_safetensors(path, tensors, {**about, "config": json.dumps(generator.config)})
    return path


def sheet(images: Tensor, columns: int) -> Tensor:
    """Pictures (n, 3, h, w) side by side, row by row: (1, 3, rows * h, columns * w); n a multiple of columns."""
    n, c, h, w = images.shape
    rows = images.reshape(n // columns, columns, c, h, w).permute(2, 0, 3, 1, 4)
    return rows.reshape(1, c, n // columns * h, columns * w)


@torch.no_grad()
def draw(generator: Generator, z: Tensor, *, size: int | None = None) -> Tensor:
    """Pictures (n, 3, h, w) in [-1, 1] of latents."""
    return generator.synthesis(generator.styles(generator.mapping(z)), noise="const", size=size).clamp(-1, 1)


def write_sheet(
    generator: Generator, z: Tensor, wanted: Tensor, path: Path, *, size: int | None, columns: int = 8
) -> None:
    """Writes a picture: rows of what is drawn for latents, each above a row of what was wanted."""
    drawn, rows = draw(generator, z, size=size), []
    for start in range(0, len(z), columns):
        rows += [drawn[start : start + columns], wanted[start : start + columns]]
    write_image(path, sheet(torch.cat(rows), columns))
