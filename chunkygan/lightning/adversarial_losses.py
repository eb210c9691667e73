"""The losses of adversarial training, as pure functions of logits, pictures and codes."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_loss(drawn: Tensor) -> Tensor:
    """Non-saturating logistic loss, mean of -log sigmoid(D(G(z))).

    Args:
        drawn: (n,) or (n, k) logits of drawn pictures.

    Source: Goodfellow et al. 2014, section 3.
    """
    return F.softplus(-drawn).mean()


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Logistic loss, mean of -log sigmoid(D(x)) plus mean of -log(1 - sigmoid(D(G(z)))).

    Args:
        real, drawn: (n,) or (n, k) logits.
    """
    return F.softplus(-real).mean() + F.softplus(drawn).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """R1 without its factor: mean over pictures of the squared length of dD/dx; its graph is kept.

    Args:
        logits: (n,), computed from images, each from its own; of (n, k) the sum over k counts.
        images: (n, c, h, w), requiring gradients.

    Source: Mescheder et al. 2018, Eq. 9.
    """
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean()


def default_gamma(resolution: int, batch: int) -> float:
    """The factor of R1 that suits a picture size and a batch: 0.0002 resolution^2 / batch.

    Source: the "auto" setting of NVlabs/stylegan2-ada-pytorch.
    """
    return 0.0002 * resolution**2 / batch


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """(n,) how far pictures move per step in W: root mean square over rows of |J_w^T y|; the graph is kept.

    Args:
        images: (n, c, h, w), drawn from ws.
        ws: (n, rows, w_dim).
        noise: y, like images, standard normal; it is divided by the root of the number of pixels here.

    Source: Karras et al. 2020, Eq. 4.
    """
    weighted = (images * noise).sum() / math.sqrt(images.shape[2] * images.shape[3])
    (slope,) = torch.autograd.grad(weighted, ws, create_graph=True)
    return slope.square().sum(2).mean(1).sqrt()


def moving_mean(mean: Tensor, lengths: Tensor, keep: float = 0.99) -> Tensor:
    """The running mean of path lengths after these; no gradient passes."""
    return mean + (1 - keep) * (lengths.detach().mean() - mean)


def path_length_penalty(lengths: Tensor, mean: Tensor) -> Tensor:
    """Mean squared deviation of path lengths, (n,), from their running mean."""
    return (lengths - mean).square().mean()


def average_keep(batch: int, seen: int, half_life: float, ramp_up: float) -> float:
    """What the averaged generator keeps of itself at a step: after `half_life` pictures half of it is replaced.

    Args:
        batch: pictures of the step.
        seen: pictures of all steps before.
        half_life: in pictures.
        ramp_up: early on, the half-life is no longer than this share of `seen`; 0: the same from the start.

    Source: Karras et al. 2020-ada, appendix; the ramp-up as in NVlabs/stylegan2-ada-pytorch.
    """
    if ramp_up:
        half_life = min(half_life, seen * ramp_up)
    return 0.5 ** (batch / max(half_life, 1e-8))


def lazy(rate: float, betas: tuple[float, float], interval: int) -> dict[str, Any]:
    """Adam's settings where every `interval`-th step brings a regulariser's step of its own; 0: none does.

    Source: Karras et al. 2020, appendix B, "Lazy regularization".
    """
    share = interval / (interval + 1) if interval else 1.0
    return {"lr": rate * share, "betas": (betas[0] ** share, betas[1] ** share)}
