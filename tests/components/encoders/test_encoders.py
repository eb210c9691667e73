"""Encoders of the pSp family: their own code's numbers, their files, their loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chunkygan.checkpoint_files.encoder_states import EncoderConfig, encoder_config, read_encoder, write_encoder
from chunkygan.cli.main import main
from chunkygan.components.encoders.e4e import E4e
from chunkygan.components.encoders.network import EncoderNetwork
from chunkygan.components.encoders.psp import Psp
from chunkygan.components.encoders.restyle import ReStyle
from chunkygan.errors import WeightsError
from chunkygan.testing import check_encoder


def picture(n: int = 1, side: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", ["psp_tiny", "restyle_tiny"])
def test_codes_are_those_of_the_peers_network(name, fixtures) -> None:
    numbers = np.load(fixtures / f"{name}.npz", allow_pickle=False)
    state = {n.removeprefix("param/"): torch.from_numpy(numbers[n]) for n in numbers.files if n.startswith("param/")}
    network = EncoderNetwork(encoder_config(state)).eval()
    network.load_state_dict(state)
    seen = [torch.from_numpy(numbers[f"in/{key}"]) for key in ("x", "y_hat") if f"in/{key}" in numbers.files]
    with torch.no_grad():
        codes = network(torch.cat(seen, 1))
    assert float((codes - torch.from_numpy(numbers["out/codes"])).abs().max()) < 2e-5


def formula(shape: tuple[int, ...], k: int) -> torch.Tensor:
    """Numbers in [0, 1) that anybody can make again, in double precision."""
    i = np.arange(int(np.prod(shape)), dtype=np.float64)
    return torch.from_numpy(np.mod(np.sin(12.9898 * i + 78.233 * k) * 43758.5453, 1.0).reshape(shape))


def filled(network: EncoderNetwork) -> EncoderNetwork:
    """Weights by formula: k counts the names in their order."""
    state = network.state_dict()
    for k, name in enumerate(sorted(name for name in state if not name.endswith("num_batches_tracked"))):
        value, found = state[name], formula(tuple(state[name].shape), k)
        if name.endswith("linear.weight"):
            found = (found - 0.5) * 12**0.5
        elif value.ndim > 1:
            found = (found - 0.5) * (24 / value[0].numel()) ** 0.5
        elif name.endswith(("running_var", "weight")):
            found = 0.5 + 0.5 * found
        else:
            found = 0.2 * (found - 0.5)
        state[name] = found.float()
    network.load_state_dict(state)
    return network.eval()


RESNET: dict = {"body": "resnet", "units": (3, 4, 6, 3), "inputs": 6}


@pytest.mark.parametrize(
    ("name", "shape", "stage"),
    [
        ("e4e", {"head": "pyramid", "progressive": True}, 8),
        ("e4e_stage3", {"head": "pyramid", "progressive": True}, 3),
        ("resnet", {"head": "flat", **RESNET}, 8),
        ("resnet_e4e", {"head": "flat", "progressive": True, **RESNET}, 8),
        ("resnet_pyramid", {"head": "pyramid", **RESNET}, 8),
    ],
)
def test_weights_by_formula_give_the_peers_codes(name, shape, stage, tests_data) -> None:
    """tests/data/encoders_formula.npz holds codes alone: what the classes of omertov/encoder4editing (commit 99ea505;
    Encoder4Editing) and yuval-alaluf/restyle-encoder (commit 5e80276; ResNetBackboneEncoder,
    ResNetProgressiveBackboneEncoder, ResNetGradualStyleEncoder) give for 8 rows, widths 4, 6, 8, 16 put in place of
    64 to 512, squeeze-and-excite by 2, weights and picture by this formula.
    """
    config = EncoderConfig(rows=8, style_dim=16, widths=(4, 6, 8, 16), reduction=2, **shape)
    network = filled(EncoderNetwork(config))
    network.stage = stage
    seen = formula((1, 6, 256, 256), 1000).float() * 2 - 1
    with np.load(tests_data / "encoders_formula.npz", allow_pickle=False) as file, torch.no_grad():
        expected, codes = torch.from_numpy(file[name]), network(seen[:, : config.inputs])
    assert float((codes - expected).abs().max()) < 2e-5 * float(expected.abs().max())


def test_the_peers_numbers_come_through_a_checkpoint_of_its_layout(fixtures, tmp_path) -> None:
    from chunkygan.components.generators.stylegan2 import StyleGAN2

    numbers = np.load(fixtures / "psp_tiny.npz", allow_pickle=False)
    state = {f"encoder.{n[6:]}": torch.from_numpy(numbers[n]) for n in numbers.files if n.startswith("param/")}
    average = torch.randn(10, 32, generator=torch.Generator().manual_seed(1))
    torch.save({"state_dict": state, "opts": {"output_size": 64}, "latent_avg": average}, tmp_path / "psp.pt")
    generator = StyleGAN2(64, z_dim=32, w_dim=32, mapping_layers=1, channels=[4] * 5)
    codes = Psp(generator, tmp_path / "psp.pt")(torch.from_numpy(numbers["in/x"]))
    assert float((codes - average - torch.from_numpy(numbers["out/codes"])).abs().max()) < 2e-5


SHAPES = [
    {"head": "pyramid"},
    {"head": "flat"},
    {"head": "w"},
    {"head": "w_plus"},
    {"body": "ir"},
    {"body": "ir", "units": (3, 8, 36, 3), "head": "w"},
    {"body": "resnet", "units": (3, 4, 6, 3), "head": "flat"},
    {"body": "resnet", "units": (3, 4, 6, 3), "head": "pyramid"},
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(str(value) for value in shape.values()))
def test_every_shape_is_told_by_its_file(shape, encoder_file, tiny) -> None:
    path, network, average = encoder_file(encoder_type=None, **shape)
    _, found, mean = read_encoder(path, rows=8)
    size = {"input_size": 256} if shape.get("head", "")[:1] == "w" else {}
    reduction = {"reduction": found.reduction}
    assert found == EncoderConfig(**{**vars(network.config), **size, **reduction})
    assert torch.equal(mean, average)
    encoder = Psp(tiny, path)
    expected = network(encoder.seen(picture())) + average
    assert torch.allclose(encoder(picture()), expected, atol=1e-6)
    check_encoder(encoder, tiny)


def test_e4e_adds_differences_to_its_first_row(encoder_file, tiny) -> None:
    path, network, average = encoder_file(encoder_type="Encoder4Editing")
    rows = network(E4e(tiny, path).seen(picture()))  # pSp's way with the same weights
    expected = torch.cat([rows[:, :1], rows[:, :1] + rows[:, 1:]], 1) + average
    assert torch.allclose(E4e(tiny, path)(picture()), expected, atol=1e-5)
    check_encoder(E4e(tiny, path), tiny)


def test_the_file_says_which_way_its_rows_go(encoder_file, tiny) -> None:
    path, *_ = encoder_file(encoder_type="Encoder4Editing")
    assert torch.equal(Psp(tiny, path)(picture()), E4e(tiny, path)(picture()))


def test_later_stages_add_differences_to_more_rows(encoder_file) -> None:
    _, network, _ = encoder_file(progressive=True)
    network.stage = 2
    codes = network(picture(side=64))
    assert not torch.equal(codes[:, 2], codes[:, 0])
    assert all(torch.equal(codes[:, row], codes[:, 0]) for row in range(3, 8))


@pytest.mark.parametrize("body", ["ir_se", "resnet"])
def test_restyle_corrects_what_its_last_codes_draw(body, encoder_file, tiny) -> None:
    shape = dict(head="flat", inputs=6, body=body, units=(3, 4, 6, 3))
    path, network, average = encoder_file("r.pt", "BackboneEncoder", **shape)
    encoder = ReStyle(tiny, path, iterations=2)
    seen, codes = encoder.seen(picture(2)), average.expand(2, 8, 16)
    for found in encoder.path(picture(2)):
        drawn = encoder.seen(tiny.synthesis(tiny.styles(codes), noise="const"))
        codes = codes + network(torch.cat([seen, drawn], 1))
        assert torch.allclose(found, codes, atol=1e-5)
    check_encoder(encoder, tiny)


def test_a_file_without_mean_uses_the_generators(encoder_file, tiny) -> None:
    path, _, average = encoder_file()
    content = torch.load(path, weights_only=True)
    torch.save({"state_dict": content["state_dict"]}, path)
    expected = Psp(tiny, path)(picture())
    torch.save(content, path)
    assert torch.allclose(Psp(tiny, path)(picture()) - average, expected - tiny.w_avg, atol=1e-5)


def test_a_converted_encoder_gives_the_same_codes(encoder_file, tiny, tmp_path) -> None:
    path, *_ = encoder_file(encoder_type="Encoder4Editing")
    assert main(["convert", str(path), str(tmp_path / "e.safetensors")]) == 0
    assert torch.equal(E4e(tiny, tmp_path / "e.safetensors")(picture()), E4e(tiny, path)(picture()))
    _, config, _ = read_encoder(tmp_path / "e.safetensors")
    assert config.progressive is True


def test_a_written_encoder_is_read_again(tmp_path) -> None:
    config = EncoderConfig(rows=2, style_dim=8, widths=(2, 4, 6, 8), units=(1, 1, 1, 1), reduction=2, input_size=32)
    network = EncoderNetwork(config)
    write_encoder(tmp_path / "e.safetensors", network.state_dict(), config)
    state, found, average = read_encoder(tmp_path / "e.safetensors")
    assert found == config and average is None
    network.load_state_dict(state, strict=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tiny, write: Psp(tiny, write(inputs=6)[0]), "use the encoder 'restyle'"),
        (lambda tiny, write: ReStyle(tiny, write()[0]), "use the encoder 'psp' or 'e4e'"),
        (lambda tiny, write: Psp(tiny, write(rows=10)[0]), "10 rows of 16; the generator takes 8 rows of 16"),
        (lambda tiny, write: Psp(tiny, "nothing.pt"), "no weight file"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(make, message, encoder_file, tiny) -> None:
    with pytest.raises(WeightsError, match=message):
        make(tiny, encoder_file)


def test_a_file_without_encoder_says_what_it_is(tiny, tmp_path) -> None:
    torch.save({"fc": torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="holds no encoder of the pSp family: it is a state dict"):
        Psp(tiny, tmp_path / "x.pt")
