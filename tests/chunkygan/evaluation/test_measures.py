"""Measures: their names, sizes and ranges, and what a preset says that lacks its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from chunkygan import register
from chunkygan.errors import RecipeError, WeightsError
from chunkygan.evaluation import measures
from chunkygan.evaluation.measures import PRESETS, Preset, as_8_bits, at_size, measures_of
from chunkygan.interfaces import Identity, Perceptual
from chunkygan.jobs import MEASURE_PRESETS


class Means(Perceptual):
    """Squared difference of means, and of nothing else."""

    def __init__(self, net: str = "means", resize: int | None = None) -> None:
        super().__init__()
        self.name, self.resize = f"lpips_{net}", resize

    def features(self, images: Tensor) -> list[Tensor]:
        return [images.mean((1, 2, 3))]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return (a[0] - b[0]).square()


class Directions(Identity):
    name = "identity_directions"

    def embed(self, images: Tensor) -> Tensor:
        return torch.nn.functional.normalize(images.mean((2, 3)))


def test_the_names_that_recipes_may_say_are_the_presets() -> None:
    assert set(MEASURE_PRESETS) == set(PRESETS)


def test_the_recipe_s_own_measures_come_first() -> None:
    found = measures_of(Means(), Directions(), [], (8, 8))
    assert [m.name for m in found] == ["l2", "lpips_means", "identity_directions"]
    a, b = torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), -0.5)
    assert [m(a, b) for m in found] == pytest.approx([1.0, 1.0, 2.0])


@pytest.mark.parametrize("resize, name", [(None, "lpips_means"), (8, "lpips_means"), (4, "lpips_means_4")])
def test_a_size_below_the_picture_s_is_part_of_the_name(resize: int | None, name: str) -> None:
    assert measures_of(Means(resize=resize), None, [], (6, 8))[1].name == name


def test_the_same_name_twice_is_refused() -> None:
    register("perceptual", "means", Means)
    with pytest.raises(RecipeError, match="lpips_means is measured already"):
        measures_of(Means(), None, [{"name": "means"}], (8, 8))
    found = measures_of(Means(), None, [{"name": "means", "net": "other"}], (8, 8))
    assert found[-1].name == "lpips_other"


def test_a_preset_s_size_is_in_its_names_and_its_pixels_are_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    register("perceptual", "means", Means)
    monkeypatch.setitem(measures.PRESETS, "celebahq_256_alex", Preset({"name": "means", "net": "x"}, None, 4))
    found = measures_of(Means(), None, ["celebahq_256_alex"], (8, 8))
    assert [m.name for m in found] == ["l2", "lpips_means", "l2_4", "lpips_x_4"]
    a, b = torch.full((1, 3, 8, 8), 7.0), torch.full((1, 3, 8, 8), 1.0)
    by_name = {m.name: m(a, b) for m in found}
    assert by_name["l2"] == 36 and by_name["l2_4"] == 0 and by_name["lpips_x_4"] == 0  # a file holds no 7
    assert {m.source for m in found[2:]} == {"preset celebahq_256_alex"}


def test_a_preset_adds_nothing_that_is_measured_already(monkeypatch: pytest.MonkeyPatch) -> None:
    register("perceptual", "means", Means)
    register("identity", "directions", Directions)
    monkeypatch.setitem(measures.PRESETS, "chunky", Preset({"name": "means"}, {"name": "directions"}, None))
    found = measures_of(Means(), None, ["chunky"], (8, 8))
    assert [m.name for m in found] == ["l2", "lpips_means", "identity_directions"]


def test_a_preset_names_every_file_that_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_CACHE_HOME", "TORCH_HOME", "CHUNKYGAN_CHECKPOINTS"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError) as error:
        measures_of(Means(), None, ["chunky", "celebahq_256_alex"], (8, 8))
    text = str(error.value)
    assert "measures: chunky: " in text and "measures: celebahq_256_alex: " in text
    for file in ("vgg16-397923af.pth", "model_ir_se50.pth", "alexnet-owt-"):
        assert file in text, file


@pytest.mark.parametrize("side", [24, 40, 32])
def test_pictures_are_resized_as_pillow_does(side: int) -> None:
    levels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    want = np.asarray(Image.fromarray(levels).resize((32, 32), Image.Resampling.BILINEAR), dtype=np.int64)
    image = torch.from_numpy(levels).permute(2, 0, 1)[None].float() / 127.5 - 1
    got = ((at_size(image, 32)[0].permute(1, 2, 0) + 1) * 127.5).round().long().numpy()
    assert np.abs(got - want).max() <= 1  # Pillow rounds after each of the two directions


def test_8_bits_are_the_levels_of_a_file() -> None:
    found: Any = as_8_bits(torch.tensor([-1.5, -1.0, 0.0, 0.001, 1.0, 3.0]))
    assert found.tolist() == pytest.approx([-1, -1, 1 / 255, 1 / 255, 1, 1], abs=1e-6)


@pytest.mark.realdata
def test_a_published_network_measures_beside_the_recipe_s(realdata: Path) -> None:
    weights = str(realdata / "backbones" / "squeezenet1_1-torchvision-fp16.pth")
    spec = {"name": "lpips", "net": "squeeze", "weights": weights, "resize": 64}
    found = measures_of(Means(), None, [spec], (128, 128))
    assert found[-1].name == "lpips_squeeze_64" and found[-1].what == "Lpips, squeeze"
