"""The generator against the numbers of NVIDIA's and rosinality's own networks; its windows against full pictures."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkygan import load_generator
from chunkygan.components.generators.stylegan2 import StyleGAN2
from chunkygan.components.generators.stylegan2_files import read_generator
from chunkygan.components.generators.stylegan2_layers import styles_for_half, weight_for_half
from chunkygan.errors import ShapeError, WeightsError
from chunkygan.generator_file import write_generator
from chunkygan.types import Feature, Window

NVIDIA = ["nv_r32_m2", "nv_r64_m8", "nv_r32_m8", "nv_r64_m2"]
CLOSE = dict(atol=2e-5, rtol=1e-4)  # the fixtures' own tolerance


@pytest.fixture
def recorded(request, tests_data):
    """name -> arrays; those that are not in tests/data come from the folder of reference numbers."""

    def load(name):
        here = tests_data / f"{name}.npz"
        file = here if here.exists() else request.getfixturevalue("fixtures") / f"{name}.npz"
        arrays = np.load(file, allow_pickle=False)
        return {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}

    return load


def loaded(numbers, tmp_path, **overrides):
    """The generator that load_generator makes of a fixture's bare state dict."""
    state = {key.removeprefix("param/"): value for key, value in numbers.items() if key.startswith("param/")}
    path = tmp_path / "state.pt"
    torch.save(state, path)
    return load_generator(path, **overrides)


@pytest.fixture
def nvidia(recorded, tmp_path):
    def load(name):
        numbers = recorded(name)
        clamp = float(numbers["cfg/conv_clamp"])
        return numbers, loaded(numbers, tmp_path, conv_clamp=None if clamp < 0 else clamp)

    return load


@pytest.mark.parametrize("name", NVIDIA)
def test_mapping_gives_nvidias_numbers(nvidia, name):
    numbers, generator = nvidia(name)
    z = numbers["in/z"]
    torch.testing.assert_close(generator.mapping(z), numbers["out/ws"], **CLOSE)
    torch.testing.assert_close(generator.mapping(z, truncation=0.7), numbers["out/ws_psi07"], **CLOSE)
    cut = generator.mapping(z, truncation=0.7, truncation_cutoff=4)
    torch.testing.assert_close(cut, numbers["out/ws_psi07_cutoff4"], **CLOSE)


@pytest.mark.parametrize("name", NVIDIA)
def test_synthesis_gives_nvidias_numbers(nvidia, name):
    numbers, generator = nvidia(name)
    styles = generator.styles(numbers["out/ws"])
    torch.testing.assert_close(generator.synthesis(styles), numbers["out/img_const"], **CLOSE)
    torch.testing.assert_close(generator.synthesis(styles, noise="none"), numbers["out/img_none"], **CLOSE)
    truncated = generator.synthesis(generator.styles(numbers["out/ws_psi07"]))
    torch.testing.assert_close(truncated, numbers["out/img_psi07_const"], **CLOSE)
    own_rows = generator.synthesis(generator.styles(numbers["in/wplus"]))
    torch.testing.assert_close(own_rows, numbers["out/img_wplus_const"], **CLOSE)


@pytest.mark.parametrize("name", NVIDIA)
def test_styles_are_nvidias_affine_outputs(nvidia, name):
    numbers, generator = nvidia(name)
    names = [f"b{4 << i}.{layer}" for i in range(len(generator.blocks)) for layer in ("conv0", "conv1", "torgb")][1:]
    styles = generator.styles(numbers["out/ws"])
    recorded_names = [key for key in numbers if key.startswith("out/style/")]
    assert len(recorded_names) == len(styles) == len(names)
    for style, layer in zip(styles, names):
        key = next(key for key in recorded_names if f"{layer}.affine" in key)
        torch.testing.assert_close(style, numbers[key], **CLOSE)


def test_rosinalitys_network_gives_rosinalitys_numbers(recorded, tmp_path):
    numbers = recorded("ros_r32_m2")
    state = {key.removeprefix("param/"): value for key, value in numbers.items() if key.startswith("param/")}
    path = tmp_path / "rosinality.pt"
    torch.save({"g_ema": state, "latent_avg": numbers["latent_avg"]}, path)
    generator = load_generator(path)
    torch.testing.assert_close(generator.mapping(numbers["in/z"])[:, 0], numbers["out/w"], **CLOSE)
    torch.testing.assert_close(generator.mapping(numbers["in/z"], truncation=0.7), numbers["out/latent_psi07"], **CLOSE)
    for code, picture in (("out/latent", "out/img_const"), ("in/wplus", "out/img_wplus_const")):
        torch.testing.assert_close(generator.synthesis(generator.styles(numbers[code])), numbers[picture], **CLOSE)


def test_a_file_without_noise_maps_and_average_gets_both(recorded, tmp_path):
    numbers = recorded("ros_r32_m2")
    state = {k.removeprefix("param/"): v for k, v in numbers.items() if k.startswith("param/") and "noises" not in k}
    torch.save(state, tmp_path / "bare.pt")
    generator = load_generator(tmp_path / "bare.pt")
    expected = generator.map(torch.randn(20_000, 64, generator=torch.Generator().manual_seed(5)), None).mean(0)
    torch.testing.assert_close(generator.w_avg, expected, atol=0.05, rtol=0)


