"""LPIPS against recorded numbers of its authors' code, against the package itself, and on its own rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from chunkygan.components.perceptual import published_backbone
from chunkygan.components.perceptual.lpips import Lpips
from chunkygan.errors import ComponentError, ShapeError, WeightsError

DATA = Path(__file__).parents[2] / "data"
NETS = ["alex", "squeeze", "vgg"]
# The package builds its networks with an argument that torchvision has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*'(pretrained|weights)'.*:UserWarning:torchvision")


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    """Inputs and outputs of the authors' code with formula weights."""
    with np.load(DATA / "lpips_formula.npz", allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def pictures(n: int = 2, size: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("net", NETS)
def test_recorded_distances_come_out_in_sum_and_per_tap(net, recorded, formula_file, formula_head) -> None:
    perceptual = Lpips(net, formula_file(net))
    for k, head in enumerate(perceptual.backbone.heads):
        head.data = formula_head(k, len(head))
    a, b = perceptual.features(recorded["in/a"]), perceptual.features(recorded["in/b"])
    taps = torch.stack([perceptual.distance([x], [y]) for x, y in zip(a, b)], dim=1)
    assert torch.allclose(taps, recorded[f"out/{net}_layers"].reshape(taps.shape), atol=2e-6, rtol=1e-4)
    assert torch.allclose(perceptual.distance(a, b), recorded[f"out/{net}"].flatten(), atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("net", NETS)
def test_distances_equal_those_of_the_lpips_package(net, formula_file) -> None:
    x, y = pictures(seed=1), pictures(seed=2)
    ours = Lpips(net, formula_file(net))
    theirs = package_lpips(net, torch.load(formula_file(net), weights_only=True))
    with torch.no_grad():
        assert torch.allclose(ours(x, y), theirs(x, y).flatten(), atol=1e-6, rtol=0)


def package_lpips(net: str, state: dict[str, Tensor]) -> torch.nn.Module:
    """The package's own module with its own heads and the given backbone."""
    import lpips

    module = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    names = module.net.state_dict()
    module.net.load_state_dict({name: state["features." + name.split(".", 1)[1]] for name in names})
    return module


def test_gradients_equal_those_of_the_lpips_package(formula_file) -> None:
    theirs = package_lpips("squeeze", torch.load(formula_file("squeeze"), weights_only=True))
    ours = Lpips("squeeze", formula_file("squeeze"))
    gradients = []
    for distance in (ours, theirs):
        x = pictures(seed=1).requires_grad_()
        distance(x, pictures(seed=2)).sum().backward()
        gradients.append(x.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-7, rtol=1e-3)


def test_half_precision_weights_are_read_as_single(formula_file, tmp_path) -> None:
    state = torch.load(formula_file("squeeze"), weights_only=True)
    torch.save({name: value.half() for name, value in state.items()}, tmp_path / "half.pth")
    perceptual = Lpips("squeeze", tmp_path / "half.pth")
    assert {parameter.dtype for parameter in perceptual.parameters()} == {torch.float32}
    full = Lpips("squeeze", formula_file("squeeze"))
    assert torch.allclose(perceptual(pictures(), -pictures()), full(pictures(), -pictures()), rtol=1e-2)


def test_the_name_carries_the_network(formula_file) -> None:
    assert Lpips("alex", formula_file("alex")).name == "lpips_alex"


def test_it_is_frozen_and_stays_in_evaluation_mode(formula_file) -> None:
    perceptual = torch.nn.Sequential(Lpips("squeeze", formula_file("squeeze"))).train()[0]
    assert not any(parameter.requires_grad for parameter in perceptual.parameters())
    assert not any(module.training for module in perceptual.modules())


def test_building_leaves_the_random_state_alone(formula_file) -> None:
    before = torch.get_rng_state()
    Lpips("squeeze", formula_file("squeeze"))
    assert torch.equal(before, torch.get_rng_state())


def test_gradient_is_finite_where_all_features_are_zero(formula_file) -> None:
    perceptual = Lpips("squeeze", formula_file("squeeze"))
    first = perceptual.backbone.network.slice1[0]
    first.weight.data.zero_()
    first.bias.data.fill_(-1)  # every feature of the first tap is 0 at every pixel
    x = pictures().requires_grad_()
    perceptual(x, pictures(seed=3)).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_one_target_serves_many_pictures(formula_file) -> None:
    perceptual = Lpips("squeeze", formula_file("squeeze"))
    target, many = pictures(1, seed=5), pictures(3, seed=6)
    together = perceptual.distance(perceptual.features(many), perceptual.features(target))
    assert torch.allclose(together, perceptual(many, target.expand(3, -1, -1, -1)), atol=1e-6)


def test_resize_averages_larger_pictures_down_and_leaves_smaller_alone(formula_file) -> None:
    plain = Lpips("squeeze", formula_file("squeeze"))
    reduced = Lpips("squeeze", formula_file("squeeze"), resize=32)
    x, y = pictures(seed=1), pictures(seed=2)
    halves = [torch.nn.functional.avg_pool2d(image, 2) for image in (x, y)]
    assert torch.allclose(reduced(x, y), plain(*halves), atol=1e-6)
    assert torch.equal(reduced(*halves), plain(*halves))


def test_half_precision_pictures_do_not_overflow(formula_file) -> None:
    perceptual = Lpips("squeeze", formula_file("squeeze"))
    x, y = pictures(seed=1), pictures(seed=2)
    expected = perceptual(x, y)
    assert torch.allclose(perceptual.bfloat16()(x.bfloat16(), y.bfloat16()), expected, rtol=0.05)


@pytest.mark.parametrize("net", NETS)
def test_pictures_too_small_for_the_network_are_refused(net, formula_file) -> None:
    perceptual = Lpips(net, formula_file(net))
    smallest = perceptual.backbone.min_size
    assert torch.isfinite(perceptual(pictures(1, smallest), -pictures(1, smallest))).all()
    with pytest.raises(ShapeError, match=f"at least {smallest} pixels"):
        perceptual.features(pictures(1, smallest - 1))


def test_a_picture_with_one_channel_is_refused(formula_file) -> None:
    with pytest.raises(ShapeError, match="n, 3, h, w"):
        Lpips("squeeze", formula_file("squeeze")).features(torch.zeros(1, 1, 64, 64))


def test_missing_weights_say_what_where_and_how(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as error:
        Lpips("vgg")
    for part in ("vgg16-397923af.pth", str(tmp_path), "https://download.pytorch.org/models/", "weights: PATH"):
        assert part in str(error.value)


def test_weights_are_found_in_the_hub_cache(tmp_path, monkeypatch, formula_file) -> None:
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "squeezenet1_1-b8a52dc0.pth").symlink_to(formula_file("squeeze"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert Lpips("squeeze").name == "lpips_squeeze"


def test_weights_of_another_network_are_refused(formula_file) -> None:
    with pytest.raises(WeightsError, match="not torchvision's vgg16 weights"):
        Lpips("vgg", formula_file("alex"))


def test_a_network_nobody_published_needs_a_file() -> None:
    with pytest.raises(ComponentError, match="alex, vgg, squeeze"):
        Lpips("resnet")


def test_heads_of_the_package_are_non_negative() -> None:
    for net in NETS:
        assert all(bool((head >= 0).all()) for head in published_backbone._read_heads(net))


@pytest.mark.realdata
def test_real_weights_give_the_published_numbers(realdata) -> None:
    perceptual = Lpips("squeeze", realdata / "backbones" / "squeezenet1_1-torchvision-fp16.pth")
    reference, first, second = (read(realdata / "lpips_example" / f"ex_{name}.png") for name in ("ref", "p0", "p1"))
    assert perceptual(reference, first).item() == pytest.approx(0.7112, abs=5e-5)
    assert perceptual(reference, second).item() == pytest.approx(0.1479, abs=5e-5)


@pytest.mark.realdata
def test_real_weights_give_the_numbers_of_torchmetrics_example(realdata) -> None:
    perceptual = Lpips("squeeze", realdata / "backbones" / "squeezenet1_1-torchvision-fp16.pth")
    rng = torch.Generator().manual_seed(42)
    x, y = (torch.rand(2, 3, 100, 100, generator=rng) * 2 - 1 for _ in range(2))
    assert torch.allclose(perceptual(x, y), torch.tensor([0.1024, 0.0938]), atol=5e-5)


def read(path: Path) -> Tensor:
    """(1, 3, h, w) in [-1, 1]."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
