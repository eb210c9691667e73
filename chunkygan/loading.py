"""Generators by name or file."""

from __future__ import annotations

import os
from typing import Any

from chunkygan.build import create
from chunkygan.domain import domain_names, load_domain
from chunkygan.errors import WeightsError
from chunkygan.interfaces import Generator


def load_generator(path_or_name: str | os.PathLike[str], **overrides: Any) -> Generator:
    """A generator, frozen and in evaluation mode, on the CPU.

    Args:
        path_or_name: a weight file, a name of the weights manifest, or a domain.
        overrides: what the file cannot tell, such as `conv_clamp`; arguments of the generator's component.

    Raises:
        WeightsError: missing, damaged, or no generator that is known.
    """
    name = os.fspath(path_or_name)
    spec = {"name": "stylegan2", "weights": name}
    if name in domain_names():
        domain = load_domain(name)
        if domain.generator is None:
            raise WeightsError(f"domain '{name}' names no generator; see {domain.source}")
        spec = dict(domain.generator)
    return frozen(create("generator", {**spec, **overrides}))


def frozen(generator: Generator) -> Generator:
    """The same generator, without gradients for its weights and in evaluation mode."""
    generator.requires_grad_(False).eval()
    return generator