@st.composite
def windows(draw, height=32, width=32):
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(top, left, draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width)))


@settings(max_examples=60, deadline=None)
@given(window=windows())
def test_a_window_is_the_crop_of_the_full_picture(tiny, window):
    styles = tiny.styles(tiny.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(1))))
    full = tiny.synthesis(styles)
    torch.testing.assert_close(tiny.synthesis(styles, window=window), full[(..., *window.slices)], atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(window=windows(16, 32))
def test_windows_of_pictures_that_are_not_square(window):
    torch.manual_seed(0)
    generator = StyleGAN2(16, z_dim=8, w_dim=8, mapping_layers=1, channels=[8, 8, 8], const_size=(4, 8))
    styles = generator.styles(generator.mapping(torch.randn(1, 8)))
    full = generator.synthesis(styles)
    assert full.shape == (1, 3, 16, 32)
    torch.testing.assert_close(
        generator.synthesis(styles, window=window), full[(..., *window.slices)], atol=1e-5, rtol=0
    )


def test_gradients_of_a_window_are_those_of_the_crop(tiny):
    ws = tiny.mapping(torch.randn(1, 16)).requires_grad_()
    window = Window(3, 10, 20, 31)
    (full,) = torch.autograd.grad(tiny.synthesis(tiny.styles(ws))[(..., *window.slices)].square().sum(), ws)
    (part,) = torch.autograd.grad(tiny.synthesis(tiny.styles(ws), window=window).square().sum(), ws)
    torch.testing.assert_close(part, full, atol=1e-3, rtol=1e-4)


def test_a_smaller_size_is_the_partial_sum_of_the_skip_architecture(tiny):
    """The full picture is the partial sum, upsampled, and what the top block adds."""
    styles = tiny.styles(tiny.mapping(torch.randn(1, 16)))
    partial = tiny.synthesis(styles, size=16)
    assert partial.shape == (1, 3, 16, 16)
    silent = StyleGAN2(**tiny.config)
    silent.load_state_dict(tiny.state_dict())
    torch.nn.init.zeros_(silent.blocks[-1].torgb.weight)
    padded = torch.nn.functional.pad(partial, (1, 1, 1, 1))
    upsampled = torch.nn.functional.interpolate(padded, scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]
    torch.testing.assert_close(silent.synthesis(styles), upsampled, atol=1e-5, rtol=0)
    with pytest.raises(ShapeError, match=r"\[4, 8, 16, 32\]"):
        tiny.synthesis(styles, size=20)


def test_features_are_what_layers_hand_on(tiny):
    styles = tiny.styles(tiny.mapping(torch.randn(1, 16)))
    maps = tiny.features(styles)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (24, 4, 4), (24, 8, 8), (24, 8, 8), (16, 16, 16), (16, 16, 16), (8, 32, 32), (8, 32, 32),
    ]  # fmt: skip
    full = tiny.synthesis(styles)
    same = tiny.synthesis(styles, feature=Feature(3, maps[3], "replace"))
    torch.testing.assert_close(same, full)
    window = Window(2, 5, 21, 30)
    moved = tiny.synthesis(styles, feature=Feature(3, torch.ones_like(maps[3]), "add"))
    assert not torch.allclose(moved, full)
    part = tiny.synthesis(styles, feature=Feature(3, torch.ones_like(maps[3]), "add"), window=window)
    torch.testing.assert_close(part, moved[(..., *window.slices)], atol=1e-5, rtol=0)


def test_given_noise_maps_are_used_in_forward_order(tiny):
    styles = tiny.styles(tiny.mapping(torch.randn(1, 16)))
    torch.testing.assert_close(tiny.synthesis(styles, noise=tiny.noise_maps()), tiny.synthesis(styles))
    silent = [torch.zeros_like(value) for value in tiny.noise_maps()]
    torch.testing.assert_close(tiny.synthesis(styles, noise=silent), tiny.synthesis(styles, noise="none"))
    assert not torch.equal(tiny.synthesis(styles, noise="random"), tiny.synthesis(styles, noise="random"))
    with pytest.raises(ShapeError, match="7 maps"):
        tiny.synthesis(styles, noise=silent[:3])


def test_classes_change_the_picture():
    generator = StyleGAN2(8, z_dim=8, w_dim=8, c_dim=3, mapping_layers=2, channels=[8, 8])
    z, classes = torch.randn(1, 8).expand(3, 8), torch.eye(3)
    ws = generator.mapping(z, classes)
    assert not torch.allclose(ws[0], ws[1])
    with pytest.raises(ShapeError, match="class vector of 3"):
        generator.mapping(z)
    with pytest.raises(ShapeError, match="class vector of 0"):
        StyleGAN2(8, z_dim=8, w_dim=8, mapping_layers=1, channels=[8, 8]).mapping(z, classes)


