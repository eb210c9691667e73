"""HyperStyle: the numbers of its own code, its file, its loop over chunks, and what a projection keeps of it.

tests/data/hyperstyle_tiny.npz holds numbers only. They come from the networks of yuval-alaluf/hyperstyle (commit
a723c73) with all widths made small by substituting constants in memory: body 4, 6, 8, 16; shared maps 16 x 16; a
generator of 32 pixels with 16 channels, and 8 at 32 pixels. Parameters are random, rounded to half precision;
`hypernet.` is its usual network, `separable.` the other one, `decoder.` the generator. It ran three passes from
`in/codes` on `in/target`; pictures of 32 pixels were brought to 256 by bilinear interpolation, where its own models
average larger ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import chunkygan
from chunkygan.build import create
from chunkygan.checkpoint_files.hypernetwork_states import hypernetwork_config
from chunkygan.components.inverters.hyperstyle import HyperStyle, modulated_weights
from chunkygan.components.inverters.hyperstyle_network import Hypernetwork
from chunkygan.components.mask_generators.single import Single
from chunkygan.errors import WeightsError
from chunkygan.projection import Projection
from chunkygan.types import Codes, Fit, Segments

SHARED = ("w1", "b1", "w2", "b2")


@pytest.fixture(scope="session")
def numbers(tests_data) -> dict[str, torch.Tensor]:
    with np.load(tests_data / "hyperstyle_tiny.npz", allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]).float() for name in file.files}


def part(numbers, name) -> dict[str, torch.Tensor]:
    prefix = f"param/{name}."
    return {key[len(prefix) :]: value for key, value in numbers.items() if key.startswith(prefix)}


@pytest.fixture(scope="session")
def checkpoint(numbers, tmp_path_factory) -> Any:
    """A file in HyperStyle's layout, in which every part names the shared maps again."""
    hypernet = part(numbers, "hypernet")
    users = {name.split(".")[1] for name in hypernet if name.endswith(".linear.weight")}
    again = {
        f"refinement_blocks.{j}.hypernet.{key}": hypernet[f"shared_weight_hypernet.{key}"]
        for j in users
        for key in SHARED
    }
    state = {f"hypernet.{name}": value for name, value in {**hypernet, **again}.items()}
    state |= {f"decoder.{name}": value for name, value in part(numbers, "decoder").items()}
    path = tmp_path_factory.mktemp("hyperstyle") / "hyperstyle.pt"
    content = {"state_dict": state, "opts": {"output_size": 32}, "latent_avg": torch.zeros(8, 16)}
    torch.save(content, path)
    return path


@pytest.fixture(scope="session")
def generator(checkpoint) -> Any:
    return chunkygan.load_generator(checkpoint)


@pytest.fixture
def begin(numbers) -> Fit:
    codes = Codes((numbers["in/codes"][0],), ({"name": "w_plus"},))
    return Fit(codes, Segments(torch.ones(1, 32, 32), ("all",)), steps=7)


@pytest.fixture
def invert(checkpoint, generator, numbers, begin, pixels) -> Any:
    def run(masks=None, start=begin, listeners=(), **options):
        masks = masks or Single((32, 32))
        return HyperStyle(checkpoint, **options).project(
            numbers["in/target"], generator=generator, spaces=[{"name": "w_plus"}] * len(masks.names),
            mask_generator=masks, perceptual=pixels, start=start, listeners=listeners,
        )  # fmt: skip

    return run


def render(fit, target, generator) -> torch.Tensor:
    made = Projection(target, fit.codes, fit.segments, generator, weight_changes=fit.weight_changes, metrics={})
    return made.render()


