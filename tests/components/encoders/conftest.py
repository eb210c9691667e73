"""Small encoders with random weights, in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def encoder_file(tmp_path: Path) -> Any:
    """Writes a checkpoint in pSp's layout with a random network of some shape, and gives its path and network."""
    import torch

    from chunkygan.checkpoint_files.encoder_states import EncoderConfig
    from chunkygan.components.encoders.network import EncoderNetwork

    def write(name: str = "encoder.pt", encoder_type: str | None = "GradualStyleEncoder", **shape: Any) -> Any:
        small: dict[str, Any] = dict(rows=8, style_dim=16, widths=(4, 6, 8, 16), input_size=64, reduction=2)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = EncoderNetwork(EncoderConfig(**(small | shape))).eval()
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(std=0.1)
            average = torch.randn(1 if shape.get("head") == "w" else 8, 16)
        state = {f"encoder.{key}": value for key, value in network.state_dict().items()}
        options = {} if encoder_type is None else {"encoder_type": encoder_type, "start_from_latent_avg": True}
        torch.save({"state_dict": state, "opts": options, "latent_avg": average}, tmp_path / name)
        return tmp_path / name, network.requires_grad_(False), average

    return write
