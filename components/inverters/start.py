"""Where a fit begins: mean codes, the best of a bank of samples, or another fit's codes."""

from __future__ import annotations

from collections.abc import Sequence

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


def mean_codes(spaces: Sequence[LatentSpace]) -> list[Tensor]:
    """Every chunk's mean code."""
    return [space.mean().detach() for space in spaces]


@torch.no_grad()
def bank_codes(
    target: Tensor,
    generator: Generator,
    spaces: Sequence[LatentSpace],
    segments: Segments,
    *,
    samples: int,
    truncation: float,
    seed: int,
) -> list[Tensor]:
    """For every chunk, the sample of the domain that comes nearest to the target inside the chunk's mask.

    Nearness is the mean squared difference at a small size (the generator's partial sum), weighted by the mask, so a
    large bank is cheap.
    """
    mean = generator.w_avg.expand(1, generator.num_ws, -1)
    ws = torch.cat([mean, sample_ws(generator, samples, seed=seed, truncation=truncation)])
    size = min(BANK_SIZE, max(generator.resolution))
    scale = size / max(generator.resolution)
    shape = [round(side * scale) for side in generator.resolution]
    masks = _resized(effective_masks(segments.masks, segments.static)[None], shape)[0]  # (n, h, w)
    wanted = _resized(target, shape)
    distances = []
    for batch in ws.split(BATCH):
        images = generator.synthesis(generator.styles(batch), noise="none", size=size)
        distances.append(torch.einsum("bchw,nhw->nb", (images - wanted).square(), masks))
    best = torch.cat(distances, 1).argmin(1)
    return [space.from_ws(ws[i : i + 1])[0] for space, i in zip(spaces, best.tolist())]


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
