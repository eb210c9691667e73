"""What several classifiers of the same pixels say together: probability, label, and how far they disagree."""

from __future__ import annotations

from torch import Tensor


def mean_probability(logits: Tensor, *, dim: int = 1) -> Tensor:
    """The classes' probabilities, averaged over the models.

    Args:
        logits: (models, ...), the classes along `dim` of what remains without the first dimension.

    Returns:
        (...), summing to 1 over the classes.
    """
    return logits.softmax(dim + 1).mean(0)


def uncertainty(logits: Tensor, *, dim: int = 1) -> Tensor:
    """Jensen-Shannon divergence of the models, ``H(mean p) - mean H(p)``, in nats: 0 where all agree.

    Args:
        logits: as for `mean_probability`.

    Returns:
        (...) without the classes' dimension.

    Source: DatasetGAN, section 3.
    """
    logs = logits.log_softmax(dim + 1)
    each = -(logs.exp() * logs).sum(dim + 1).mean(0)
    mean = logs.exp().mean(0)
    return (-(mean * mean.clamp_min(1e-12).log()).sum(dim) - each).clamp_min(0)


def vote(logits: Tensor, *, dim: int = 1) -> Tensor:
    """The label that most models give (the smallest of several); (...) without the classes' dimension."""
    return logits.argmax(dim + 1).mode(0).values


def picture_uncertainty(pixels: Tensor, *, share: float = 0.1) -> Tensor:
    """(n,): the mean uncertainty of the most uncertain share of each picture's pixels, (n, h, w)."""
    flat = pixels.flatten(1)
    return flat.topk(max(1, int(share * flat.shape[1])), 1).values.mean(1)
