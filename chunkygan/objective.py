"""Eq. 2: what a fit minimises."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from chunkygan.errors import RecipeError, ShapeError
from chunkygan.shapes import check_shape


def dispersion(codes: Tensor) -> Tensor:
    """Sum of squared deviations of the chunks' codes from their mean (second term of Eq. 2).

    Args:
        codes: (n_chunks, d), one row a chunk, in any latent space.

    Returns:
        Scalar; 0 for one chunk, or where all codes agree.

    Raises:
        ShapeError: codes has not two dimensions.

    Source: ChunkyGAN, section 3, Eq. 2.
    """
    check_shape(codes, "n_chunks d", name="codes")
    return (codes - codes.mean(0)).square().sum()


def l2(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference of each pair of images.

    Args:
        a: (n, 3, h, w) in [-1, 1].
        b: as a.

    Returns:
        (n,); at most 4.

    Raises:
        ShapeError: the shapes differ.

    Source: ChunkyGAN, section 4, the measure L2.
    """
    sizes = check_shape(a, "n 3 h w", name="a")
    check_shape(b, "n 3 h w", name="b", **sizes)
    return (a - b).square().mean((1, 2, 3))


def incoherence(apart: Tensor) -> Tensor:
    """How far chunks disagree, over the whole picture, in the unit of `l2`.

    With it, weighted alike, `l2` becomes the chunks' own squared error in their masks: ``sum_i S_i |G_i - I|^2`` is
    ``|O - I|^2`` and the disagreement.

    Args:
        apart: (h, w), what `chunkygan.coherence.disagreement` gives.

    Returns:
        Scalar; 0 where all chunks agree wherever they overlap.

    Source: an idea that ChunkyGAN names and leaves open.
    """
    check_shape(apart, "h w", name="apart")
    return apart.mean()


def shrinking(areas: Tensor, first: Tensor, *, keep: float) -> Tensor:
    """How far chunks have shrunk below a share of their first area: the sum of squared logarithms of the shortfall.

    0 as long as every chunk keeps that share; grows without end as a chunk vanishes, so that masks cannot collapse
    onto one chunk unnoticed. Not in the paper.

    Args:
        areas: (n_chunks,), above 0.
        first: (n_chunks,), the areas at the start.
        keep: the share that costs nothing.

    Returns:
        Scalar.

    >>> float(shrinking(torch.tensor([0.2, 0.8]), torch.tensor([0.3, 0.7]), keep=0.5))
    0.0
    """
    check_shape(areas, "n_chunks", name="areas")
    check_shape(first, "n_chunks", name="first", n_chunks=len(areas))
    shortfall = (keep * first / areas.clamp_min(1e-9)).clamp_min(1e-9).log().clamp_min(0)
    return shortfall.square().sum()


def objective(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of the terms (Eq. 2: the perceptual distance, plus lambda_reg times the dispersion).

    A term of weight 0 is left out of the sum, so that it costs no gradient and a value that is not finite does no
    harm. Whether the sum is finite is for the caller to look at: a look makes the host wait for the device.

    Args:
        terms: scalars by name.
        weights: one weight a term; weights without a term do nothing.

    Returns:
        Scalar.

    Raises:
        RecipeError: a term has no weight.
        ShapeError: there is no term, or one is no scalar.

    Source: ChunkyGAN, section 3, Eq. 2.
    """
    missing = [name for name in terms if name not in weights]
    if missing:
        raise RecipeError(
            f"the objective's terms need a weight each; none is given for {', '.join(missing)} "
            f"(weights: {', '.join(weights) or 'none'})"
        )
    if not terms:
        raise ShapeError("the objective needs at least one term; got none")
    for name, term in terms.items():
        check_shape(term, "", name=f"objective term {name!r}")
    total = torch.zeros_like(next(iter(terms.values())))
    for name, term in terms.items():
        if weights[name] != 0:
            total = total + weights[name] * term
    return total
