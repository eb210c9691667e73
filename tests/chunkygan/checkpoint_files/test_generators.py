"""Generators in everybody's files draw the pictures that their own code drew."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from chunkygan import load_generator
from chunkygan.checkpoint_files.recognition import recognised
from chunkygan.errors import WeightsError


def differs(generator, reference, picture="out/img_const") -> float:
    """Largest difference of a picture from the reference."""
    ws = generator.mapping(reference["in/z"])
    image = generator.synthesis(generator.styles(ws))
    return max(float((ws - reference["out/ws"]).abs().max()), float((image - reference[picture]).abs().max()))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["nv_r32_m2", "nv_r64_m8"])
def test_a_network_pickle_draws_the_same(name, protocol, reference, writers, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = reference(name)
    network = writers.nvidia_network(known.state, clamp=known.clamp)
    content = {"training_set_kwargs": None, "G": network, "D": None, "G_ema": network, "augment_pipe": None}
    path = writers.pickled(content, tmp_path / "network", protocol)
    generator = load_generator(path)
    assert differs(generator, known) < 2e-5
    assert generator.config["conv_clamp"] == known.clamp
    assert recognised(path).kind == "nvidia_stylegan2"
    assert not Path("ran").exists()


def test_what_the_pickle_tells_and_what_overrides_it(reference, writers, tmp_path) -> None:
    known = reference("nv_r32_m2")
    network = writers.nvidia_network(known.state, clamp=256.0, multiplier=0.02, half=2)
    path = writers.pickled({"G_ema": network}, tmp_path / "n.pkl")
    config = load_generator(path).config
    assert (config["conv_clamp"], config["mapping_lr_multiplier"], config["half_blocks"]) == (256.0, 0.02, 2)
    assert load_generator(path, conv_clamp=8.0, half_blocks=0).config["conv_clamp"] == 8.0


def test_a_pickle_of_the_stylegan3_code_draws_the_same(reference, writers, tmp_path) -> None:
    known = reference("nv_r32_m2")
    path = writers.pickled({"G_ema": writers.nvidia_network(known.state, flat=True)}, tmp_path / "n.pkl", 4)
    assert differs(load_generator(path), known) < 2e-5
    assert recognised(path).notes["layout"] == "options of the StyleGAN3 code"


def test_a_tuned_generator_of_pti_draws_the_same(reference, writers, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = reference("nv_r64_m8")
    path = writers.saved(writers.nvidia_network(known.state, clamp=known.clamp), tmp_path / "model_x.pt")
    assert differs(load_generator(path), known) < 2e-5
    assert recognised(path).kind == "tuned_stylegan2"
    assert not Path("ran").exists()


def tensorflow_variables(state) -> dict[str, np.ndarray]:
    """The inverse of the mapping, written apart from the reader: NVIDIA's names to TensorFlow's."""
    layers = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB"}
    found = {}
    for name, value in state.items():
        array = value.numpy()
        parts = name.split(".")
        if name == "mapping.w_avg":
            found["dlatent_avg"] = array
        elif parts[0] == "mapping":
            found[f"mapping/Dense{parts[1][2:]}/{parts[2]}"] = array.T if parts[2] == "weight" else array
        elif parts[-1] == "const":
            found["synthesis/4x4/Const/const"] = array[None]
        elif parts[-1] == "noise_const":
            size, k = int(parts[1][1:]), int(parts[2][4:])
            number = 0 if size == 4 else 2 * int(np.log2(size)) - 5 + k
            found[f"synthesis/noise{number}"] = array[None, None]
        elif parts[-1] != "resample_filter":
            size = parts[1][1:]
            layer = "Conv" if name.startswith("synthesis.b4.conv1") else layers[parts[2]]
            prefix = f"synthesis/{size}x{size}/{layer}"
            if parts[3] == "affine":
                found[f"{prefix}/mod_{parts[4]}"] = array.T if parts[4] == "weight" else array - 1
            elif parts[3] == "weight":
                hwio = array.transpose(2, 3, 1, 0)
                found[f"{prefix}/weight"] = hwio[::-1, ::-1] if parts[2] == "conv0" else hwio
            else:
                found[f"{prefix}/{parts[3]}"] = array
    return found


def tensorflow_network(writers, variables, **options):
    """A network with the components ``mapping`` and ``synthesis``."""

    def network(name, own, **components):
        state = dict(
            version=4, name=name, static_kwargs=writers.EasyDict(options), components=writers.EasyDict(components),
            build_module_src="import os; os.mkdir('ran')", build_func_name="G_main", variables=list(own.items()),
        )  # fmt: skip
        return writers.Network(state)

    parts = {
        part: network(part, {k.split("/", 1)[1]: v for k, v in variables.items() if k.startswith(f"{part}/")})
        for part in ("mapping", "synthesis")
    }
    return network("Gs", {k: v for k, v in variables.items() if "/" not in k}, **parts)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_of_the_tensorflow_era_draws_the_same(protocol, reference, writers, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = reference("nv_r64_m8")
    options = dict(mapping_lrmul=0.01, conv_clamp=known.clamp, num_fp16_res=2, resolution=64, nonlinearity="lrelu")
    network = tensorflow_network(writers, tensorflow_variables(known.state), **options)
    path = writers.pickled((network, network, network), tmp_path / "old.pkl", protocol)
    generator = load_generator(path)
    assert differs(generator, known) < 2e-5
    assert (generator.config["conv_clamp"], generator.config["half_blocks"]) == (known.clamp, 2)
    assert recognised(path).kind == "tensorflow_stylegan2"
    assert not Path("ran").exists()


@pytest.mark.parametrize("training", [False, True], ids=["public", "training"])
@pytest.mark.parametrize("zipped", [False, True], ids=["old layout", "archive"])
def test_a_checkpoint_of_rosinality_draws_the_same(training, zipped, reference, tmp_path) -> None:
    known = reference("ros_r32_m2")
    average = known.state.pop("latent_avg", None)
    average = known["latent_avg"] if average is None and "latent_avg" in known.numbers.files else average
    content = {"g_ema": known.state, "latent_avg": average}
    if training:
        linear = torch.nn.Linear(2, 2)
        optimiser = torch.optim.Adam(linear.parameters())
        linear(torch.ones(1, 2)).sum().backward()
        optimiser.step()
        content = {
            "g": known.state, "d": linear.state_dict(), "g_ema": known.state, "g_optim": optimiser.state_dict(),
            "d_optim": optimiser.state_dict(), "args": argparse.Namespace(size=32, path="x"), "ada_aug_p": 0.5,
        }  # fmt: skip
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    generator = load_generator(tmp_path / "x.pt")
    styles = generator.styles(known["out/latent"])
    image = generator.synthesis(styles)
    assert float((image - known["out/img_const"]).abs().max()) < 2e-5
    if training:  # no mean is stored: it is that of many mapped latents
        assert generator.w_avg.abs().sum() > 0


def test_stylegan3_is_refused_by_name(reference, writers, tmp_path) -> None:
    state = {"synthesis.input.freqs": torch.ones(4, 2), "mapping.w_avg": torch.ones(4)}
    path = writers.pickled({"G_ema": writers.nvidia_network(state)}, tmp_path / "n.pkl")
    with pytest.raises(WeightsError, match="a StyleGAN3 generator"):
        load_generator(path)


@pytest.mark.parametrize(
    "state",
    [{"g_mapping.dense0.weight": torch.ones(2)}, {"generator.progression.0.conv1.weight": torch.ones(2)}],
    ids=["lernapparat", "rosinality"],
)
def test_the_first_stylegan_is_refused_by_name(state, tmp_path) -> None:
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=r"a StyleGAN \(the first\) generator"):
        load_generator(tmp_path / "x.pt")


def test_the_first_stylegan_of_tensorflow_is_refused_by_name(writers, tmp_path) -> None:
    variables = {"synthesis/4x4/Const/const": np.ones((1, 4, 4, 4)), "synthesis/4x4/Const/StyleMod/weight": np.ones(2)}
    path = writers.pickled((tensorflow_network(writers, variables),) * 3, tmp_path / "karras2019.pkl")
    with pytest.raises(WeightsError, match=r"a StyleGAN \(the first\) generator"):
        load_generator(path)


def test_a_file_without_generator_says_what_it_is(tmp_path) -> None:
    torch.save({"fc.weight": torch.ones(2, 2)}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="holds no StyleGAN2 generator: it is a state dict of a network that is not"):
        load_generator(tmp_path / "x.pt")


def test_a_pickle_with_another_activation_is_refused(reference, writers, tmp_path) -> None:
    network = writers.nvidia_network(reference("nv_r32_m2").state)
    network.state["_modules"]["synthesis"].state["_modules"]["b4"].state["_modules"]["conv1"].state["activation"] = (
        "relu"
    )
    with pytest.raises(WeightsError, match="activation 'relu'"):
        load_generator(writers.pickled({"G_ema": network}, tmp_path / "n.pkl"))


def test_numbers_that_are_not_finite_are_refused(reference, tmp_path) -> None:
    state = dict(reference("nv_r32_m2").state)
    state["synthesis.b8.conv0.bias"] = torch.full_like(state["synthesis.b8.conv0.bias"], torch.inf)
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="synthesis.b8.conv0.bias holds numbers that are not finite"):
        load_generator(tmp_path / "x.pt")


def test_missing_noise_is_the_same_each_time(reference, tmp_path) -> None:
    state = {k: v for k, v in reference("nv_r32_m2").state.items() if not k.endswith("noise_const")}
    torch.save(state, tmp_path / "x.pt")
    first, again = (load_generator(tmp_path / "x.pt").noise_maps() for _ in range(2))
    assert all(map(torch.equal, first, again))
