"""What a classifier says of a generator's pictures, and how that changes along a direction or a channel of S."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chunkygan.interfaces import Classifier, Generator, Identity
from chunkygan.types import Styles


@dataclass(frozen=True)
class Responder:
    """A classifier's view of a generator's pictures, in standard deviations of the domain.

    Args:
        spread: (k,) standard deviations of the responses over the domain.
        identity: tells how far an edit leads from the person; None: not told.
    """

    generator: Generator
    classifier: Classifier
    spread: Tensor
    identity: Identity | None = None
    at_once: int = 16

    @torch.no_grad()
    def pictures(self, ws: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] of codes (n, num_ws, w_dim)."""
        return torch.cat([self._drawn(self.generator.styles(some)) for some in ws.split(self.at_once)])

    @torch.no_grad()
    def responses(self, ws: Tensor) -> Tensor:
        """(n, k) of codes (n, num_ws, w_dim)."""
        return torch.cat([self._read(self.generator.styles(some)) for some in ws.split(self.at_once)])

    @torch.no_grad()
    def slopes(self, ws: Tensor, step: Tensor, strengths: Sequence[float]) -> Tensor:
        """(k,): by how much the responses of codes change on average for each unit of a step.

        The line through the mean responses at the strengths, by least squares, as the paper calibrates its edits.

        Args:
            step: (num_ws, w_dim), what strength 1 adds.
        """
        means = torch.stack([self.responses(ws + strength * step).mean(0) for strength in strengths]).cpu()
        return line_slopes(strengths, means)

    @torch.no_grad()
    def identity_loss(self, ws: Tensor, step: Tensor) -> float | None:
        """1 minus the cosine between the persons before and after a step, on average; None without a network."""
        if self.identity is None:
            return None
        losses = [self.identity(self.pictures(some), self.pictures(some + step)) for some in ws.split(self.at_once)]
        return float(torch.cat(losses).mean())

    def channel_slopes(self, ws: Tensor) -> Tensor:
        """(k, sum of style_dims): what one standard deviation of every channel of S does to the responses.

        To first order: the mean of the gradient over the codes, times the channels' standard deviations over them.
        """
        with torch.no_grad():
            spread = torch.cat(self.generator.styles(ws), 1).std(0)
        total = torch.zeros(len(self.spread), len(spread)).to(spread)
        for some in ws.split(self.at_once):
            styles = [layer.detach().requires_grad_() for layer in self.generator.styles(some)]
            with torch.enable_grad():
                found = self._read(styles).sum(0)
            for k, response in enumerate(found):
                gradients = torch.autograd.grad(response, styles, retain_graph=k + 1 < len(found))
                total[k] += torch.cat(gradients, 1).sum(0)
        return total / len(ws) * spread

    def _drawn(self, styles: Styles) -> Tensor:
        return self.generator.synthesis(styles, noise="const").clamp(-1, 1)

    def _read(self, styles: Styles) -> Tensor:
        return self.classifier(self._drawn(styles)) / self.spread.to(styles[0])


def line_slopes(strengths: Sequence[float], responses: Tensor) -> Tensor:
    """(k,): slopes of the lines through responses (n, k) at strengths (n,), by least squares."""
    reach = torch.tensor(strengths, dtype=responses.dtype)
    centred = reach - reach.mean()
    return (centred @ (responses - responses.mean(0))) / centred.square().sum()


def responder(
    generator: Generator, classifier: Classifier, ws: Tensor, identity: Identity | None = None
) -> tuple[Responder, Tensor]:
    """A responder whose unit is the spread over the codes ws, and their responses (n, k) in it."""
    raw = Responder(generator, classifier, torch.ones(len(classifier.names)), identity)
    found = raw.responses(ws)
    spread = found.std(0).clamp(min=1e-6)
    return Responder(generator, classifier, spread.cpu(), identity), found / spread


def most_specific(slopes: Tensor, wanted: int, count: int) -> list[int]:
    """The channels that change one response most and the others least, the best first.

    The measure is the squared slope of the wanted response over the root of the sum of all squared slopes: its own
    effect, times the share of it in all effects.

    Args:
        slopes: (k, channels) of `Responder.channel_slopes`.

    Source: the idea of StyleSpace (Wu et al. 2021); the measure is ours.
    """
    own = slopes[wanted].abs()
    score = own * own / slopes.square().sum(0).sqrt().clamp(min=1e-12)
    return score.topk(min(count, len(score))).indices.tolist()