def test_normalisation_for_half_precision_cancels(tiny):
    """Half precision rescales weights and styles; demodulation takes it out again, here at full precision."""
    conv = tiny.blocks[1].conv1
    x, styles = torch.randn(2, 24, 8, 8), torch.randn(2, 24)

    def modulated(w, s):
        y = torch.nn.functional.conv2d(x * s[:, :, None, None], w, padding=1)
        return y * (w[None].square() * s[:, None, :, None, None].square()).sum((2, 3, 4)).rsqrt()[:, :, None, None]

    scaled = modulated(weight_for_half(conv.weight), styles_for_half(styles))
    torch.testing.assert_close(scaled, modulated(conv.weight, styles), atol=1e-4, rtol=1e-4)


def test_no_convolution_copies_its_weights(tiny, tmp_path):
    """They lie in memory as they are read, a transposed convolution's (in, out, k, k); files and copies keep that."""
    write_generator(tiny, tmp_path / "tiny.safetensors")
    read = load_generator(tmp_path / "tiny.safetensors")
    for generator in (tiny, read, copy.deepcopy(read), copy.deepcopy(read).to("meta")):
        for conv in generator._convs():
            weight = conv.weight.transpose(0, 1) if conv.up else conv.weight
            assert weight.is_contiguous(memory_format=torch.channels_last)


def test_frozen_weights_that_change_are_noticed(tiny):
    """What is kept of frozen weights is made anew after any change of theirs."""
    generator = StyleGAN2(**tiny.config).requires_grad_(False)
    styles = tiny.styles(tiny.mapping(torch.randn(1, 16)))
    first = generator.synthesis(styles)
    generator.load_state_dict(tiny.state_dict())
    torch.testing.assert_close(generator.synthesis(styles), tiny.synthesis(styles))
    generator.blocks[1].conv0.weight.mul_(1.5)[:, :3].zero_()
    assert not torch.allclose(generator.synthesis(styles), tiny.synthesis(styles))
    assert not torch.allclose(first, tiny.synthesis(styles))


@pytest.mark.gpu
def test_half_precision_on_a_gpu_is_near_full_precision(tiny):
    full = StyleGAN2(**tiny.config)
    half = StyleGAN2(**{**tiny.config, "half_blocks": 2})
    for generator in (full, half):
        generator.load_state_dict(tiny.state_dict())
        generator.cuda().requires_grad_(False)
    styles = full.styles(full.mapping(torch.randn(2, 16, device="cuda")))
    torch.testing.assert_close(half.synthesis(styles), full.synthesis(styles), atol=2e-2, rtol=2e-2)


def test_a_written_generator_reads_back_to_half_precision(tiny, tmp_path):
    write_generator(tiny, tmp_path / "g.safetensors")
    again = read_generator(tmp_path / "g.safetensors")
    assert again.config == tiny.config
    for name, value in tiny.public_state_dict().items():
        torch.testing.assert_close(again.public_state_dict()[name], value.half().float())
    assert not any(p.requires_grad for p in again.parameters())


def test_foreign_and_incomplete_files_are_refused_with_a_reason(tiny, tmp_path):
    state = tiny.public_state_dict()
    torch.save({"classifier.weight": torch.zeros(3)}, tmp_path / "foreign.pt")
    with pytest.raises(WeightsError, match="no StyleGAN2 generator"):
        load_generator(tmp_path / "foreign.pt")
    del state["synthesis.b16.conv1.bias"]
    torch.save(state, tmp_path / "incomplete.pt")
    with pytest.raises(WeightsError, match=r"lacks synthesis\.b16\.conv1\.bias"):
        load_generator(tmp_path / "incomplete.pt")
    torch.save({**tiny.public_state_dict(), "synthesis.b8.skip.weight": torch.zeros(1)}, tmp_path / "resnet.pt")
    with pytest.raises(WeightsError, match="resnet"):
        load_generator(tmp_path / "resnet.pt")


def test_arguments_that_cannot_be_are_refused(tiny):
    with pytest.raises(ShapeError, match="power of two"):
        StyleGAN2(48)
    with pytest.raises(ShapeError, match="as many"):
        StyleGAN2(16, channels=[8, 8])
    styles = tiny.styles(tiny.mapping(torch.randn(1, 16)))
    for window in (Window(0, 0, 33, 32), Window(5, 5, 5, 9), Window(-1, 0, 4, 4)):
        with pytest.raises(ShapeError, match="window"):
            tiny.synthesis(styles, window=window)
    with pytest.raises(ShapeError, match="styles"):
        tiny.synthesis(styles[:-1])
    with pytest.raises(ShapeError, match="ws"):
        tiny.styles(torch.zeros(1, 3, 16))


def test_autocast_draws_the_same_to_rounding(tiny):
    """bfloat16 has 8 bits: 0.4 % a step."""
    styles = tiny.styles(tiny.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(3))))
    picture = tiny.synthesis(styles)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = tiny.synthesis(styles)
    assert mixed.dtype == torch.float32
    assert float((mixed - picture).abs().max() / picture.abs().max()) < 0.03
