"""The plain network of StyleFlow: an invertible map between codes of W and standard normal ones, given attributes.

Names of its tensors are those of the public files.

Source: Abdal et al., StyleFlow (2021), section 4; the layers are those of Grathwohl et al., FFJORD (2019).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.errors import ComponentError, ProjectionError

TOLERANCE = 1e-6
"""Absolute and relative, of one step of the solver. The public code solves to 1e-5 in single precision, by which its
round trips miss by 1e-4; codes in double precision come back to 2e-5."""

MOST_STEPS = 2000
"""Of the solver, after which an equation counts as one that cannot be solved; 20 to 60 are usual."""

EPSILON = 1e-4
"""Added to variances; that of the public code."""


class ConditionalFlow(nn.Module):
    """Codes to normal ones and back: a normalisation, an ordinary differential equation, a normalisation.

    Args:
        w_dim: width of a code.
        attributes: how many numbers it is conditioned on.
        hidden: widths of the layers between.

    Attributes:
        context_mean, context_spread: (attributes,), by which attributes are standardised; 0 and 1 for public files.
    """

    context_mean: Tensor
    context_spread: Tensor

    def __init__(self, w_dim: int, attributes: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.chain = nn.ModuleList([_Norm(w_dim), _Equation(w_dim, attributes, hidden), _Norm(w_dim)])
        self.register_buffer("context_mean", torch.zeros(attributes))
        self.register_buffer("context_spread", torch.ones(attributes))

    def forward(self, codes: Tensor, attributes: Tensor) -> Tensor:
        """Normal codes of codes, (n, rows, w_dim), whose rows share the attributes (n, k); deterministic.

        Raises:
            ProjectionError: the equation has no solution that can be found.
        """
        before, equation, after = self._parts()
        return after(equation.solved(before(codes), self._standard(attributes)))

    def inverse(self, normal: Tensor, attributes: Tensor) -> Tensor:
        """Codes, (n, rows, w_dim), that have these normal codes where they have these attributes."""
        before, equation, after = self._parts()
        return before.inverse(equation.solved(after.inverse(normal), self._standard(attributes), back=True))

    def log_density(self, codes: Tensor, attributes: Tensor, probes: Tensor, *, steps: int) -> Tensor:
        """(n,) log densities of codes (n, w_dim), in nats; differentiable.

        Args:
            attributes: (n, k).
            probes: (p, n, w_dim), whose mean of outer products stands for the identity in traces: random ones of
                variance 1, or all axes times the root of w_dim for the exact trace.
            steps: of the fourth-order Runge-Kutta method.
        """
        before, equation, after = self._parts()
        moved, change = equation.with_change(before(codes), self._standard(attributes), probes, steps)
        normal = after(moved)
        gaussian = -0.5 * normal.square().sum(1) - 0.5 * codes.shape[1] * math.log(2 * math.pi)
        return gaussian + change + before.log_scale() + after.log_scale()

    def _parts(self) -> tuple[_Norm, _Equation, _Norm]:
        return cast("tuple[_Norm, _Equation, _Norm]", tuple(self.chain))

    def _standard(self, attributes: Tensor) -> Tensor:
        return (attributes - self.context_mean) / self.context_spread


class _Norm(nn.Module):
    """A batch normalisation by fixed statistics, then a scale and a shift of its own."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.register_buffer("step", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.running_mean) * self._scale() + self.bias

    def inverse(self, y: Tensor) -> Tensor:
        return (y - self.bias) / self._scale() + self.running_mean

    def log_scale(self) -> Tensor:
        """Logarithm of the map's determinant."""
        return self._scale().log().sum()

    def _scale(self) -> Tensor:
        return self.weight.exp() / (self.running_var + EPSILON).sqrt()


