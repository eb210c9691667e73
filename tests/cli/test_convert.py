"""chunkygan convert, and chunkygan show of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from chunkygan import load_generator
from chunkygan.cli.main import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def state_dict(tests_data: Path, tmp_path: Path) -> Path:
    """A bare state dict of a small generator."""
    numbers = np.load(tests_data / "nv_r32_m2.npz", allow_pickle=False)
    state = {n.removeprefix("param/"): torch.from_numpy(numbers[n]) for n in numbers.files if n.startswith("param/")}
    torch.save(state, tmp_path / "x.pt")
    return tmp_path / "x.pt"


def picture(path: Path, **overrides) -> torch.Tensor:
    generator = load_generator(path, **overrides)
    z = torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(0))
    return generator.synthesis(generator.styles(generator.mapping(z)))


def test_a_converted_generator_draws_the_same_bits(state_dict: Path, capsys: Capture) -> None:
    target = state_dict.with_name("g.safetensors")
    assert main(["convert", str(state_dict), str(target), "conv_clamp=256"]) == 0
    assert "wrote the generator of x.pt (StyleGAN2 state dict under NVIDIA's names)" in capsys.readouterr().out
    assert torch.equal(picture(target), picture(state_dict, conv_clamp=256))
    assert load_generator(target).config["conv_clamp"] == 256


def test_half_precision_is_smaller(state_dict: Path) -> None:
    whole, half = state_dict.with_name("g.safetensors"), state_dict.with_name("h.safetensors")
    assert (
        main(["convert", str(state_dict), str(whole)]) == main(["convert", str(state_dict), str(half), "--half"]) == 0
    )
    assert half.stat().st_size < 0.7 * whole.stat().st_size


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.pt", "y.pt"], "must end in .safetensors"),
        (["x.pt", "there.safetensors"], "--force replaces it"),
        (["x.pt", "y.safetensors", "--part", "encoder"], "holds no encoder"),
        (["x.pt", "y.safetensors", "conv_clmp=3"], "conv_clmp"),
        (["no.pt", "y.safetensors"], "no weight file 'no.pt'"),
        (["other.pt", "y.safetensors"], "a state dict of a network that is not known here"),
    ],
)
def test_mistakes_are_explained(words, message, state_dict: Path, capsys: Capture, monkeypatch) -> None:
    monkeypatch.chdir(state_dict.parent)
    Path("there.safetensors").touch()
    torch.save({"fc": torch.ones(1)}, "other.pt")
    assert main(["convert", *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("y.safetensors").exists()


def test_show_tells_what_is_in_a_file(state_dict: Path, capsys: Capture) -> None:
    assert main(["show", str(state_dict)]) == 0
    out = capsys.readouterr().out
    for line in ("resolution:  32 x 32", "rows:        8", "widths:      32 32 32 16", "sha256:      "):
        assert line in out


def test_show_of_a_kind_alone_asks_for_a_name(capsys: Capture) -> None:
    assert main(["show", "latent_space"]) == 2
    assert "name one of them" in capsys.readouterr().err
