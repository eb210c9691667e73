"""Poisson's equation on the pixels of a region: factored once, solved for any number of channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chunkygan.errors import ComponentError

Array = Any  # of numpy

AMG_ABOVE = 100_000
"""Unknowns from which algebraic multigrid is quicker than a factorisation, where pyamg is installed."""

AMG_TOLERANCE = 1e-10  # of the residual, relative; an 8-bit level is 8e-3


class PoissonSystem:
    """The 5-point Laplacian of a region, with given values around it and no condition where it touches the frame.

    For each pixel p of the region, over its neighbours q inside the frame: ``sum f_p - f_q = sum v_pq``, where f_q is
    given outside the region. A region without any outside is determined up to a constant, which `solve` is told.

    Args:
        region: (h, w) of bool.

    Source: Perez et al., Poisson Image Editing (2003), Eq. 7.
    """

    def __init__(self, region: Array) -> None:
        self.region = region
        self.is_whole = bool(region.all())
        self._solve = _solver(_laplacian(region, pinned=self.is_whole))

    def solve(self, steps: tuple[Array, Array], given: Array, mean: float = 0.0) -> Array:
        """The region's values, (n_pixels,) in the order of ``picture[region]``.

        Args:
            steps: what neighbours should differ by: (h, w - 1) of each pixel less its right neighbour, and (h - 1, w)
                of each pixel less the one below.
            given: (h, w), the values outside the region.
            mean: of the solution, where nothing is outside.
        """
        found = self._solve(_right_side(self.region, steps, given))
        return found - found.mean() + mean if self.is_whole else found


def steps_of(picture: Array) -> tuple[Array, Array]:
    """What neighbours of a picture (..., h, w) differ by, as `PoissonSystem.solve` takes it."""
    return picture[..., :, :-1] - picture[..., :, 1:], picture[..., :-1, :] - picture[..., 1:, :]


def _laplacian(region: Array, *, pinned: bool) -> Any:
    from scipy import sparse

    count = int(region.sum())
    index = np.full(region.shape, -1)
    index[region] = np.arange(count)
    neighbours = np.full(region.shape, 4.0)  # inside the frame
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        neighbours[edge] -= 1
    diagonal = neighbours[region]
    if pinned:
        diagonal[0] += 1  # any constant solves it; this picks one
    across = np.concatenate([_pairs(index[:, :-1], index[:, 1:]), _pairs(index[:-1], index[1:])], 1)
    rows = np.concatenate([np.arange(count), across[0], across[1]])
    columns = np.concatenate([np.arange(count), across[1], across[0]])
    values = np.concatenate([diagonal, np.full(2 * across.shape[1], -1.0)])
    return sparse.csc_matrix((values, (rows, columns)), shape=(count, count))


def _pairs(a: Array, b: Array) -> Array:
    """(2, n) indices of neighbours that are both unknown."""
    both = (a >= 0) & (b >= 0)
    return np.stack([a[both], b[both]])


def _right_side(region: Array, steps: tuple[Array, Array], given: Array) -> Array:
    right, below = steps
    total = np.zeros(region.shape)
    outside = np.where(region, 0.0, given)
    total[:, :-1] += right + outside[:, 1:]
    total[:, 1:] += outside[:, :-1] - right
    total[:-1] += below + outside[1:]
    total[1:] += outside[:-1] - below
    return total[region]


def _solver(matrix: Any) -> Callable[[Array], Array]:
    if matrix.shape[0] > AMG_ABOVE and (solve := _multigrid(matrix)) is not None:
        return solve
    try:
        from scipy.sparse.linalg import splu
    except ImportError as error:
        raise ComponentError("blender 'poisson' needs scipy: pip install 'chunkygan[blend]'") from error
    # Symmetric ordering and pivoting: a third of the default's fill on such matrices.
    solve = splu(matrix, permc_spec="MMD_AT_PLUS_A", options=dict(SymmetricMode=True)).solve
    return lambda right_side: solve(right_side)


def _multigrid(matrix: Any) -> Callable[[Array], Array] | None:
    try:
        import pyamg
    except ImportError:
        return None
    levels = pyamg.ruge_stuben_solver(matrix.tocsr())
    return lambda right_side: levels.solve(right_side, tol=AMG_TOLERANCE, accel="cg")
