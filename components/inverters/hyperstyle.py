"""HyperStyle: a hypernetwork predicts, in a few passes, how a generator's weights change to draw one picture."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.build import create
from chunkygan.checkpoint_files.hypernetwork_states import read_hypernetwork
from chunkygan.components.encoders.pretrained import resized
from chunkygan.components.inverters.hyperstyle_network import Hypernetwork
from chunkygan.components.inverters.tuned_fit import beside, drawn, in_spaces, smallest_changes
from chunkygan.errors import ComponentError, WeightsError
from chunkygan.interfaces import Generator, Inverter, MaskGenerator, Perceptual
from chunkygan.lightning.tuning import Pivot
from chunkygan.network_file import fill_network
from chunkygan.objective import l2
from chunkygan.shapes import check_shape
from chunkygan.signatures import Part
from chunkygan.types import Fit, Listener, Spec, Step
from chunkygan.weight_changes import tuned
from chunkygan.weights import find


class HyperStyle(Inverter):
    """Changes the weights around codes that stay, and keeps the compact difference as pivotal tuning does.

    Several chunks share the changed generator: the hypernetwork sees their composite beside the picture.

    Args:
        weights: file or manifest name of a HyperStyle checkpoint.
        before: the inverter that finds the codes, ``{name: encoder_init, encoder: {name: psp, weights: ...}}`` with
            HyperStyle's encoder into W; null: ``optimization`` where there is no start to begin from.
        iterations: passes.
        rank: of the stored difference of each weight at most; null: the smallest that keeps `keep`.
        keep: share of what the changes gain, in perceptual and squared distance, that the stored ones must keep.

    Raises:
        WeightsError: weights that are missing, damaged, of another network, or for another generator.

    Source: Alaluf et al., HyperStyle: StyleGAN Inversion with HyperNetworks (2022); `rank` and `keep` are this
    project's, and so is the composite of chunks.
    """

    def __init__(
        self,
        weights: str | Path,
        before: Annotated[dict[str, Any], Part("inverter")] | None = None,
        iterations: int = 5,
        rank: int | None = None,
        keep: float = 0.95,
        generator: Generator | None = None,
        seed: int = 0,
        trainer: dict[str, Any] | None = None,
    ) -> None:
        own = dict(before or {"name": "optimization"})
        self.before: Inverter = create("inverter", own, generator=generator, seed=seed, trainer=trainer or {})
        self.runs_before = before is not None
        self.weights, self.iterations, self.rank, self.keep = weights, iterations, rank, keep
        self._made: tuple[Generator, Hypernetwork, int] | None = None
        if generator is not None:  # a missing file is said before anything runs
            self._hypernetwork(generator)

    def project(
        self,
        target: Tensor,
        *,
        generator: Generator,
        spaces: Sequence[Spec],
        mask_generator: MaskGenerator,
        perceptual: Perceptual,
        start: Fit | None = None,
        seed: int = 0,
        listeners: Sequence[Listener] = (),
        state: Path | None = None,
    ) -> Fit:
        check_shape(target, "1 3 h w", name="target", h=generator.resolution[0], w=generator.resolution[1])
        fit = start
        if fit is None or self.runs_before:
            fit = self.before.project(
                target, generator=generator, spaces=spaces, mask_generator=mask_generator, perceptual=perceptual,
                start=start, seed=seed, listeners=listeners, state=beside(state),
            )  # fmt: skip
        fit = in_spaces(fit, generator, spaces, mask_generator)
        pivot = Pivot(target, fit.codes, fit.segments, fit.noise)
        losses = _Losses(perceptual, target)
        changed, history = self._refined(pivot, tuned(generator, fit.weight_changes), losses, listeners)
        changes = smallest_changes(
            generator, changed, lambda drawer: losses(drawn(pivot, drawer))["total"], rank=self.rank, keep=self.keep
        )
        return replace(fit, weight_changes=changes, history=(*fit.history, *history), steps=fit.steps + len(history))

    @torch.no_grad()
    def _refined(
        self, pivot: Pivot, begin: Generator, losses: _Losses, listeners: Sequence[Listener]
    ) -> tuple[Generator, list[dict[str, float]]]:
        """A copy of the generator with the changes of all passes, and the losses after each."""
        network, side = self._hypernetwork(begin)
        names, state = modulated_weights(begin), begin.public_state_dict()
        changed, history = copy.deepcopy(begin), list[dict[str, float]]()
        seen, image = resized(pivot.target.to(begin.w_avg), side), drawn(pivot, begin)
        factors: dict[int, Tensor] = {}
        stopped: list[bool] = []
        for number in range(self.iterations):
            found = network(torch.cat([seen, _pooled(image, seen)], 1))
            factors = {j: factors.get(j, 1.0) + change[0] for j, change in found.items()}
            moved = {names[j]: state[names[j]] * factor for j, factor in factors.items()}
            changed.load_state_dict({**state, **moved})
            image = drawn(pivot, changed)
            history.append(losses(image))
            tell = Step(
                number + 1, self.iterations, history[-1], partial(image.clamp(-1, 1).cpu().clone),
                partial(stopped.append, True), lambda: pivot.segments,
            )  # fmt: skip
            for listener in listeners:
                listener(tell)
            if stopped:
                break
        return changed, history

    def _hypernetwork(self, generator: Generator) -> tuple[Hypernetwork, int]:
        """The network on the generator's device, and the side of the pictures it sees."""
        if self._made is None or self._made[0] is not generator:
            path = find(self.weights)
            state, config = read_hypernetwork(path)
            known = generator.public_state_dict()
            try:
                network = Hypernetwork(config, [tuple(known[name].shape) for name in modulated_weights(generator)])
            except WeightsError as error:
                raise WeightsError(f"{path}: {error}") from error
            counters = {n: v for n, v in network.state_dict().items() if n.endswith("num_batches_tracked")}
            fill_network(network, {**counters, **state}, path)  # files from before torch counted batches lack them
            self._made = generator, network.requires_grad_(False).eval(), config.input_size
        return self._made[1].to(generator.w_avg.device), self._made[2]


class _Losses:
    """Perceptual and squared distance of a picture from the target, and their sum."""

    def __init__(self, perceptual: Perceptual, target: Tensor) -> None:
        self.perceptual, self.target = perceptual, target

    @torch.no_grad()
    def __call__(self, image: Tensor) -> dict[str, float]:
        target = self.target.to(image)
        found = {"perceptual": float(self.perceptual(image, target)), "l2": float(l2(image, target))}
        return {**found, "total": sum(found.values())}


def modulated_weights(generator: Generator) -> list[str]:
    """Names of a StyleGAN2's modulated convolutions in forward order, toRGB included: the order of `styles`.

    Raises:
        ComponentError: a generator of another kind.
    """
    state = generator.public_state_dict()
    sizes = sorted({int(name.split(".")[1][1:]) for name in state if name.startswith("synthesis.b")})
    names = [f"synthesis.b{size}.{layer}.weight" for size in sizes for layer in ("conv0", "conv1", "torgb")]
    found = [name for name in names if name in state]
    if len(found) != len(generator.style_dims):
        raise ComponentError("inverter 'hyperstyle' changes the convolutions of a StyleGAN2; this generator is none")
    return found


def _pooled(image: Tensor, like: Tensor) -> Tensor:
    """A picture averaged, or enlarged, to the size of another."""
    if image.shape[-1] < like.shape[-1]:
        return resized(image, max(like.shape[-2:]))
    return F.adaptive_avg_pool2d(image, (like.shape[-2], like.shape[-1]))
