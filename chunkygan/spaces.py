"""Latent spaces of chunks, made from what recipes and projections say about them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.types import Spec, Styles


def latent_spaces(specs: Sequence[Spec], generator: Generator) -> tuple[LatentSpace, ...]:
    """One space a chunk; chunks of equal specs share the object.

    Raises:
        ComponentError: no such space, or arguments it does not take.
    """
    keys = [json.dumps(dict(spec), sort_keys=True) for spec in specs]
    made = {key: create("latent_space", json.loads(key), generator=generator) for key in dict.fromkeys(keys)}
    return tuple(made[key] for key in keys)


def batched_styles(spaces: Sequence[LatentSpace], codes: Sequence[Tensor]) -> Styles:
    """Styles of codes, each ``code_shape`` of its space, as one batch; chunks of one space are decoded together."""
    groups = {id(space): [i for i, other in enumerate(spaces) if other is space] for space in spaces}
    parts = [spaces[places[0]].to_styles(torch.stack([codes[i] for i in places])) for places in groups.values()]
    if len(parts) == 1:
        return parts[0]
    order = torch.tensor([i for places in groups.values() for i in places]).argsort().to(codes[0].device)
    return [torch.cat(layer)[order] for layer in zip(*parts)]
