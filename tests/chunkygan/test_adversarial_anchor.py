"""The anchor of adversarial training: what counts and how much, that it holds a generator, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from chunkygan._torchvision import ensure_importable

ensure_importable()

from chunkygan.build import create  # noqa: E402
from chunkygan.components.datasets.folder import Folder  # noqa: E402
from chunkygan.components.datasets.procfaces import ProcFaces  # noqa: E402
from chunkygan.components.generators.stylegan2_files import read_generator  # noqa: E402
from chunkygan.errors import ComponentError  # noqa: E402
from chunkygan.images import write_image  # noqa: E402
from chunkygan.lightning import adversarial_run  # noqa: E402
from chunkygan.lightning.adversarial_anchor import Anchor  # noqa: E402
from chunkygan.lightning.generator_export import draw  # noqa: E402

PERCEPTUAL = {"name": "lpips", "net": "procfaces", "weights": "procfaces_128_perceptual"}
CLASSES = ("background", "l_eye")
TINY: dict[str, Any] = dict(
    generator={"z_dim": 64, "w_dim": 16, "mapping_layers": 2, "channels": [16, 16, 8]}, augment=[], path_length=0.0,
    discriminator={"name": "stylegan2", "channels": [8, 8, 4]}, batch=8, first_items=16, item_growth=0, save_every=60,
    trainer={"accelerator": "cpu"}, gamma=0.0, learning_rate=0.005,
)  # fmt: skip


def pictures(seed: int, n: int = 2) -> torch.Tensor:
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def anchor(pixels: float = 1.0, features: float = 1.0) -> Anchor:
    return Anchor(CLASSES, pixels, features, create("perceptual", PERCEPTUAL))


def test_what_it_should_be_costs_nothing_and_the_terms_add_up():
    labels = torch.zeros(2, 32, 32, dtype=torch.long)
    assert float(anchor()(pictures(0), pictures(0), labels)) == 0
    one, other, both = (anchor(*weights)(pictures(0), pictures(1), labels) for weights in ((3, 0), (0, 2), (3, 2)))
    assert float(one) > 0 and float(other) > 0
    torch.testing.assert_close(both, one + other)


def test_what_is_finer_than_the_size_compared_is_free():
    labels, wanted = torch.zeros(1, 32, 32, dtype=torch.long), pictures(0, 1)
    chequers = 0.1 * (1 - 2 * (torch.arange(32)[:, None] + torch.arange(32)).remainder(2)).float()
    coarse = Anchor(CLASSES, 1.0, 0.0, None, size=16)
    assert float(coarse(wanted + chequers, wanted, labels)) == pytest.approx(0, abs=1e-6)
    assert float(anchor(1.0, 0.0)(wanted + chequers, wanted, labels)) > 0.05
    assert float(coarse(wanted + 0.1, wanted, labels)) == pytest.approx(0.1, rel=1e-4)


def test_eyes_count_more_than_background():
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[..., :16] = 1
    wanted, hold = pictures(0, 1), anchor(1.0, 0.0)
    off = [wanted.clone(), wanted.clone()]
    off[0][..., 2:8] += 0.1
    off[1][..., 24:30] += 0.1
    eye, background = (float(hold(drawn, wanted, labels)) for drawn in off)
    assert eye == pytest.approx(4 * background, rel=0.05)  # 4 and 1


def test_features_are_compared_in_their_own_units():
    """A picture without features, compared with any, is off by the whole of every map."""
    hold = anchor(0.0, 1.0)
    maps = [torch.full((1, 4, size, size), 5.0) for size in (8, 4)]
    answers = iter([maps, [torch.zeros_like(found) for found in maps]])
    hold.perceptual.taps = lambda images: next(answers)  # the wanted picture is asked about first
    loss = hold(pictures(0, 1), pictures(1, 1), torch.zeros(1, 32, 32, dtype=torch.long))
    assert float(loss) == pytest.approx(2.0)


def test_the_network_that_compares_does_not_learn():
    assert not any(parameter.requires_grad for parameter in anchor().parameters())


def error(path: Path, faces: ProcFaces) -> float:
    wanted = faces.rendering(range(16)).image
    return float((draw(read_generator(path), faces.latents(range(16))) - wanted).abs().mean())


def test_it_holds_pictures_to_their_latents(tmp_path):
    faces = ProcFaces(16, count=16, supersampling=1)
    torch.set_num_threads(1)

    def trained(pixels: float) -> Path:
        return adversarial_run.train(faces, tmp_path / f"{pixels}", 0, pictures=480, anchor_pixels=pixels, **TINY)

    anchored, free = error(trained(10.0), faces), error(trained(0.0), faces)
    assert anchored < 0.75 * free


def test_pictures_without_latents_are_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    write_image(tmp_path / "photos" / "0.png", pictures(0, 1))
    photos = Folder(str(tmp_path / "photos"), 16, minimum=1)
    with pytest.raises(ComponentError, match="no pictures of latents; both must be 0"):
        adversarial_run.train(photos, tmp_path / "run", 0, anchor_pixels=1.0, **TINY)


def test_latents_of_another_width_and_a_missing_network_are_refused(tmp_path):
    faces = ProcFaces(16, count=16, supersampling=1)
    narrow = {**TINY, "generator": {**TINY["generator"], "z_dim": 8}}
    with pytest.raises(ComponentError, match="latents of 8 numbers, and the data set knows latents of 64 numbers"):
        adversarial_run.train(faces, tmp_path / "run", 0, anchor_pixels=1.0, **narrow)
    with pytest.raises(ComponentError, match="no perceptual network"):
        adversarial_run.train(faces, tmp_path / "run", 0, anchor_features=1.0, **TINY)
