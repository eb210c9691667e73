"""What the encoders of the pSp family share: their files, their picture size, and the mean code they add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from chunkygan.checkpoint_files.encoder_states import EncoderConfig, read_encoder
from chunkygan.components.encoders.network import EncoderNetwork
from chunkygan.errors import ComponentError, WeightsError
from chunkygan.interfaces import Encoder, Generator
from chunkygan.shapes import check_shape
from chunkygan.weights import find


class PretrainedEncoder(Encoder):
    """An encoder from a file, in evaluation mode and frozen; or an untrained one, as a training starts from.

    Args:
        generator: whose codes it predicts; its mean code serves where the file has none.
        weights: file or manifest name; this project's safetensors or a checkpoint of the pSp family.
        config: shape of an untrained network instead, fields of `EncoderConfig`; what it leaves out fits the generator.
        inputs: channels the network must take.
        progressive: whether rows after the first are differences from it, where the file does not tell.

    Attributes:
        iterations: passes over a picture.

    Raises:
        ComponentError: neither weights nor config, or both, or a config that is none.
        WeightsError: weights that are missing, damaged, of another network, or for another generator.
    """

    iterations = 1
    latent_avg: Tensor

    def __init__(
        self,
        generator: Generator,
        weights: str | Path | None,
        config: Mapping[str, Any] | None,
        *,
        inputs: int,
        progressive: bool,
    ) -> None:
        super().__init__()
        if (weights is None) == (config is None):
            raise ComponentError("an encoder needs one of weights and config")
        average = None
        if weights is None:
            fitting = {"rows": generator.num_ws, "style_dim": generator.w_dim, "inputs": inputs}
            self.network = _untrained({**fitting, "progressive": progressive, **dict(config or {})})
            _check("config", self.network.config, generator, inputs)
        else:
            path = find(weights)
            state, shape, average = read_encoder(path, rows=generator.num_ws)
            if shape.progressive is None:
                shape = replace(shape, progressive=progressive)
            _check(path, shape, generator, inputs)
            self.network = EncoderNetwork(shape)
            _load(self.network, state, path)
        # A row for each of W+, or one for all.
        self.register_buffer("latent_avg", generator.w_avg.detach().clone()[None] if average is None else average)
        self._generator = (generator,)  # no part of this module: it moves and is saved on its own
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> PretrainedEncoder:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        return self.path(images)[-1]

    def path(self, images: Tensor) -> list[Tensor]:
        """The codes after every pass, each (n, num_ws, w_dim)."""
        seen, codes, drawn = self.seen(images), self.mean_codes(len(images)), None
        found: list[Tensor] = []
        for _ in range(self.iterations):
            drawn = self.drawn(codes) if found else None
            codes = self.corrected(seen, codes, drawn)
            found.append(codes)
        return found

    def mean_codes(self, n: int) -> Tensor:
        """(n, num_ws, w_dim): where the first pass begins."""
        return self.latent_avg.expand(n, self.network.config.rows, -1)

    def corrected(self, seen: Tensor, codes: Tensor, drawn: Tensor | None) -> Tensor:
        """(n, num_ws, w_dim) codes after one more pass.

        Args:
            seen: what `seen` gives of the pictures.
            codes: those before; only encoders of several passes look at them.
            drawn: what they draw; None: they are the mean codes.
        """
        return self.network(seen) + self.latent_avg

    def seen(self, images: Tensor) -> Tensor:
        """The pictures at the size that the network sees; the longer side counts."""
        check_shape(images, "n 3 h w", name="images")
        return resized(images, self.network.config.input_size)

    def drawn(self, codes: Tensor) -> Tensor:
        """What codes draw, averaged to the size that the network sees."""
        generator = self._generator[0]
        images = generator.synthesis(generator.styles(codes), noise="const")
        side = self.network.config.input_size
        if max(images.shape[-2:]) <= side:
            return self.seen(images)
        scale = side / max(images.shape[-2:])
        return F.adaptive_avg_pool2d(images, (round(images.shape[-2] * scale), round(images.shape[-1] * scale)))


def resized(images: Tensor, side: int) -> Tensor:
    """Pictures (n, 3, h, w) whose longer side is so many pixels; averaged where they shrink."""
    height, width = images.shape[-2:]
    longer = max(height, width)
    if longer == side:
        return images
    size = (max(1, round(height * side / longer)), max(1, round(width * side / longer)))
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=longer > side)


def _untrained(config: Mapping[str, Any]) -> EncoderNetwork:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    try:
        shape = EncoderConfig(**values)
    except TypeError as error:
        fields = ", ".join(EncoderConfig.__dataclass_fields__)
        raise ComponentError(f"an encoder's config takes {fields}; {error}") from error
    if len(shape.units) != 4 or len(shape.widths) != 4:
        raise ComponentError(f"an encoder's body has four stages; got units {shape.units} and widths {shape.widths}")
    return EncoderNetwork(shape)


def _check(path: Path | str, config: EncoderConfig, generator: Generator, inputs: int) -> None:
    if config.inputs != inputs:
        other = "ReStyle's network, which sees the current reconstruction too; use the encoder 'restyle'"
        here = other if config.inputs == 6 else "a network for one picture alone; use the encoder 'psp' or 'e4e'"
        raise WeightsError(f"{path}: {config.inputs} input channels where {inputs} are expected: this is {here}")
    if (config.rows, config.style_dim) != (generator.num_ws, generator.w_dim):
        raise WeightsError(
            f"{path}: predicts {config.rows} rows of {config.style_dim}; the generator takes {generator.num_ws} rows "
            f"of {generator.w_dim}: they do not belong together"
        )


def _load(network: EncoderNetwork, state: dict[str, Tensor], path: Path) -> None:
    expected = network.state_dict()
    wanted = {name for name in expected if not name.endswith("num_batches_tracked")}
    missing = sorted(wanted - set(state))
    odd = [name for name in wanted & set(state) if state[name].shape != expected[name].shape]
    foreign = sorted(set(state) - set(expected))
    for what, names in (("lacks", missing), ("has another shape of", odd), ("has unknown", foreign)):
        if names:
            raise WeightsError(f"{path}: the encoder {what} {', '.join(names[:3])}")
    if not all(bool(value.isfinite().all()) for value in state.values()):
        raise WeightsError(f"{path}: holds numbers that are not finite; the file is damaged")
    network.load_state_dict(state, strict=False)  # files from before torch counted batches lack the counters
