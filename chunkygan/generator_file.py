"""A generator on disk: safetensors with its configuration in the metadata."""

from __future__ import annotations

import json
import os

import torch

from chunkygan.interfaces import Generator
from chunkygan.weights import write_safetensors

FORMAT = "chunkygan.generator"
VERSION = 1


def write_generator(
    generator: Generator, path: str | os.PathLike[str], *, dtype: torch.dtype = torch.float16, **notes: str
) -> None:
    """Writes a generator as `chunkygan.load_generator` reads it.

    Args:
        dtype: of the stored tensors.
        notes: further metadata.

    Raises:
        WeightsError: the file cannot be written.
    """
    tensors = {name: value.detach().to(dtype).contiguous() for name, value in generator.public_state_dict().items()}
    about = {"format": FORMAT, "format_version": str(VERSION), "component": generator.component, **notes}
    write_safetensors(path, tensors, {**about, "config": json.dumps(generator.config)})
