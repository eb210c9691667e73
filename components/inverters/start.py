"""Where a fit begins: mean codes, what a bank of samples tells, or another fit's codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.compositing import effective_masks
from chunkygan.errors import ProjectionError
from chunkygan.interfaces import Generator, LatentSpace
from chunkygan.sampling import sample_ws
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Segments, Spec

BANK_SIZE = 64  # pixels at which samples are compared
BATCH = 32
RIDGES = (0.01, 0.1, 1.0)  # strengths, as shares of the mean of the Gram matrix's diagonal


def mean_codes(spaces: Sequence[LatentSpace]) -> list[Tensor]:
    """Every chunk's mean code."""
    return [space.mean().detach() for space in spaces]


@dataclass(frozen=True)
class Bank:
    """Samples of a domain, drawn small, in which chunks look for where to begin.

    Attributes:
        ws: (n, num_ws, w_dim), the mean first.
        images: (n, 3, h, w), the generator's partial sums without noise.
    """

    ws: Tensor
    images: Tensor


_BANKS: WeakKeyDictionary[Generator, dict[tuple[object, ...], Bank]] = WeakKeyDictionary()


@torch.no_grad()
def bank_of(generator: Generator, *, samples: int, truncation: float, seed: int) -> Bank:
    """A bank; the last one of a generator is kept, for it serves every picture."""
    key = samples, truncation, seed, generator.w_avg.device, generator.w_avg._version
    if key not in (kept := _BANKS.setdefault(generator, {})):
        mean = generator.w_avg.expand(1, generator.num_ws, -1)
        ws = torch.cat([mean, sample_ws(generator, samples, seed=seed, truncation=truncation)])
        size = min(BANK_SIZE, max(generator.resolution))
        images = torch.cat([_small(generator, batch, size) for batch in ws.split(BATCH)])
        kept.clear()
        kept[key] = Bank(ws, images)
    return kept[key]


@torch.no_grad()
def bank_codes(bank: Bank, target: Tensor, spaces: Sequence[LatentSpace], segments: Segments) -> list[Tensor]:
    """For every chunk, the sample of the bank that comes nearest to the target inside the chunk's mask.

    Nearness is the mean squared difference at the bank's small size, weighted by the mask.
    """
    wanted, masks = _wanted(bank, target, segments)
    best = [int(_misses(bank.images, wanted, mask).argmin()) for mask in masks]
    return [space.from_ws(bank.ws[i : i + 1])[0] for space, i in zip(spaces, best)]


@torch.no_grad()
def regressed_codes(
    bank: Bank, target: Tensor, generator: Generator, spaces: Sequence[LatentSpace], segments: Segments
) -> list[Tensor]:
    """For every chunk, the code in W that ridge regression over the bank predicts from what the chunk's mask shows.

    Of the codes that some strengths of the ridge give, and the bank's nearest sample, the one that draws nearest to
    the target is taken, so it begins no farther than `bank_codes`.
    """
    wanted, masks = _wanted(bank, target, segments)
    codes = []
    for mask, space in zip(masks, spaces):
        nearest = bank.ws[_misses(bank.images, wanted, mask).argmin()]
        tried = torch.stack([nearest, *(w.expand_as(nearest) for w in _ridge(bank, wanted, mask))])
        drawn = _small(generator, tried, max(wanted.shape[-2:]))
        best = int(_misses(drawn, wanted, mask).argmin())
        codes.append(space.from_ws(tried[best : best + 1])[0])
    return codes


def _ridge(bank: Bank, wanted: Tensor, mask: Tensor) -> Tensor:
    """(len(RIDGES), w_dim): what each strength of the ridge predicts, from as many unknowns as there are samples."""
    seen = (bank.images * mask.sqrt()).flatten(1)
    centre, w_centre = seen.mean(0), bank.ws[:, 0].mean(0)
    seen = seen - centre
    gram = seen @ seen.T
    products = seen @ ((wanted * mask.sqrt()).flatten() - centre)
    identity = torch.eye(len(gram)).to(gram) * gram.diagonal().mean().clamp_min(1e-12)
    shares = torch.stack([torch.linalg.solve(gram + strength * identity, products) for strength in RIDGES])
    return w_centre + shares @ (bank.ws[:, 0] - w_centre)


def _small(generator: Generator, ws: Tensor, size: int) -> Tensor:
    return generator.synthesis(generator.styles(ws), noise="none", size=size)


def _misses(images: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """(n,) squared differences of pictures (n, 3, h, w), weighted by a mask, (h, w)."""
    return ((images - wanted).square() * mask).sum((1, 2, 3))


def _wanted(bank: Bank, target: Tensor, segments: Segments) -> tuple[Tensor, Tensor]:
    """The target, (1, 3, h, w), and what each chunk contributes to it, (n_chunks, h, w), at the bank's size."""
    shape = bank.images.shape[-2:]
    masks = effective_masks(segments.masks, segments.static)
    return _resized(target, shape), _resized(masks[None], shape)[0]


@torch.no_grad()
def converted_codes(
    codes: Codes, generator: Generator, spaces: Sequence[LatentSpace], specs: Sequence[Spec]
) -> list[Tensor]:
    """Another fit's codes in these spaces; one code serves every chunk.

    Raises:
        ProjectionError: several codes, but not one a chunk.
    """
    count, values, sources = len(spaces), list(codes.values), list(codes.spaces)
    if len(values) == 1:
        values, sources = values * count, sources * count
    if len(values) != count:
        raise ProjectionError(f"the start has {len(values)} codes, but there are {count} chunks; 1 or {count} will do")
    made = latent_spaces(sources, generator)
    return [
        code.to(generator.w_avg).clone()
        if dict(spec) == dict(source_spec)
        else space.from_styles(source.to_styles(code.to(generator.w_avg)[None]))[0]
        for code, source, source_spec, space, spec in zip(values, made, sources, spaces, specs)
    ]


def _resized(images: Tensor, shape: Sequence[int]) -> Tensor:
    return F.interpolate(images, size=list(shape), mode="area")
