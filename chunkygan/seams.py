"""How visible the borders between chunks are."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.errors import ShapeError
from chunkygan.shapes import check_shape


def seam_mismatch(image: Tensor, sources: Tensor, owners: Tensor) -> float:
    """Root mean square of what a picture's steps across the borders differ by from its sources' own steps there.

    A step is the difference of two neighbouring pixels. Across a border a seamless picture steps as the pictures on
    both sides do (their mean is what is compared with): 0 is no seam, 0.1 a jump of 13 levels of 255.

    Args:
        image: (1, 3, h, w) in [-1, 1].
        sources: (n, 3, h, w), the pictures that it was put together from; the photo may be one.
        owners: (h, w) integers, the source of every pixel.

    Returns:
        0 to 4; 0 where there is no border.

    Raises:
        ShapeError: sizes do not agree, or a pixel's source is not there.

    >>> picture = torch.zeros(1, 3, 4, 4)
    >>> picture[..., 2:] = 0.5
    >>> seam_mismatch(picture, torch.zeros(2, 3, 4, 4), torch.tensor([[0, 0, 1, 1]] * 4))
    0.5
    """
    sizes = check_shape(image, "1 3 h w", name="image")
    count = check_shape(sources, "n 3 h w", name="sources", **sizes)["n"]
    check_shape(owners, "h w", name="owners", **sizes)
    if int(owners.min()) < 0 or int(owners.max()) >= count:
        raise ShapeError(f"owners must be 0 to {count - 1}, one of the {count} sources")
    misses = [_along(image[0], sources, owners), _along(image[0].mT, sources.mT, owners.mT)]
    squares = torch.cat(misses).double().square()
    return float(squares.mean().sqrt()) if len(squares) else 0.0


def _along(image: Tensor, sources: Tensor, owners: Tensor) -> Tensor:
    """(n,) mismatches across the borders between horizontal neighbours, all channels."""
    a, b = owners[:, :-1], owners[:, 1:]
    rows, columns = torch.nonzero(a != b, as_tuple=True)
    own = _steps(sources)
    wanted = (own[a[rows, columns], :, rows, columns] + own[b[rows, columns], :, rows, columns]) / 2
    return (_steps(image)[:, rows, columns].T - wanted).flatten()


def _steps(picture: Tensor) -> Tensor:
    return picture[..., 1:] - picture[..., :-1]