@pytest.mark.parametrize("name", ["hypernet", "separable"])
def test_changes_are_those_of_the_peers_network(name, numbers, generator) -> None:
    state = part(numbers, name)
    shapes = [tuple(generator.public_state_dict()[weight].shape) for weight in modulated_weights(generator)]
    config = hypernetwork_config(state)
    network = Hypernetwork(config, shapes).eval()
    network.load_state_dict(state, strict=False)
    assert config.input_size == 256
    image = "out/image1" if name == "hypernet" else "out/start"
    seen = [torch.nn.functional.interpolate(numbers[key], (256, 256), mode="bilinear") for key in ("in/target", image)]
    with torch.no_grad():
        found = network(torch.cat(seen, 1))
    assert sorted(found) == [0, 1, 2, 3, 5, 6, 8, 9]
    for j in (0, 1, 8):
        expected = numbers[f"out/{name}_delta{j}"]
        assert found[j].shape == expected.shape
        assert float((found[j] - expected).abs().max()) < 2e-5


def test_every_pass_draws_what_the_peers_code_draws(numbers, invert, generator) -> None:
    pictures = []
    fit = invert(iterations=3, listeners=[lambda step: pictures.append(step.preview())])
    for number, image in enumerate(pictures):
        assert float((image - numbers[f"out/image{number}"].clamp(-1, 1)).abs().max()) < 2e-4
    assert len(fit.history) == 3 and fit.steps == 10
    assert torch.equal(fit.codes.values[0], numbers["in/codes"][0])


def test_changes_are_stored_as_those_of_tuning_are(invert, generator, numbers, tmp_path) -> None:
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    target = numbers["in/target"]
    whole, small = invert(iterations=1, keep=1.0), invert(iterations=1, rank=2)
    assert 0 < whole.weight_changes.error < 1e-3 < small.weight_changes.error < 1
    near = (render(whole, target, generator) - numbers["out/image0"]).abs().max()
    assert float(near) < 2e-2  # half precision
    made = Projection(target, small.codes, small.segments, generator, weight_changes=small.weight_changes, metrics={})
    made.save(tmp_path / "p.safetensors")
    again = chunkygan.load_projection(tmp_path / "p.safetensors", generator=generator)
    assert torch.equal(again.render(), made.render())
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_chunks_share_the_changed_generator(invert, halves, numbers, generator) -> None:
    """Two chunks with one code are one picture: their composite changes the generator as the whole does."""
    both = invert(masks=halves, iterations=2)
    assert both.segments.names == ("left", "right") and len(both.codes.values) == 2
    whole = [row["l2"] for row in invert(iterations=2).history]
    assert [row["l2"] for row in both.history] == pytest.approx(whole, rel=1e-3)


def test_it_goes_on_from_another_inverter_and_stops_when_told(invert) -> None:
    before = {"name": "optimization", "steps": 2}
    steps = []

    def listen(step: Any) -> None:
        steps.append(step.steps)
        if step.steps == 4:
            step.stop()

    fit = invert(before=before, iterations=4, start=None, listeners=[listen], trainer={"accelerator": "cpu"})
    assert steps == [2, 2, 4] and len(fit.history) == 1 + 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [16, 16, 8]}, "changes layer 9, but the generator has only 8 layers"),
        ({"channels": [16, 16, 12, 8]}, "shared maps give 2304 numbers, but layer 5"),
    ],
)
def test_a_generator_it_was_not_made_for_is_refused(options, message, checkpoint) -> None:
    size = 4 << (len(options["channels"]) - 1)
    other = create("generator", {"name": "stylegan2", "resolution": size, "z_dim": 16, "w_dim": 16, **options})
    with pytest.raises(WeightsError, match=message):
        HyperStyle(checkpoint, generator=other)


def test_other_files_are_refused_by_name(encoder_checkpoint, generator) -> None:
    with pytest.raises(WeightsError, match="holds no hypernetwork of HyperStyle: it is a state dict"):
        HyperStyle(encoder_checkpoint, generator=generator)


@pytest.fixture
def encoder_checkpoint(tmp_path) -> Any:
    torch.save({"fc": torch.ones(1)}, tmp_path / "x.pt")
    return tmp_path / "x.pt"