class _Equation(nn.Module):
    """dx/dt = field(t, x, attributes) from 0 to the square of `sqrt_end_time`."""

    def __init__(self, width: int, attributes: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.sqrt_end_time = nn.Parameter(torch.tensor(1.0))
        self.odefunc = _Evaluated(_Field(width, attributes, hidden))

    def solved(self, x: Tensor, context: Tensor, *, back: bool = False) -> Tensor:
        """The solution (n, rows, width) at the end, of x at the beginning; with `back`, the other way round."""
        end = self.sqrt_end_time.detach().square()
        times = torch.stack([end, torch.zeros_like(end)] if back else [torch.zeros_like(end), end])
        options = {"max_num_steps": MOST_STEPS}
        try:
            found = odeint()(
                lambda t, y: self.odefunc.diffeq(t, y, context[:, None]), x, times, rtol=TOLERANCE, atol=TOLERANCE,
                method="dopri5", options=options,
            )[-1]  # fmt: skip
        except AssertionError as error:
            raise ProjectionError(_no_solution()) from error
        if not bool(found.isfinite().all()):
            raise ProjectionError(_no_solution())
        return found

    def with_change(self, x: Tensor, context: Tensor, probes: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """The solution (n, width) at the end, and the logarithm of the map's determinant there, (n,)."""

        def rate(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            speed, along = self.odefunc.diffeq.with_tangents(t, state[0], context, probes)
            return speed, (along * probes).sum(2).mean(0)

        times = torch.linspace(0, 1, steps + 1).to(x) * self.sqrt_end_time.square()
        moved, change = odeint()(rate, (x, x.new_zeros(len(x))), times, method="rk4")
        return moved[-1], change[-1]


class _Evaluated(nn.Module):
    """Holds the field under the name that files have, beside their count of evaluations."""

    def __init__(self, diffeq: _Field) -> None:
        super().__init__()
        self.diffeq = diffeq
        self.register_buffer("_num_evals", torch.tensor(0.0))


class _Field(nn.Module):
    """Layers with tanh between them, each scaled and shifted by functions of time and attributes."""

    def __init__(self, width: int, attributes: int, hidden: Sequence[int]) -> None:
        super().__init__()
        widths = [width, *hidden, width]
        self.layers = nn.ModuleList(_SquashedLinear(a, b, attributes + 1) for a, b in itertools.pairwise(widths))

    def forward(self, t: Tensor, x: Tensor, context: Tensor) -> Tensor:
        context = self._with_time(t, context)
        for i, layer in enumerate(self._layers()):
            x = layer(x if i == 0 else x.tanh(), context)
        return x

    def with_tangents(self, t: Tensor, x: Tensor, context: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """The field at x (n, width), and its derivatives along tangents (p, n, width)."""
        context = self._with_time(t, context)
        for i, layer in enumerate(self._layers()):
            if i > 0:
                x = x.tanh()
                tangents = tangents * (1 - x.square())
            gate = layer.gate(context)
            x, tangents = layer(x, context), F.linear(tangents, layer.slopes()) * gate
        return x, tangents

    def _layers(self) -> list[_SquashedLinear]:
        return cast("list[_SquashedLinear]", list(self.layers))

    def _with_time(self, t: Tensor, context: Tensor) -> Tensor:
        return torch.cat([t.to(context).expand_as(context[..., :1]), context], -1)


class _SquashedLinear(nn.Module):
    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self._layer = nn.Linear(inputs, outputs)
        self._hyper_bias = nn.Linear(context, outputs, bias=False)
        self._hyper_gate = nn.Linear(context, outputs)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self._layer(x) * self.gate(context) + self._hyper_bias(context)

    def gate(self, context: Tensor) -> Tensor:
        """By what each output is scaled."""
        return self._hyper_gate(context).sigmoid()

    def slopes(self) -> Tensor:
        """(outputs, inputs), before they are scaled."""
        return self._layer.weight


def odeint() -> Callable[..., Any]:
    """torchdiffeq's solver.

    Raises:
        ComponentError: it is not installed.
    """
    try:
        from torchdiffeq import odeint as solver
    except ImportError as error:
        raise ComponentError("a StyleFlow needs torchdiffeq: pip install 'chunkygan[flow]'") from error
    return solver


def _no_solution() -> str:
    return (
        "the flow's equation cannot be solved from this code with these attributes: a smaller strength, or a code that "
        "lies nearer to the domain, may help"
    )
