"""The few comparisons that all contract checks are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from chunkygan.errors import ComponentError, ShapeError


def require(holds: bool, component: object, rule: str) -> None:
    """Raises ComponentError with the component's class and the rule, unless it holds."""
    if not holds:
        raise ComponentError(f"{type(component).__name__}: {rule}")


def shaped(value: Tensor, shape: Sequence[int], component: object, what: str) -> None:
    """Requires a finite tensor of a shape."""
    require(isinstance(value, Tensor), component, f"{what} must be a tensor; got {type(value).__name__}")
    require(tuple(value.shape) == tuple(shape), component, f"{what} must be {tuple(shape)}; got {tuple(value.shape)}")
    require(bool(value.isfinite().all()), component, f"{what} must be finite; it is not")


def agree(found: Tensor, expected: Tensor, component: object, rule: str, tolerance: float = 1e-5) -> None:
    """Requires two tensors of one shape that differ by no more than the tolerance."""
    same = found.shape == expected.shape
    require(same, component, f"{rule}; got shapes {tuple(found.shape)} and {tuple(expected.shape)}")
    gap = float((found.detach().double() - expected.detach().double()).abs().max()) if found.numel() else 0.0
    require(gap <= tolerance, component, f"{rule}; largest difference {gap:.3g}, allowed {tolerance:.3g}")


def finite_gradient(loss: Tensor, of: Tensor, component: object, rule: str, *, zero: bool = False) -> None:
    """Requires a gradient that is finite and, unless `zero` allows it, somewhere not 0."""
    require(loss.requires_grad, component, f"{rule}; there is no graph")
    (gradient,) = torch.autograd.grad(loss, of, allow_unused=True)
    if gradient is None:
        require(False, component, f"{rule}; there is no path to them")
        return
    require(bool(gradient.isfinite().all()), component, f"{rule}; they are not finite")
    require(zero or bool((gradient != 0).any()), component, f"{rule}; they are 0 everywhere")


def keeps(check: Callable[[], None], component: object) -> None:
    """Turns what a check of tensors raises into a broken contract of the component."""
    try:
        check()
    except ShapeError as error:
        require(False, component, str(error))


def refuses(call: Callable[[], object], component: object, what: str) -> None:
    """The component must raise ShapeError for something."""
    try:
        call()
    except ShapeError:
        return
    require(False, component, f"must raise ShapeError for {what}")
