"""Trains a StyleFlow for a generator: the density of its codes, given what a classifier sees in their pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.checkpoint_files.flow_states import KIND, FlowConfig, write_flow
from chunkygan.direction_search.response import Responder
from chunkygan.errors import RecipeError
from chunkygan.files import atomic_write
from chunkygan.interfaces import Classifier, Generator
from chunkygan.lightning.flow_scores import densities, effects, table
from chunkygan.lightning.generator_schedule import items_at
from chunkygan.lightning.resumable import falling_rate, fit, told, write_scores
from chunkygan.loading import frozen
from chunkygan.sampling import sample_ws
from chunkygan.tensor_files import read_safetensors, write_safetensors
from chunkygan.weights import find, sha256
from chunkygan.wording import did_you_mean, known


class FlowTraining(pl.LightningModule):
    """Negative log likelihood of codes given attributes, in nats a number of the code.

    Args:
        flow: the network of a `styleflow` edit.
        codes: (n, w_dim).
        attributes: (n, k), in their own units.
        solver_steps: of the Runge-Kutta method through which is learnt.
        noise: of codes, in their standard deviations; drawn anew in every step.
    """

    def __init__(
        self, flow: Any, codes: Tensor, attributes: Tensor, *, steps: int, batch: int, learning_rate: float,
        solver_steps: int, noise: float, seed: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.flow, self.steps, self.batch, self.learning_rate = flow, steps, batch, learning_rate
        self.solver_steps, self.noise, self.seed = solver_steps, noise, seed
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("attributes", attributes, persistent=False)
        self.register_buffer("spread", codes.std(0), persistent=False)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        step, codes, attributes = self.global_step, self.get_buffer("codes"), self.get_buffer("attributes")
        places = items_at(step, self.batch, len(codes), self.seed + 1).to(codes.device)
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)  # the same for a resumed training
        grain = torch.randn(len(places), codes.shape[1], generator=random).to(codes)
        probes = torch.randint(0, 2, (1, *grain.shape), generator=random).mul(2).sub(1).to(codes)
        noisy = codes[places] + self.noise * self.get_buffer("spread") * grain
        density = self.flow.log_density(noisy, attributes[places], probes, steps=self.solver_steps)
        loss = -density.mean() / codes.shape[1]
        told(step, {"nats": loss})
        return loss

    def configure_optimizers(self) -> Any:
        return falling_rate(self.flow, self.learning_rate, self.steps)


def train(
    out_dir: Path,
    seed: int,
    *,
    generator: Mapping[str, Any],
    classifier: Mapping[str, Any],
    attributes: list[str] | None = None,
    samples: int = 10000,
    held_out: int = 500,
    hidden: list[int] | None = None,
    steps: int = 3000,
    batch: int = 128,
    learning_rate: float = 1e-3,
    solver_steps: int = 6,
    noise: float = 0.1,
    tried: int = 32,
    save_every: int = 250,
    trainer: dict[str, Any] | None = None,
) -> Path:
    """Trains a flow; goes on where an earlier call with this `out_dir` was stopped.

    Args:
        out_dir: gets ``pairs.safetensors`` (codes and what the classifier sees in them), ``state.ckpt``,
            ``styleflow.safetensors``, ``scores.txt`` and ``table.md``.
        attributes: names of the classifier's that the flow is conditioned on; null: all.
        samples: codes that are drawn and looked at.
        held_out: further ones, on which the flow is scored.
        hidden: widths of its layers; null: two as wide as W.
        solver_steps: of the fourth-order Runge-Kutta method through which is learnt.
        noise: of codes, in their standard deviations. W may fill fewer dimensions than it has, where a density without
            noise has no bounds; more of it also makes the flow gentler with codes that were fitted.
        tried: codes on which the effect of every attribute's edit is measured; 0: none.
        trainer: options of Lightning's Trainer.

    Returns:
        Path of the flow.

    Raises:
        RecipeError: an attribute that the classifier does not know, or one that does not vary.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    device = "cuda" if (trainer or {}).get("accelerator") in ("gpu", "cuda") else "cpu"
    drawer: Generator = frozen(create("generator", generator)).to(device)
    judge: Classifier = create("classifier", classifier).to(device)
    places = _places(attributes, judge.names)
    digest = sha256(find(generator["weights"])) if generator.get("weights") else None
    source = {"generator": dict(generator), "sha256": digest, "classifier": dict(classifier), "seed": seed}
    codes, everything = _pairs(out_dir / "pairs.safetensors", drawer, judge, samples + held_out, source)
    spread = everything[:samples].std(0)
    seen = everything[:, places]
    config = FlowConfig(
        drawer.w_dim, tuple(hidden or (drawer.w_dim, drawer.w_dim)), tuple(judge.names[i] for i in places),
        tuple(spread[places].tolist()), classifier=dict(classifier), generator_sha256=digest,
    )  # fmt: skip
    _check_spread(config)
    torch.manual_seed(seed)
    flow = _begun(config, codes[:samples], seen[:samples], noise)
    module = FlowTraining(
        flow, codes[:samples], seen[:samples], steps=steps, batch=batch, learning_rate=learning_rate,
        solver_steps=solver_steps, noise=noise, seed=seed,
    )  # fmt: skip
    fit(module, out_dir / "state.ckpt", steps=steps, every=save_every, options=trainer)
    flow = flow.cpu()
    path = write_flow(out_dir / "styleflow.safetensors", flow.state_dict(), config)
    scores = densities(flow, codes, seen, samples, noise=noise, seed=seed, steps=2 * solver_steps)
    if tried:
        reader = Responder(drawer, judge, spread.clamp(min=1e-6))
        slopes = effects(reader, flow.double(), codes[samples:][:tried], config.units, places)
        text = table(config.names, slopes)
        atomic_write(out_dir / "table.md", lambda file: file.write(text.encode()))
        scores |= {f"effect_{name}": float(slopes[i, i]) for i, name in enumerate(config.names)}
    write_scores(out_dir / "scores.txt", scores)
    return path


