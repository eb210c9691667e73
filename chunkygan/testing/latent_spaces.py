"""The contract check of latent spaces."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import (
    LatentSpace,
)
from chunkygan.testing.rules import agree, finite_gradient, require, shaped
from chunkygan.types import Styles


def check_latent_space(space: LatentSpace, *, tolerance: float = 1e-3) -> None:
    """Shapes, seeds, gradients, and that styles of codes lead back to codes with the same styles.

    Args:
        space: on a generator, small for speed.
        tolerance: largest difference of styles after a round trip, relative to the largest style.

    Raises:
        ComponentError: the space breaks its contract.
    """
    shape = space.code_shape
    require(
        isinstance(shape, tuple) and all(isinstance(size, int) and size > 0 for size in shape),
        space,
        f"code_shape must be a tuple of positive integers; got {shape!r}",
    )
    shaped(space.mean(), shape, space, "mean()")
    codes = _samples(space)
    _check_styles(space, codes)
    _check_round_trip(space, codes, tolerance)
    _check_moves(space, codes)


def _samples(space: LatentSpace) -> Tensor:
    """(3, *code_shape) codes of a seed, after checking that seeds decide them."""
    first, again, other = (space.sample(3, rng=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    shaped(first, (3, *space.code_shape), space, "sample(3)")
    require(torch.equal(first, again), space, "sample must be the same for the same rng; it differed")
    require(not torch.equal(first, other), space, "sample must differ for another rng; it was the same")
    return first.detach()


def _check_styles(space: LatentSpace, codes: Tensor) -> None:
    dims = space.generator.style_dims
    codes = codes.clone().requires_grad_()
    styles = space.to_styles(codes)
    require(len(styles) == len(dims), space, f"to_styles must give {len(dims)} layers; got {len(styles)}")
    for k, (style, dim) in enumerate(zip(styles, dims)):
        shaped(style, (3, dim), space, f"layer {k} of to_styles")
    alone = space.to_styles(codes[1:2])
    agree(torch.cat(alone, 1), torch.cat(styles, 1)[1:2], space, "styles of a code must not depend on its neighbours")
    finite_gradient(torch.cat(styles, 1).square().sum(), codes, space, "to_styles must pass gradients to the codes")


@torch.no_grad()
def _check_round_trip(space: LatentSpace, codes: Tensor, tolerance: float) -> None:
    styles = space.to_styles(codes)
    back = space.from_styles(styles)
    shaped(back, codes.shape, space, "from_styles")
    _same_styles(space.to_styles(back), styles, space, tolerance)
    generator = space.generator
    z = torch.randn(2, generator.z_dim, generator=torch.Generator().manual_seed(3)).to(generator.w_avg)
    c = torch.zeros(2, generator.c_dim).to(z) if generator.c_dim else None
    near = space.from_ws(generator.mapping(z, c))
    shaped(near, (2, *space.code_shape), space, "from_ws")
    _same_styles(space.to_styles(space.from_styles(space.to_styles(near))), space.to_styles(near), space, tolerance)


def _same_styles(found: Styles, expected: Styles, space: LatentSpace, tolerance: float) -> None:
    largest = float(torch.cat(expected, 1).abs().max())
    rule = "from_styles of a code's own styles must lead to a code with these styles"
    agree(torch.cat(found, 1), torch.cat(expected, 1), space, rule, tolerance * max(largest, 1.0))


@torch.no_grad()
def _check_moves(space: LatentSpace, codes: Tensor) -> None:
    scale = space.scale()
    try:
        fits = torch.broadcast_shapes(scale.shape, space.code_shape) == torch.Size(space.code_shape)
    except RuntimeError:
        fits = False
    require(fits, space, f"scale() must broadcast to code_shape {space.code_shape}; got {tuple(scale.shape)}")
    require(bool((scale > 0).all() and scale.isfinite().all()), space, "scale() must be positive and finite everywhere")
    generator = space.generator
    direction = space.direction(torch.ones(generator.num_ws, generator.w_dim))
    shaped(direction, space.code_shape, space, "direction()")
    require(torch.equal(space.move(codes, direction, 0.0), codes), space, "move by strength 0 must change no bit")
    shaped(space.move(codes, direction, 1.0), codes.shape, space, "move()")
