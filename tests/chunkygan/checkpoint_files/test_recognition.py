"""What a file is shows in its content, whatever it is called."""

from __future__ import annotations

import argparse
import json
import math

import pytest
import torch

from chunkygan.checkpoint_files.inspected import inspected
from chunkygan.checkpoint_files.recognition import recognised
from chunkygan.errors import WeightsError


def shapes(fixtures, name: str) -> dict[str, torch.Tensor]:
    """A state dict of a published network's names and shapes, all numbers in one storage."""
    found = json.loads((fixtures / "keys" / f"{name}.json").read_text())
    largest = torch.zeros(max(math.prod(shape) for shape in found.values()), dtype=torch.int8)
    return {key: largest[: math.prod(shape)].view(shape) for key, shape in found.items()}


def saved(state, path, prefix="", **beside):
    """The file of a checkpoint without the numbers: the tensors share one storage."""
    torch.save({"state_dict": {f"{prefix}{k}": v for k, v in state.items()}, **beside}, path)
    return path


SMALL = {
    "styleflow": {"chain.1.odefunc.diffeq.layers.0._layer.weight": torch.ones(2, 2)},
    "arcface_ir_se50": {
        "input_layer.0.weight": torch.ones(2, 3, 3, 3),
        "body.0.res_layer.1.weight": torch.ones(2),
        "output_layer.3.weight": torch.ones(2, 2),
    },
    "editgan_head": {f"layers.{i}.weight": torch.ones(4, 4) for i in (0, 2, 3, 5, 6)},
    "editgan_encoder": {"FPN_module.conv1.weight": torch.ones(1)},
    "styleclip_mapper": {"mapper.course_mapping.mapping.1.weight": torch.ones(2, 2)},
    "state_dict": {"fc.weight": torch.ones(1)},
    "directions": {"mean": torch.zeros(1, 4), "comp": torch.ones(2, 1, 4), "std": torch.ones(2)},
}


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in a container of a parallel training"])
def test_kinds_by_their_names(kind, wrapped, tmp_path) -> None:
    state = SMALL[kind]
    content = {"model_state_dict": {f"module.{name}": value for name, value in state.items()}} if wrapped else state
    torch.save(content, tmp_path / "misleading.pkl")
    assert recognised(tmp_path / "misleading.pkl").kind == kind


def test_a_head_tells_its_classes(tmp_path) -> None:
    torch.save(SMALL["editgan_head"], tmp_path / "x")
    assert inspected(tmp_path / "x").classes == 4


def test_a_bare_direction_is_one(tmp_path) -> None:
    torch.save(torch.ones(1, 18, 512), tmp_path / "pose.pt")
    assert recognised(tmp_path / "pose.pt").kind == "directions"


def test_a_hyperstyle_checkpoint_shares_its_tensors(tmp_path) -> None:
    shared = torch.ones(64, 64)
    state = {f"hypernet.refinement_blocks.{j}.hypernet.w1": shared for j in range(10)}
    torch.save({"state_dict": state, "opts": {}}, tmp_path / "h.pt")
    found = inspected(tmp_path / "h.pt")
    assert found.kind == "hyperstyle" and found.values == 64 * 64


def test_options_may_be_a_namespace_with_paths(tmp_path) -> None:
    import pathlib

    options = argparse.Namespace(encoder_type="GradualStyleEncoder", exp_dir=pathlib.PurePosixPath("/a/b"), rate=0.5)
    torch.save({"state_dict": {"fc": torch.ones(1)}, "opts": options}, tmp_path / "x.pt")
    assert recognised(tmp_path / "x.pt").options["exp_dir"] == "/a/b"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of git-lfs"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"", "empty"),
        (b"hello", "no known layout"),
    ],
)
def test_foreign_files_are_refused_by_name(content, message, tmp_path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        recognised(tmp_path / "x.pt")


def test_a_program_is_refused_by_name(tmp_path) -> None:
    module = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    torch.jit.save(module, str(tmp_path / "vgg16.pt"))
    with pytest.raises(WeightsError, match="TorchScript"):
        recognised(tmp_path / "vgg16.pt")


def test_a_discriminator_is_refused_by_name(writers, tmp_path) -> None:
    torch.save({"final_linear.0.weight": torch.ones(1)}, tmp_path / "d.pt")
    with pytest.raises(WeightsError, match="a discriminator"):
        recognised(tmp_path / "d.pt")


def test_a_generator_in_facts(reference, writers, tmp_path) -> None:
    known = reference("nv_r64_m8")
    path = writers.pickled({"G_ema": writers.nvidia_network(known.state, clamp=256.0, half=2)}, tmp_path / "n.pkl")
    found = inspected(path)
    assert (found.resolution, found.z_dim, found.w_dim, found.rows, found.classes) == ((64, 64), 64, 64, 10, 0)
    assert (found.widths, found.conv_clamp, found.half_blocks) == ((32, 32, 32, 32, 16), 256.0, 2)
    assert found.size == path.stat().st_size and len(found.sha256) == 64
    assert found.values == sum(value.numel() for value in known.state.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("psp_GradualStyleEncoder_50_irse_1024", ("ir_se", "pyramid", 3, 18, (3, 4, 14, 3))),
        ("e4e_Encoder4Editing_50_irse_1024", ("ir_se", "pyramid", 3, 18, (3, 4, 14, 3))),
        ("psp_BackboneIntoW", ("ir_se", "w", 3, 1, (3, 4, 14, 3))),
        ("psp_BackboneIntoWPlus", ("ir_se", "w_plus", 3, 18, (3, 4, 14, 3))),
        ("restyle_BackboneEncoder_1024", ("ir_se", "flat", 6, 18, (3, 4, 14, 3))),
        ("restyle_e4e_ProgressiveBackbone_1024", ("ir_se", "flat", 6, 18, (3, 4, 14, 3))),
        ("restyle_ResNetBackboneEncoder_512", ("resnet", "flat", 6, 16, (3, 4, 6, 3))),
    ],
)
def test_published_encoders_tell_their_shape(name, expected, fixtures, tmp_path) -> None:
    from chunkygan.checkpoint_files.encoder_states import config_in

    path = saved(shapes(fixtures, name), tmp_path / "x.pt", "encoder.", latent_avg=torch.zeros(18, 512))
    config = config_in(recognised(path))
    assert (config.body, config.head, config.inputs, config.rows, config.units) == expected
    assert (config.widths, config.style_dim, config.input_size) == ((64, 128, 256, 512), 512, 256)


@pytest.mark.parametrize(
    ("name", "resolution"), [("nv_ffhq1024_configF", 1024), ("nv_r256_paper256", 256), ("ros_1024_cm2", 1024)]
)
def test_published_generators_tell_their_shape(name, resolution, fixtures, tmp_path) -> None:
    path = saved(shapes(fixtures, name), tmp_path / "x.pt")
    found = inspected(path)
    assert found.resolution == (resolution, resolution) and (found.z_dim, found.w_dim) == (512, 512)
