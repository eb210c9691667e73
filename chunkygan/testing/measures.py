"""The contract checks of networks that compare pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from chunkygan.interfaces import (
    Identity,
    Perceptual,
)
from chunkygan.testing.networks import check_frozen, check_name, two_pictures
from chunkygan.testing.rules import agree, finite_gradient, require, shaped


def check_perceptual(perceptual: Perceptual, *, size: int | tuple[int, int] = 64, tolerance: float = 1e-5) -> None:
    """Name, frozen network, and a distance: zero for equal images, else positive, symmetric, differentiable.

    Args:
        size: side, or (height, width), of the pictures it is tried on.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the perceptual distance breaks its contract.
    """
    check_name(perceptual, perceptual.name)
    check_frozen(perceptual)
    x, y = two_pictures(0, size, perceptual), two_pictures(1, size, perceptual)
    features = perceptual.features(x)
    require(
        isinstance(features, list) and all(isinstance(tap, Tensor) and len(tap) == len(x) for tap in features),
        perceptual,
        "features must be a list of tensors with one row an image",
    )
    distance = _check_distance(perceptual, perceptual, x, y, tolerance)
    kept = perceptual.distance(features, perceptual.features(y))
    agree(kept, distance, perceptual, "distance of features must be what forward gives", tolerance)
    one = perceptual.distance(features, perceptual.features(y[:1]))[:1]
    agree(one, distance[:1], perceptual, "features of one target must serve a batch of images", tolerance)


def check_identity(identity: Identity, *, size: int | tuple[int, int] = 128, tolerance: float = 1e-4) -> None:
    """Name, frozen network, unit embeddings, and a distance: zero for equal images, symmetric, differentiable.

    Args:
        size: side, or (height, width), of the pictures it is tried on.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the identity measure breaks its contract.
    """
    check_name(identity, identity.name)
    check_frozen(identity)
    x, y = two_pictures(0, size, identity), two_pictures(1, size, identity)
    embedded = identity.embed(x)
    require(
        embedded.ndim == 2 and len(embedded) == len(x),
        identity,
        f"embed must give (n, d); got {tuple(embedded.shape)} for {len(x)} images",
    )
    lengths = embedded.norm(dim=1)
    agree(lengths, torch.ones_like(lengths), identity, "embed must give unit vectors", tolerance)
    _check_distance(identity, identity, x, y, tolerance)


def _check_distance(
    component: object, distance: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, tolerance: float
) -> Tensor:
    """(n,) distances of x and y, after checking the rules of a distance."""
    found = distance(x, y)
    shaped(found, (len(x),), component, "the distance of two batches")
    require(bool((found > tolerance).all()), component, f"different images must be apart; got {found.tolist()}")
    agree(distance(y, x), found, component, "the distance must be symmetric", tolerance)
    agree(distance(x, x), torch.zeros_like(found), component, "equal images must be at distance 0", tolerance)
    agree(distance(x, y), found, component, "the distance must be the same when asked twice", 0.0)
    alone = torch.cat([distance(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    agree(alone, found, component, "the distance of a pair must not depend on its neighbours", tolerance)
    moving = x.clone().requires_grad_()
    finite_gradient(distance(moving, y).sum(), moving, component, "the distance must pass gradients to the images")
    same = x.clone().requires_grad_()
    finite_gradient(distance(same, x).sum(), same, component, "gradients at equal images must be finite", zero=True)
    return found.detach()
