"""Eq. 2: properties of its terms, cases worked by hand, numerical gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkygan.errors import RecipeError, ShapeError
from chunkygan.objective import dispersion, l2, objective


def random_codes(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


codes = st.builds(random_codes, st.integers(1, 6), st.integers(1, 9), st.integers(0, 1000))


@settings(max_examples=30, deadline=None)
@given(codes)
def test_dispersion_of_equal_codes_is_zero(x: torch.Tensor) -> None:
    assert float(dispersion(x[:1].expand(len(x), -1))) == pytest.approx(0, abs=1e-25)


@settings(max_examples=30, deadline=None)
@given(codes, st.floats(-10, 10))
def test_dispersion_does_not_change_when_all_codes_move_together(x: torch.Tensor, by: float) -> None:
    torch.testing.assert_close(dispersion(x + by), dispersion(x))


@settings(max_examples=30, deadline=None)
@given(codes, st.floats(-10, 10))
def test_dispersion_is_quadratic_in_scale(x: torch.Tensor, scale: float) -> None:
    torch.testing.assert_close(dispersion(scale * x), scale**2 * dispersion(x))


@settings(max_examples=30, deadline=None)
@given(codes)
def test_dispersion_is_the_mean_over_pairs_of_squared_distances(x: torch.Tensor) -> None:
    pairs = sum((a - b).square().sum() for i, a in enumerate(x) for b in x[:i])
    torch.testing.assert_close(dispersion(x), torch.as_tensor(pairs, dtype=x.dtype) / len(x))


def test_dispersion_by_hand() -> None:
    assert float(dispersion(torch.tensor([[0.0, 0.0], [2.0, 4.0]]))) == 10.0


def test_dispersion_of_one_chunk_is_exactly_zero() -> None:
    assert float(dispersion(random_codes(1, 9, 0))) == 0.0


def test_dispersion_gradients() -> None:
    assert torch.autograd.gradcheck(dispersion, random_codes(3, 4, 0).requires_grad_())


def test_dispersion_refuses_codes_that_are_not_flat() -> None:
    with pytest.raises(ShapeError, match="codes must have shape"):
        dispersion(torch.zeros(2, 3, 4))


def test_l2_is_the_mean_squared_difference_of_each_image() -> None:
    a = torch.zeros(2, 3, 4, 4)
    b = torch.stack([torch.full((3, 4, 4), 1.0), torch.full((3, 4, 4), -0.5)])
    assert l2(a, b).tolist() == [1.0, 0.25]


def test_l2_of_black_and_white_is_four() -> None:
    assert float(l2(-torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 2))) == 4.0


def test_l2_gradients() -> None:
    a, b = (random_codes(2, 12, s).reshape(2, 3, 2, 2).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(l2, (a, b))


def test_l2_refuses_different_shapes() -> None:
    with pytest.raises(ShapeError, match="b must have shape"):
        l2(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5))


def test_objective_is_the_weighted_sum() -> None:
    terms = {"perceptual": torch.tensor(0.5), "dispersion": torch.tensor(4.0)}
    assert float(objective(terms, {"perceptual": 1.0, "dispersion": 0.25, "unused": 9.0})) == 1.5


def test_a_term_of_weight_zero_gets_no_gradient_and_does_no_harm() -> None:
    x, y = torch.tensor(2.0, requires_grad=True), torch.tensor(math.nan, requires_grad=True)
    total = objective({"x": x * x, "y": y * 1}, {"x": 1.0, "y": 0.0})
    total.backward()
    assert float(total.detach()) == 4.0 and y.grad is None


def test_objective_gradients() -> None:
    x, y = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, -0.7))
    assert torch.autograd.gradcheck(lambda a, b: objective({"a": a * a, "b": b**3}, {"a": 2.0, "b": 0.5}), (x, y))


def test_a_term_without_a_weight_is_named() -> None:
    with pytest.raises(RecipeError, match=r"none is given for identity \(weights: l2\)"):
        objective({"l2": torch.tensor(1.0), "identity": torch.tensor(1.0)}, {"l2": 1.0})


def test_a_term_that_is_no_scalar_is_named() -> None:
    with pytest.raises(ShapeError, match="objective term 'l2'"):
        objective({"l2": torch.zeros(2)}, {"l2": 1.0})


def test_no_terms_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least one term"):
        objective({}, {})
