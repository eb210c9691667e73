"""What the benchmark measures: sizes, chunks and masks, and the two ways of taking a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.build import create
from chunkygan.compositing import blend, keep_static
from chunkygan.errors import RecipeError
from chunkygan.interfaces import Generator, MaskGenerator, Perceptual
from chunkygan.lightning.batch_fit import BatchFit
from chunkygan.lightning.chunk_fit import ChunkFit, Problem, Settings
from chunkygan.loading import frozen
from chunkygan.spaces import latent_spaces

CHANNELS = {"channel_base": 32768, "channel_max": 512}  # config F
SMALL_CHANNELS = {"channel_base": 2048, "channel_max": 128}  # of the order of the generator that ships

FACE: dict[int, list[list[str]]] = {
    1: [[]],
    4: [[], ["skin", "nose", "l_ear", "r_ear"], ["hair"], ["neck", "cloth"]],
    8: [[], ["skin", "nose"], ["hair"], ["l_eye", "l_brow"], ["r_eye", "r_brow"], ["mouth", "u_lip", "l_lip"],
        ["neck"], ["cloth"]],
    12: [[], ["skin"], ["hair"], ["l_eye"], ["r_eye"], ["l_brow"], ["r_brow"], ["nose"], ["mouth", "u_lip", "l_lip"],
         ["l_ear", "r_ear"], ["neck"], ["cloth"]],
}  # fmt: skip
"""Chunks -> classes of each; the empty one takes what is left."""


@dataclass(frozen=True)
class Case:
    """One line of the benchmark.

    Args:
        resolution: pixels a side.
        chunks: how many.
        masks: ``"face"`` (the true classes of a drawn face), ``"small"`` (squares of 5 % of the area, the rest is the
            photo), ``"soft"`` (every chunk everywhere).
        space: registry name.
        device: ``"cpu"``, ``"cuda"``.
        memory: ``"joint"`` or ``"frugal"``.
        precision: ``"32-true"`` or ``"bf16-mixed"``, of our steps; the plain ones are always in single precision.
    """

    resolution: int
    chunks: int
    masks: str = "face"
    space: str = "w_plus"
    device: str = "cpu"
    memory: str = "joint"
    precision: str = "32-true"

    @property
    def whole(self) -> Case:
        """The same with one code for the whole picture."""
        return replace(self, chunks=1, masks="face")

    def __str__(self) -> str:
        more = [word for word, usual in ((self.memory, "joint"), (self.precision, "32-true")) if word != usual]
        return " ".join([f"{self.resolution} px, {self.chunks} {self.masks}, {self.space}, {self.device}", *more])


def standard(device: str) -> list[Case]:
    """What `make bench` measures: minutes on two cores."""
    small = [
        Case(size, chunks, masks, device=device)
        for size in (128, 256)
        for chunks, masks in ((1, "face"), (4, "face"), (8, "face"), (12, "face"), (1, "small"), (4, "soft"))
    ]
    spaces = [Case(128, 8, space=space, device=device) for space in ("w", "s")]
    half = [Case(256, 8, device=device, precision="bf16-mixed")]
    large = [Case(1024, 8, device=device), Case(1024, 1, "small", device=device)]
    return [*small, *spaces, *half, *large]


@dataclass(frozen=True)
class Bench:
    """The networks of a case, random weights."""

    generator: Generator
    perceptual: Perceptual
    target: Tensor


def bench_of(case: Case, perceptual: dict[str, object]) -> Bench:
    """A generator of the case's size, and the picture that it draws for a random code as target."""
    torch.manual_seed(0)
    channels = CHANNELS if case.resolution > 256 else SMALL_CHANNELS
    width = 512 if case.resolution > 256 else 128
    spec = {"name": "stylegan2", "resolution": case.resolution, "z_dim": width, "w_dim": width, **channels}
    generator = frozen(create("generator", spec)).to(case.device)
    with torch.no_grad():
        target = generator.synthesis(generator.styles(generator.mapping(torch.randn(1, width, device=case.device))))
    return Bench(generator, create("perceptual", perceptual).to(case.device), target.clamp(-1, 1))


