"""What the encoders of the pSp family share: their files, their picture size, and the mean code they add."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from chunkygan.checkpoint_files.encoder_states import EncoderConfig, read_encoder
from chunkygan.components.encoders.network import EncoderNetwork
from chunkygan.errors import WeightsError
from chunkygan.interfaces import Encoder, Generator
from chunkygan.shapes import check_shape
from chunkygan.weights import find


class PretrainedEncoder(Encoder):
    """An encoder from a file, in evaluation mode and frozen.

    Args:
        generator: whose codes it predicts; its mean code serves where the file has none.
        weights: file or manifest name; this project's safetensors or a checkpoint of the pSp family.
        inputs: channels the network must take.
        progressive: whether rows after the first are differences from it, where the file does not tell.

    Raises:
        WeightsError: weights that are missing, damaged, of another network, or for another generator.
    """

    def __init__(self, generator: Generator, weights: str | Path, *, inputs: int, progressive: bool) -> None:
        super().__init__()
        path = find(weights)
        state, config, average = read_encoder(path, rows=generator.num_ws)
        if config.progressive is None:
            config = replace(config, progressive=progressive)
        _check(path, config, generator, inputs)
        self.network = EncoderNetwork(config)
        _load(self.network, state, path)
        # A row for each of W+, or one for all.
        self.register_buffer("latent_avg", generator.w_avg.detach().clone()[None] if average is None else average)
        self.requires_grad_(False).eval()

    latent_avg: Tensor

    def train(self, mode: bool = True) -> PretrainedEncoder:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def seen(self, images: Tensor) -> Tensor:
        """The pictures at the size that the network sees; the longer side counts."""
        check_shape(images, "n 3 h w", name="images")
        return resized(images, self.network.config.input_size)


def resized(images: Tensor, side: int) -> Tensor:
    """Pictures (n, 3, h, w) whose longer side is so many pixels; averaged where they shrink."""
    height, width = images.shape[-2:]
    longer = max(height, width)
    if longer == side:
        return images
    size = (max(1, round(height * side / longer)), max(1, round(width * side / longer)))
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=longer > side)


def _check(path: Path, config: EncoderConfig, generator: Generator, inputs: int) -> None:
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
