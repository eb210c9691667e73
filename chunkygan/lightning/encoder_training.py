"""The training of an encoder as a LightningModule: pSp, e4e with its stages, ReStyle with its passes.

Sources: Richardson et al., Encoding in Style (2021); Tov et al., Designing an Encoder (2021); Alaluf et al., ReStyle
(2021). Codes that are known, because the generator drew the pictures, are learnt beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from chunkygan.interfaces import Generator, Identity, Perceptual
from chunkygan.lightning.encoder_losses import (
    LatentDiscriminator,
    Weights,
    adversarial_loss,
    begins_at_mean,
    code_error,
    code_norm,
    delta_norm,
    discriminator_loss,
    gradient_penalty,
    is_last,
    stage_at,
    total,
)
from chunkygan.lightning.encoder_pairs import Pairs
from chunkygan.lightning.generator_schedule import items_at, rate_at
from chunkygan.lightning.resumable import roughened
from chunkygan.objective import l2
from chunkygan.sampling import sample_ws


@dataclass(frozen=True)
class Options:
    """How to train; arguments of `encoder_run.train` of the same names."""

    steps: int
    batch: int
    items: int
    compared: int
    latents: bool
    synthetic: int
    learning_rate: float
    discriminator_rate: float
    gamma: float
    r1_interval: int
    stages_begin: float
    stages_end: float
    weights: Weights


class EncoderTraining(pl.LightningModule):
    """An encoder that learns to find codes.

    All random numbers come from seed and step, so that a resumed training ends where an unbroken one does.

    Args:
        encoder: of the pSp family, untrained; trained in place.
        cache: whose `batch(indices)` gives pictures, ``image``, and where `Options.latents` their ``z``; None: only
            drawn ones.
        pairs: drawn pictures and their codes.
        perceptual, identity: what compares pictures beside the squared difference; None: nothing.

    Attributes:
        step: optimisation steps done.
        last: the latest value of every term.
    """

    spread: Tensor

    def __init__(
        self,
        encoder: Any,
        generator: Generator,
        cache: Any,
        pairs: Pairs,
        perceptual: Perceptual | None,
        identity: Identity | None,
        options: Options,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.encoder, self.options, self.seed = encoder, options, seed
        self.cache, self.pairs = cache, pairs
        self._held: dict[str, Any] = {"generator": generator, "perceptual": perceptual, "identity": identity}
        self.step = 0
        self.last: dict[str, Tensor] = {}
        encoder.network.requires_grad_(True).to(memory_format=torch.channels_last)  # quicker
        begins_at_mean([*encoder.network.named_parameters()])
        self.progressive = bool(encoder.network.config.progressive)
        self.discriminator = LatentDiscriminator(generator.w_dim)
        deviation = sample_ws(generator, 1024, seed=seed)[:, 0].std(0)
        self.register_buffer("spread", deviation.square().mean().sqrt().clamp_min(1e-6))

    @property
    def stage(self) -> int:
        """How many rows after the first the encoder predicts at this step."""
        rows, steps = self.encoder.network.config.rows, self.options.steps
        if not self.progressive:
            return int(rows - 1)
        return stage_at(
            self.step, rows, begin=self.options.stages_begin * steps, end=self.options.stages_end * steps
        )

    def pictures(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """What this step sees: pictures as they are, those among them to be compared, and codes of the last of them.

        Drawn pictures are a little blurred or noisy, so that the encoder learns the face and not the pixels.
        """
        options, step, known = self.options, self.step, []
        seen, compared = [], None
        if self.cache is not None and options.batch:
            real = self.cache.batch(items_at(step, options.batch, options.items, self.seed + 1))
            seen.append(self.encoder.seen(real["image"].to(self.device)))
            compared = seen[0][: options.compared]
            if options.latents:
                known.append(self._held["generator"].mapping(real["z"].to(self.device)))
        if options.synthetic:
            drawn, codes = self.pairs.batch(step, options.synthetic)
            compared = drawn[: options.compared] if compared is None else compared
            seen.append(roughened(drawn, self.seed + 2, step))
            known.append(codes)
        assert compared is not None
        return torch.cat(seen), compared, torch.cat(known) if known else None

    def terms(self, codes: Tensor, image: Tensor, compared: Tensor, features: Any, known: Tensor | None) -> Any:
        """The terms that have a weight, by name.

        Args:
            codes: (n, rows, d), those of the compared pictures first.
            image: what these draw.
            features: of the compared pictures.
            known: (m, rows, d), for the last m of `codes`.
        """
        weights, stage = self.options.weights, self.stage
        perceptual, identity = self._held["perceptual"], self._held["identity"]
        found = {"l2": l2(image, compared).mean()}
        if perceptual is not None and weights.perceptual:
            found["perceptual"] = perceptual.distance(perceptual.features(image), features).mean()
        if identity is not None and weights.identity:
            found["identity"] = identity(image, compared).mean()
        if known is not None and weights.code:
            found["code"] = code_error(codes[len(codes) - len(known) :], known, self.spread)
        if weights.code_norm:
            found["code_norm"] = code_norm(codes, self.encoder.mean_codes(len(codes)))
        if self.progressive and weights.delta and stage:
            found["delta"] = delta_norm(codes, stage)
        if self.progressive and weights.adversarial:
            found["adversarial"] = adversarial_loss(self.discriminator, codes, stage)
        return found

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        optimizers: Any = self.optimizers()
        optimizer, of_discriminator = optimizers
        self.encoder.network.stage = self.stage
        optimizer.zero_grad()
        codes = self._learn(*self.pictures())
        optimizer.step()
        scheduler: Any = self.lr_schedulers()
        scheduler.step()
        if self.progressive and self.options.weights.adversarial:
            self._discriminate(of_discriminator, codes)
        self.step += 1

    def _learn(self, seen: Tensor, compared: Tensor, known: Tensor | None) -> Tensor:
        """Gradients of all passes, each from where the one before has come to; the last codes."""
        encoder, perceptual, n = self.encoder, self._held["perceptual"], len(compared)
        with torch.no_grad():
            features = perceptual.features(compared) if perceptual is not None else None
        codes, drawn = encoder.mean_codes(len(seen)), None
        for number in range(encoder.iterations):
            codes = encoder.corrected(seen, codes.detach(), drawn)
            image = encoder.drawn(codes[:n])
            terms = self.terms(codes, image, compared, features, known)
            self.manual_backward(total(terms, self.options.weights))
            self.last = {name: value.detach() for name, value in terms.items()}
            if number + 1 < encoder.iterations:
                with torch.no_grad():
                    drawn = torch.cat([image.detach(), encoder.drawn(codes[n:])]) if n < len(seen) else image.detach()
        return codes.detach()

    def _discriminate(self, optimizer: Any, codes: Tensor) -> None:
        """One step of the discriminator, of this step's rows beside as many codes of W."""
        options = self.options
        found = codes[:, : self.stage + 1].flatten(0, 1)
        real = sample_ws(self._held["generator"], len(found), seed=self.seed * 1_000_003 + self.step)[:, 0]
        optimizer.zero_grad()
        loss = discriminator_loss(self.discriminator, real, found)
        self.manual_backward(loss)
        optimizer.step()
        self.last["discriminator"] = loss.detach()
        if options.gamma and self.step % options.r1_interval == 0:
            optimizer.zero_grad()
            self.manual_backward(options.gamma / 2 * options.r1_interval * gradient_penalty(self.discriminator, real))
            optimizer.step()

    def configure_optimizers(self) -> Any:
        """AdamW, whose steps move the codes as far by every kind of layer, and Adam for the discriminator."""
        rate, steps = self.options.learning_rate, self.options.steps
        top, spread = self.encoder.network.config.widths[-1], float(self.spread)
        groups: list[dict[str, Any]] = [{"params": []}]
        for name, value in self.encoder.network.named_parameters():
            if is_last(name):  # gives codes, in W's units, and divides its weights by the root of their number
                groups.append({"params": [value], "lr": rate * spread * value.shape[1] ** 0.5})
            elif value.ndim == 2:  # sees whole feature maps
                groups.append({"params": [value], "lr": rate * top / value.shape[1]})
            else:
                groups[0]["params"].append(value)
        optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(step, steps, warm_up=min(100, steps // 10), decay=0.7)
        )
        other = torch.optim.Adam(self.discriminator.parameters(), lr=self.options.discriminator_rate)
        return [optimizer, other], [scheduler]

    def on_fit_start(self) -> None:
        for part in self._held.values():
            if part is not None:
                part.to(self.device)

    def on_train_start(self) -> None:
        self.encoder.network.train()  # an encoder holds its network in evaluation mode

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["encoder_training"] = {"step": self.step}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.step = checkpoint["encoder_training"]["step"]