def masks_of(case: Case) -> MaskGenerator:
    """Painted masks of the case's kind and number.

    Raises:
        RecipeError: a number of face chunks that there is no list for, or an unknown kind.
    """
    size = (case.resolution, case.resolution)
    if case.masks == "small":
        return create("mask_generator", {"name": "painted", "array": _squares(case), "rest": "static"}, size=size)
    if case.masks == "soft":
        fields = torch.randn(1, case.chunks, 4, 4, generator=torch.Generator().manual_seed(1))
        soft = F.interpolate(fields, size=size, mode="bicubic").softmax(1)[0]
        return create("mask_generator", {"name": "painted", "array": soft.numpy()}, size=size)
    if case.masks != "face" or case.chunks not in FACE:
        raise RecipeError(f"masks: face (with {', '.join(map(str, FACE))} chunks), small or soft; got {case}")
    return create("mask_generator", {"name": "painted", "array": _face(case).numpy()}, size=size)


def our_step(case: Case, bench: Bench) -> Callable[[], float]:
    """A step of this project's fit, its update included, without Lightning around it."""
    fit = BatchFit([chunk_fit(case, bench)]).to(case.device)
    fit.on_fit_start()
    optimizer = fit.configure_optimizers()["optimizer"]

    def step() -> float:
        optimizer.zero_grad()
        with lowered(case):
            loss = fit.training_step(torch.zeros(()), 0)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def lowered(case: Case) -> torch.autocast:
    """The precision of a case's steps, as the trainer sets it."""
    return torch.autocast(case.device, torch.bfloat16, enabled=case.precision == "bf16-mixed")


def chunk_fit(case: Case, bench: Bench, steps: int = 1000) -> ChunkFit:
    """The fit of a case, ready for steps."""
    masks = masks_of(case).to(case.device)
    spaces = latent_spaces([{"name": case.space}] * len(masks.names), bench.generator)
    settings = Settings(
        steps=steps, lr=0.01, mask_lr=0.01, rampup=0.05, rampdown=0.25, latent_noise=0.05, latent_noise_until=0.75,
        perceptual=1.0, l2=0.5, dispersion=0.0, noise_regularisation=0.0, fit_noise=False,
        frugal=case.memory == "frugal",
    )  # fmt: skip
    problem = Problem(bench.target, bench.generator, spaces, bench.perceptual)
    return ChunkFit(problem, masks, [space.mean() for space in spaces], settings).to(case.device)


def plain_step(case: Case, bench: Bench, chunks: int | None = None) -> Callable[[], float]:
    """The yardstick: a direct reading of Eq. 1 and 2. A full picture for every chunk, one graph, no windows.

    Args:
        chunks: draw the first so many only; the time of the others follows from two numbers of chunks.
    """
    masks = masks_of(case).to(case.device)
    soft, static = masks()[0], masks.static()
    space = latent_spaces([{"name": case.space}], bench.generator)[0]
    codes = [space.mean().detach().clone().requires_grad_() for _ in masks.names[:chunks]]
    soft = soft[:chunks]
    optimizer = torch.optim.Adam(codes, lr=0.01)
    with torch.no_grad():
        wanted = bench.perceptual.features(bench.target)

    def step() -> float:
        optimizer.zero_grad()
        images = torch.cat([bench.generator.synthesis(space.to_styles(code[None])) for code in codes])
        image = keep_static(blend(images, soft), bench.target, static)
        loss = bench.perceptual.distance(bench.perceptual.features(image), wanted).sum()
        loss = loss + 0.5 * (image - bench.target).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def _squares(case: Case) -> object:
    """(n, h, w): squares of 5 % of the area, side by side."""
    side = round(case.resolution * 0.05**0.5)
    masks = torch.zeros(case.chunks, case.resolution, case.resolution)
    per_row = max(1, (case.resolution - side // 2) // side)
    for i in range(case.chunks):
        top, left = side // 2 + side * (i // per_row), side // 2 + side * (i % per_row)
        masks[i, top : top + side, left : left + side] = 1
    return masks.clamp(max=1).numpy()


def _face(case: Case) -> Tensor:
    """(h, w) labels of a drawn face."""
    classes, labels = _drawn_face()
    place = {name: i for i, group in enumerate(FACE[case.chunks]) for name in group}
    grouped = torch.tensor([place.get(name, 0) for name in classes])[labels].float()
    return F.interpolate(grouped[None, None], size=(case.resolution,) * 2, mode="nearest")[0, 0].long()


@cache
def _drawn_face() -> tuple[tuple[str, ...], Tensor]:
    """Class names of drawn faces, and (256, 256) labels of one."""
    dataset = create("dataset", {"name": "procfaces", "resolution": 256, "count": 1}, seed=3)
    return tuple(dataset.classes), dataset[0]["labels"].long()