def _pairs(
    path: Path, generator: Generator, judge: Classifier, n: int, source: Mapping[str, Any]
) -> tuple[Tensor, Tensor]:
    """(n, w_dim) codes of W and (n, k) what the classifier sees in their pictures, on the CPU; kept in a file."""
    key = json.dumps({**source, "n": n}, sort_keys=True)
    if path.is_file():
        metadata, kept = read_safetensors(path)
        if metadata.get("source") == key:
            return kept["codes"], kept["attributes"]
    ws = sample_ws(generator, n, seed=source["seed"])
    print(f"looking at {n} pictures", flush=True)
    seen = Responder(generator, judge, torch.ones(len(judge.names))).responses(ws).cpu()
    codes = ws[:, 0].contiguous().cpu()
    write_safetensors(path, {"codes": codes, "attributes": seen}, {"source": key})
    return codes, seen


def _begun(config: FlowConfig, codes: Tensor, attributes: Tensor, noise: float) -> Any:
    """A flow that standardises and does nothing else, in single precision, from which the training starts."""
    flow = create("edit", {"name": KIND, "changes": {}, "config": asdict(config)}).flow.float().requires_grad_(True)
    begin, equation, _ = flow.chain
    begin.running_mean.copy_(codes.mean(0))
    begin.running_var.copy_(codes.var(0) * (1 + noise * noise))
    flow.context_mean.copy_(attributes.mean(0))
    flow.context_spread.copy_(attributes.std(0))
    equation.sqrt_end_time.requires_grad_(False)  # stays 1: the size of the field says the same
    for parameter in equation.odefunc.diffeq.layers[-1].parameters():
        torch.nn.init.zeros_(parameter)
    return flow


def _places(asked: Sequence[str] | None, names: Sequence[str]) -> list[int]:
    for name in asked or ():
        if name not in names:
            raise RecipeError(
                f"training.attributes: the classifier knows no '{name}'; {known(names)}{did_you_mean(name, names)}"
            )
    return [names.index(name) for name in asked or names]


def _check_spread(config: FlowConfig) -> None:
    for name, unit in zip(config.names, config.units):
        if not unit > 1e-6:
            raise RecipeError(
                f"training.attributes: '{name}' is the same in all pictures (spread {unit:g}); leave it out"
            )
