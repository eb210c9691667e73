"""Codes moved along the curves on which a conditional flow changes some attributes and leaves the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.checkpoint_files.flow_states import FlowConfig, read_flow
from chunkygan.components.edits.styleflow_network import ConditionalFlow, odeint
from chunkygan.errors import ComponentError, ProjectionError, ShapeError, WeightsError
from chunkygan.interfaces import Classifier, Edit, Generator, LatentSpace
from chunkygan.weights import find
from chunkygan.weights import sha256 as digest_of
from chunkygan.wording import did_you_mean, known

PLAUSIBLE = 6.0
"""Standard deviations of an attribute beyond which an edit is warned of, as for directions."""


class StyleFlow(Edit):
    """Changes of attributes by a conditional flow: to the normal code with those present, back with those wanted.

    Strength 1 changes an attribute by one standard deviation over the domain, as its classifier tells it. Every row of
    W+ is moved alone, with the attributes of the whole picture. A code of W is moved for all rows.

    Args:
        changes: attribute -> standard deviations for each unit of strength.
        weights: file or manifest name of a flow, of the public layout or trained by `train_styleflow`.
        sha256: of that file, where it must be that one and no other.
        present: attribute -> its value now, in its own units; what is not given, the classifier tells from the picture
            that the code draws.
        classifier: component spec of that classifier; null: the one that the flow was trained with.
        rows: [first, last + 1] of the rows of W+ that are moved; null: those the flow's file means for the attributes.
        config: fields of a `FlowConfig`, for an untrained flow instead, as a training starts from.
        generator: what draws the codes; None: present attributes must be given.

    Raises:
        WeightsError: a flow that is missing, damaged, or not the one with that sha256.
        ComponentError: an attribute that it does not know, or a flow of another width of W; neither weights nor config,
            or both; torchdiffeq is missing.
        ProjectionError: rows that the generator has not.

    Source: Abdal et al., StyleFlow: Attribute-conditioned Exploration of StyleGAN-Generated Images (2021).
    """

    def __init__(
        self,
        changes: Mapping[str, float],
        weights: str | Path | None = None,
        sha256: str | None = None,
        present: Mapping[str, float] | None = None,
        classifier: Mapping[str, Any] | None = None,
        rows: tuple[int, int] | None = None,
        config: Mapping[str, Any] | None = None,
        generator: Generator | None = None,
    ) -> None:
        odeint()  # says now what is missing
        if (weights is None) == (config is None):
            raise ComponentError("edit 'styleflow': name one of weights and config")
        if weights is None:
            self.config = FlowConfig(**(config or {}))
            self.flow = ConditionalFlow(self.config.w_dim, len(self.config.names), self.config.hidden).double()
        else:
            path = find(weights)
            _check_digest(path, sha256)
            state, self.config = read_flow(path)
            self.flow = flow_of(self.config, state, path)
        self.changes, self.present = _numbers(changes, "changes"), _numbers(present or {}, "present")
        for name in (*self.changes, *self.present):
            _check_name(name, self.config)
        if generator is not None:
            _check_generator(self.config, generator, rows)
        self.rows = rows if rows is None else (rows[0], rows[1])
        self._classifier_spec = classifier or self.config.classifier
        self._classifier: Classifier | None = None

    def warning(self, strength: float) -> str | None:
        far = abs(strength) * max((abs(change) for change in self.changes.values()), default=0.0)
        if far <= PLAUSIBLE:
            return None
        return (
            f"strength {strength:g} asks for {far:.1f} standard deviations of the domain, beyond {PLAUSIBLE:g}; expect "
            "a picture that is none of its kind"
        )

    @torch.no_grad()
    def apply(self, codes: Tensor, space: LatentSpace, strength: float) -> Tensor:
        """Edited codes, ``(n, *code_shape)``; those given, bit for bit, where strength or all changes are 0.

        Raises:
            ShapeError: codes of neither W nor W+, or that are not finite.
            ProjectionError: present attributes that nobody tells, or an equation that cannot be solved.
        """
        first, end = self._rows(space)
        if not strength or not any(self.changes.values()):
            return codes
        if not bool(codes.isfinite().all()):
            raise ShapeError("codes must hold finite numbers")
        is_w = space.code_shape == (space.generator.w_dim,)
        ws = codes[:, None] if is_w else codes
        present = self.attributes(codes, space)
        wanted = present + strength * self._step()
        moving = ws[:, first:end].to("cpu", torch.float64)
        # One code after the other: what they share in the solver's steps would otherwise tie them to their batch.
        moved = [
            self.flow.inverse(self.flow(w[None], a[None]), b[None]) for w, a, b in zip(moving, present, wanted)
        ]  # fmt: skip
        ws = ws.clone()
        ws[:, first:end] = torch.cat(moved).to(ws)
        return ws[:, 0] if is_w else ws

    @torch.no_grad()
    def attributes(self, codes: Tensor, space: LatentSpace) -> Tensor:
        """(n, k) present attributes of codes, in their own units, in double precision on the CPU.

        Raises:
            ProjectionError: some are not given, and there is no classifier that tells them.
        """
        names = self.config.names
        found = torch.zeros(len(codes), len(names), dtype=torch.float64)
        missing = [name for name in names if name not in self.present]
        if missing:
            seen = self._seen(codes, space, missing)
            found[:, [names.index(name) for name in missing]] = seen.to("cpu", torch.float64)
        for name, value in self.present.items():
            found[:, names.index(name)] = value
        return found

    def _seen(self, codes: Tensor, space: LatentSpace, missing: list[str]) -> Tensor:
        """(n, len(missing)), told by the classifier."""
        if self._classifier_spec is None:
            raise ProjectionError(
                f"the flow must be told what attributes the picture has now, and names no classifier: give "
                f"{', '.join(missing)} as present={{attribute: value}}; on the command line with --present FILE"
            )
        made = self._classifier or create("classifier", self._classifier_spec)
        judge: Classifier = made.to(space.generator.w_avg.device)
        self._classifier = judge
        lacking = [name for name in missing if name not in judge.names]
        if lacking:
            raise ProjectionError(
                f"the classifier does not tell {', '.join(lacking)}; give them as present={{attribute: value}}; "
                "on the command line with --present FILE"
            )
        styles = space.to_styles(codes.to(space.generator.w_avg))
        told = judge(space.generator.synthesis(styles, noise="const").clamp(-1, 1))
        return told[:, [judge.names.index(name) for name in missing]]

    def _step(self) -> Tensor:
        """(k,): by how much strength 1 changes each attribute, in its own units."""
        names, units = self.config.names, torch.tensor(self.config.units, dtype=torch.float64)
        return units * torch.tensor([self.changes.get(name, 0.0) for name in names], dtype=torch.float64)

    def _rows(self, space: LatentSpace) -> tuple[int, int]:
        """The rows of the codes that move.

        Raises:
            ShapeError: codes of neither W nor W+, or of another width.
        """
        generator, width = space.generator, self.config.w_dim
        if space.code_shape not in ((width,), (generator.num_ws, width)):
            raise ShapeError(
                f"the flow moves codes of W or W+ of width {width}; this space's codes have the shape "
                f"{space.code_shape}: one of S, or of another generator?"
            )
        if space.code_shape == (width,):
            if self.rows not in (None, (0, generator.num_ws)):
                raise ProjectionError("a code of W has no rows of its own: leave rows out, or fit in w_plus")
            return 0, 1
        meant = [self.config.rows.get(name, (0, generator.num_ws)) for name in self.changes]
        first, end = self.rows or (min(a for a, _ in meant), max(b for _, b in meant)) if meant else (0, 0)
        return min(first, generator.num_ws), min(end, generator.num_ws)


def flow_of(config: FlowConfig, state: Mapping[str, Tensor], path: Path) -> ConditionalFlow:
    """The frozen flow of a file, in double precision.

    Raises:
        WeightsError: tensors that are missing, or of other shapes.
    """
    flow = ConditionalFlow(config.w_dim, len(config.names), config.hidden)
    own = {"context_mean": flow.context_mean, "context_spread": flow.context_spread}
    try:
        flow.load_state_dict({**own, **state})
    except RuntimeError as error:
        raise WeightsError(f"{path}: the flow's tensors do not fit each other: {error}") from error
    return flow.double().requires_grad_(False).eval()


def _check_digest(path: Path, wanted: str | None) -> None:
    if wanted is not None and digest_of(path) != wanted:
        raise WeightsError(f"{path} is another flow than the edit was made with (sha256 {wanted[:12]}...)")


def _check_name(name: str, config: FlowConfig) -> None:
    if name not in config.names:
        raise ComponentError(
            f"the flow knows no attribute '{name}'; {known(config.names)}{did_you_mean(name, config.names)}"
        )


def _check_generator(config: FlowConfig, generator: Generator, rows: tuple[int, int] | None) -> None:
    if config.w_dim != generator.w_dim:
        raise ComponentError(
            f"the flow is for a W of width {config.w_dim}; the generator's has {generator.w_dim}: of another domain?"
        )
    if rows is not None and not (len(rows) == 2 and 0 <= rows[0] < rows[1] <= generator.num_ws):
        raise ProjectionError(f"rows must lie in 0 to {generator.num_ws}, the first below the second; got {list(rows)}")


def _numbers(values: Mapping[str, float], key: str) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ComponentError(f"{key}: must map attributes to numbers; got {values!r}")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ComponentError(f"{key}.{name}: must be a finite number; got {value!r}")
    return {str(name): float(value) for name, value in values.items()}
