"""One check for tensor shapes, written as people write them."""

from __future__ import annotations

from torch import Tensor

from chunkygan.errors import ShapeError


def check_shape(x: Tensor, pattern: str, *, name: str, **sizes: int) -> dict[str, int]:
    """The sizes that the letters of a pattern stand for.

    Args:
        x: the tensor to check.
        pattern: one word a dimension, ``"n 3 h w"``: a number is required as it stands, a name is bound at
            its first use and must agree afterwards, ``*`` takes any size.
        name: what the message calls the tensor.
        sizes: names that are bound already.

    Returns:
        name -> size, for every name of the pattern.

    Raises:
        ShapeError: another number of dimensions, or a size that does not agree.

    >>> import torch
    >>> check_shape(torch.zeros(2, 3, 8, 8), "n 3 h w", name="image")
    {'n': 2, 'h': 8, 'w': 8}
    """
    words = pattern.split()
    bound = dict(sizes)
    agrees = x.ndim == len(words)
    for word, size in zip(words, x.shape):
        if word == "*":
            continue
        expected = int(word) if word.isdigit() else bound.setdefault(word, size)
        agrees = agrees and expected == size
    if not agrees:
        known = ", ".join(f"{key}={value}" for key, value in sizes.items())
        raise ShapeError(
            f"{name} must have shape ({', '.join(words)}){' with ' + known if known else ''}; got {tuple(x.shape)}"
        )
    return bound
