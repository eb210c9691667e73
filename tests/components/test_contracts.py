"""Every component of the catalogue keeps the contract of its kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from chunkygan import registry
from chunkygan.components.catalogue import CATALOGUE
from chunkygan.interfaces import Generator
from chunkygan.testing import (
    check_blender,
    check_classifier,
    check_discriminator,
    check_generator,
    check_identity,
    check_latent_space,
    check_mask_generator,
    check_parser,
    check_perceptual,
)

CHECKS: dict[str, Callable[[Any], None]] = {
    "generator": check_generator,
    "discriminator": check_discriminator,
    "latent_space": check_latent_space,
    "mask_generator": check_mask_generator,
    "perceptual": check_perceptual,
    "identity": check_identity,
    "classifier": check_classifier,
    "parser": check_parser,
    "blender": check_blender,
}

SMALL = {"resolution": 32, "z_dim": 16, "w_dim": 12, "mapping_layers": 2, "channel_base": 256, "channel_max": 16}
GENERATORS: dict[str, dict[str, Any]] = {
    "small": SMALL,
    "wide": SMALL | {"resolution": 16, "const_size": (4, 6)},
    "with classes": SMALL | {"resolution": 16, "c_dim": 3},
    "clamped": SMALL | {"resolution": 16, "conv_clamp": 256},
}
SEEING = {"name": "lpips", "net": "procfaces", "weights": "procfaces_128_perceptual"}
DISCRIMINATORS: dict[str, list[dict[str, Any]]] = {
    "stylegan2": [
        {"resolution": (16, 16), "channels": [8, 8, 4]},
        {"resolution": (16, 24), "channels": [8, 8, 4]},
        {"resolution": (8, 8), "c_dim": 3, "channels": [8, 4], "mapping_layers": 2},
        {"resolution": (8, 8), "channels": [8, 4], "conv_clamp": 256},
    ],
    "projected": [
        {"resolution": (32, 32), "features": SEEING},
        {"resolution": (32, 48), "features": SEEING, "widest": 24, "seed": 3},
    ],
}
MASKS: dict[str, list[dict[str, Any]]] = {
    "single": [{}],
    "painted": [
        {"array": [[0, 0, 1, 1]] * 4},
        {"array": [[0, 0, 1, 2]] * 4, "feather": 2.0},
        {"array": [[[0.5, 0.0]] * 2, [[0.25, 1.0]] * 2], "rest": "static"},
    ],
}


def generator(**settings: Any) -> Generator:
    """Random weights, and mean, biases and noise that are not 0, so that nothing hides behind a 0."""
    rng = torch.Generator().manual_seed(0)
    made = registry.get("generator", "stylegan2")(**settings).eval().requires_grad_(False)
    for name, value in made.state_dict().items():
        if value.dtype.is_floating_point and not name.endswith(("resample_filter", "affine.bias")):
            value.copy_(torch.randn(value.shape, generator=rng) * (0.3 if "strength" in name else 1.0))
    return made


def names(kind: str) -> list[str]:
    """The built-in components of a kind."""
    return list(CATALOGUE.get(kind, {}))


def test_every_kind_that_has_a_contract_is_checked() -> None:
    assert set(CHECKS) <= set(CATALOGUE)


@pytest.mark.parametrize("settings", GENERATORS.values(), ids=list(GENERATORS))
def test_generator_stylegan2_keeps_its_contract(settings) -> None:
    check_generator(generator(**settings))


@pytest.mark.parametrize("name", names("discriminator"))
def test_discriminator_keeps_its_contract(name) -> None:
    for settings in DISCRIMINATORS[name]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            check_discriminator(registry.get("discriminator", name)(**settings))


@pytest.mark.parametrize("settings", GENERATORS.values(), ids=list(GENERATORS))
@pytest.mark.parametrize("name", names("latent_space"))
def test_latent_space_keeps_its_contract(name, settings) -> None:
    check_latent_space(registry.get("latent_space", name)(generator(**settings)))


@pytest.mark.parametrize("name", names("mask_generator"))
def test_mask_generator_keeps_its_contract(name, tiny, tiny_head) -> None:
    heads = [{"size": (32, 32), "generator": tiny, "weights": tiny_head}]
    for options in heads if name == "seghead" else MASKS[name]:
        check_mask_generator(registry.get("mask_generator", name)(**{"size": (4, 4), **options}))


@pytest.mark.parametrize("name", names("perceptual"))
def test_perceptual_keeps_its_contract(name, tmp_path) -> None:
    check_perceptual(registry.get("perceptual", name)(**PERCEPTUALS[name](tmp_path)))


@pytest.mark.parametrize("name", names("identity"))
def test_identity_keeps_its_contract(name, tmp_path) -> None:
    check_identity(registry.get("identity", name)(**IDENTITIES[name](tmp_path)))


@pytest.mark.parametrize("name", names("classifier"))
def test_classifier_keeps_its_contract(name) -> None:
    check_classifier(registry.get("classifier", name)(**CLASSIFIERS[name]))


@pytest.mark.parametrize("name", names("parser"))
def test_parser_keeps_its_contract(name) -> None:
    check_parser(registry.get("parser", name)(**PARSERS[name]))


@pytest.mark.parametrize("name", names("blender"))
def test_blender_keeps_its_contract(name) -> None:
    check_blender(registry.get("blender", name)())


def domain_backbone(folder: Path) -> dict[str, Any]:
    """Arguments for `lpips` with a small network of random weights."""
    from chunkygan.components.perceptual.domain_backbone import DomainBackbone

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = DomainBackbone((8, 8, 16))
    save_file(net.state_dict(), folder / "net.safetensors", metadata=net.metadata("toy"))
    return {"net": "toy", "weights": folder / "net.safetensors"}


def mobilefacenet(folder: Path) -> dict[str, Any]:
    from chunkygan.components.identity.mobilefacenet import MobileFaceNetwork

    return {"weights": random_weights(MobileFaceNetwork, folder)}


def arcface(folder: Path) -> dict[str, Any]:
    from chunkygan.components.identity.arcface import ArcFaceNetwork

    narrow: dict[str, Any] = {"widths": (4, 8, 16, 32), "reduction": 4}
    return {"weights": random_weights(lambda: ArcFaceNetwork(**narrow), folder), **narrow}


def random_weights(network: Callable[[], torch.nn.Module], folder: Path) -> Path:
    """A file with the network's own random start."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(network().state_dict(), folder / "random.pth")
    return folder / "random.pth"


PERCEPTUALS: dict[str, Callable[[Path], dict[str, Any]]] = {"lpips": domain_backbone}
IDENTITIES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "mobilefacenet": mobilefacenet,
    "arcface": arcface,
    "domain": lambda folder: {"net": "toy", "config": {"dimensions": 8, "size": 32, "widths": [4, 8]}},
}
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "domain": {"config": {"names": ["age", "smile"], "size": 32, "widths": [4, 8]}},
}
PARSERS: dict[str, dict[str, Any]] = {"domain": {"config": {"classes": ["face", "hair"], "widths": [4, 8, 8]}}}
