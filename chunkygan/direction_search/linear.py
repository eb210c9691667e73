"""Directions from codes alone, or from codes and what a classifier says of their pictures. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chunkygan.errors import ProjectionError
from chunkygan.interfaces import Generator


def separating(codes: Tensor, responses: Tensor, *, ridge: float = 1e-3) -> Tensor:
    """(k, d) normals of the hyperplanes on which a linear prediction of each response is constant.

    A step along a normal raises the prediction by its squared length. Responses are continuous, so this is ridge
    regression; for a response of two values it is the linear discriminant, up to length.

    Args:
        codes: (n, d).
        responses: (n, k), in standard deviations.
        ridge: added to the codes' covariance, as a share of its mean variance.

    Source: the hyperplanes of InterFaceGAN (Shen et al. 2020), which uses a support vector machine.
    """
    centred = (codes - codes.mean(0)).double()
    wanted = (responses - responses.mean(0)).double()
    gram = centred.T @ centred / len(codes)
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.solve(gram, centred.T @ wanted / len(codes)).T.to(codes)


def conditioned(normals: Tensor, covariance: Tensor, wanted: int, kept: Sequence[int]) -> Tensor:
    """(d,): of all changes of a code that raise one linear prediction by 1 and leave others as they are, the likeliest.

    Likeliest: the shortest in standard deviations of the codes, so that it stays where codes are. With the identity for
    `covariance` it is InterFaceGAN's conditional direction, of length 1 / |projected normal|.

    Args:
        normals: (k, d) of `separating`.
        covariance: (d, d) of the codes.
        wanted: the row that changes.
        kept: rows that do not.

    Raises:
        ProjectionError: the kept predictions leave nothing of the wanted one.
    """
    rows = normals[[wanted, *kept]].double()
    spread = covariance.double() @ rows.T
    system = rows @ spread
    aim = torch.zeros(len(rows), dtype=rows.dtype)
    aim[0] = 1
    if torch.linalg.matrix_rank(system, rtol=1e-9) < len(rows):
        raise ProjectionError("the attributes to keep leave nothing of the one to change: keep fewer of them")
    return (spread @ torch.linalg.solve(system, aim)).to(normals)


def decoupled(vectors: Tensor, slopes: Tensor, wanted: int, kept: Sequence[int]) -> Tensor:
    """(d,): the combination of directions that raises one response by 1 and leaves others as they are, as measured.

    What all directions leave alone, their combination leaves alone too.

    Args:
        vectors: (k, d), one direction a response.
        slopes: (k, k) measured changes of every response, a row for each direction.
        wanted: the response that changes.
        kept: responses that do not; only their directions, and the wanted one's, are combined.

    Raises:
        ProjectionError: the directions are not independent of each other in what they do.
    """
    used = [wanted, *kept]
    system, aim = slopes[used][:, used].double().T, torch.zeros(len(used), dtype=torch.float64)
    aim[0] = 1
    if torch.linalg.matrix_rank(system, rtol=1e-6) < len(used):
        raise ProjectionError("the directions do not tell the attributes to keep apart: keep fewer of them")
    shares = torch.linalg.solve(system, aim)
    return (shares @ vectors[used].double()).to(vectors)


def principal(codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` principal axes of codes, (count, d) of unit length, and the deviations (count,) along them.

    Source: GANSpace (Harkonen et al. 2020).
    """
    centred = codes - codes.mean(0)
    _, lengths, axes = torch.linalg.svd(centred, full_matrices=False)
    return axes[:count], lengths[:count] / (len(codes) - 1) ** 0.5


@torch.no_grad()
def closed_form(generator: Generator, count: int, *, rows: tuple[int, int] | None = None) -> Tensor:
    """(count, w_dim) unit directions of W that change the styles most, the strongest first; no sample is drawn.

    They are the first right singular vectors of the affine layers that lead from W to S.

    Args:
        rows: only the layers that these rows of W+ feed.

    Source: SeFa (Shen and Zhou 2021).
    """
    first, end = rows or (0, generator.num_ws)
    basis = torch.eye(generator.w_dim).to(generator.w_avg)[:, None].expand(-1, generator.num_ws, -1)
    origin = generator.styles(torch.zeros_like(basis[:1]))
    layers = [
        moved - still
        for moved, still, row in zip(generator.styles(basis), origin, generator.style_rows)
        if first <= row < end
    ]
    return torch.linalg.svd(torch.cat(layers, 1).T, full_matrices=False)[2][:count]
