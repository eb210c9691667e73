"""What a generator's training leaves behind: the averaged weights as a file, and a sheet of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.generator_file import write_generator
from chunkygan.images import write_image
from chunkygan.interfaces import Generator
from chunkygan.pictures import grid
from chunkygan.sampling import mean_w


def write_weights(generator: Any, path: Path, **notes: Any) -> Path:
    """Sets the generator's mean of W, and writes it as `chunkygan.load_generator` reads it; `notes` become metadata."""
    generator.w_avg.copy_(mean_w(generator))
    write_generator(generator, path, **notes)
    return path


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
    write_image(path, grid(torch.cat(rows), columns))
