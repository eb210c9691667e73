"""Masks that follow an edit: the mask code X_S takes it too, and the masks are drawn anew, ``S = G_S(X_S)``.

Source: ChunkyGAN, section on editing (the head turns, and so do its masks).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from chunkygan import registry
from chunkygan.build import create
from chunkygan.editing.component_edits import AnyEdit, edited_styles
from chunkygan.errors import ChunkyGANError, ProjectionError
from chunkygan.interfaces import Generator, LatentSpace, MaskGenerator
from chunkygan.masks import pruned
from chunkygan.signatures import signature
from chunkygan.types import Styles


def can_move(recipe: Mapping[str, Any], state: Mapping[str, Tensor]) -> bool:
    """Whether masks have a code that edits could move: such as those of `seghead`.

    Args:
        recipe: that made them.
        state: what the mask generator has kept of the fit.
    """
    name = (recipe.get("mask_generator") or {}).get("name")
    if not state or name not in registry.names("mask_generator"):
        return False
    return "fitted" in signature(registry.find("mask_generator", name).load()).parameters


@torch.no_grad()
def moved_masks(
    edits: Sequence[AnyEdit],
    *,
    names: tuple[str, ...],
    state: Mapping[str, Tensor],
    recipe: Mapping[str, Any],
    generator: Generator,
) -> Tensor:
    """(n_chunks, h, w) on the CPU, summing to 1: the masks after edits of the mask code, in their order.

    What the fit did not draw because it was too faint is not drawn here either.

    Args:
        names: the chunks'.
        recipe, state: as for `can_move`.
        generator: whose features the masks are told from.

    Raises:
        ProjectionError: masks without a code, or whose generator cannot be made any more.
    """
    if not can_move(recipe, state):
        raise ProjectionError("these masks have no code that could be moved: masks of the kind seghead have one")
    made = _made(names, state, recipe, generator)

    def change(code: Tensor, space: LatentSpace) -> Styles:
        return edited_styles(edits, code, space)

    masks = made.to(generator.w_avg.device).moved(change)
    if masks is None:
        raise ProjectionError(f"the mask generator '{recipe['mask_generator']['name']}' cannot move its masks")
    return pruned(masks[0], _threshold(recipe.get("inverter") or {})).cpu()


_kept: WeakKeyDictionary[Generator, tuple[str, Mapping[str, Tensor], MaskGenerator]] = WeakKeyDictionary()


def _made(
    names: tuple[str, ...], state: Mapping[str, Tensor], recipe: Mapping[str, Any], generator: Generator
) -> MaskGenerator:
    """The mask generator as the fit left it; the last one is kept, since a sweep asks for it again and again."""
    spec = recipe["mask_generator"]
    key = json.dumps([list(names), spec], sort_keys=True, default=str)
    last = _kept.get(generator)
    if last is not None and last[0] == key and last[1] is state:
        return last[2]
    try:
        made: MaskGenerator = create(
            "mask_generator", spec, generator=generator, size=generator.resolution, image=None, perceptual=None,
            seed=0, fitted=(names, state),
        )  # fmt: skip
    except ChunkyGANError as error:
        raise ProjectionError(f"the masks cannot be moved: {error}") from error
    _kept[generator] = (key, state, made)
    return made


def _threshold(inverter: Mapping[str, Any]) -> float:
    """What the fit pruned masks at; of inverters that begin with another one, that of the one before."""
    own = inverter.get("mask_threshold")
    before = inverter.get("before")
    return _threshold(before) if own is None and isinstance(before, Mapping) else float(own or 0.0)
