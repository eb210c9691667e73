"""Latent spaces of chunks, made from what recipes and projections say about them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from chunkygan.build import create
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.types import Spec


def latent_spaces(specs: Sequence[Spec], generator: Generator) -> tuple[LatentSpace, ...]:
    """One space a chunk; chunks of equal specs share the object.

    Raises:
        ComponentError: no such space, or arguments it does not take.
    """
    keys = [json.dumps(dict(spec), sort_keys=True) for spec in specs]
    made = {key: create("latent_space", json.loads(key), generator=generator) for key in dict.fromkeys(keys)}
    return tuple(made[key] for key in keys)
