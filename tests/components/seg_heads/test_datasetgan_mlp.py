"""The pixel classifiers: the peers' numbers, the plain full stack, published files, and what is refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from chunkygan.build import create
from chunkygan.components.seg_heads.datasetgan_mlp import DatasetGanMlp, PixelClassifier
from chunkygan.ensemble import mean_probability, picture_uncertainty, uncertainty, vote
from chunkygan.errors import ComponentError, WeightsError
from chunkygan.network_file import write_network

NAMES = ["background", "skin", "eye", "mouth", "hair"]


@pytest.fixture(scope="module")
def peers(fixtures):
    return dict(np.load(fixtures / "datasetgan_tiny_lt32.npz", allow_pickle=False))


@pytest.fixture(scope="module")
def peers_logits(peers):
    found = []
    for k in range(3):
        model = PixelClassifier(24, 5, (128, 32))
        prefix = f"model{k}/"
        state = {n.removeprefix(prefix): torch.from_numpy(v) for n, v in peers.items() if n.startswith(prefix)}
        model.load_state_dict(state)
        found.append(model.eval()(torch.from_numpy(peers["in/features"])))
    return torch.stack(found).detach()


@pytest.fixture
def lively(tiny):
    """A head with statistics that are not 0 and 1, so that nothing hides behind them."""
    torch.manual_seed(3)
    head = DatasetGanMlp(tiny, NAMES, models=3)
    for module in head.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.normal_()
            module.bias.data.normal_()
        elif isinstance(module, nn.Linear):
            module.weight.data.mul_(5)
            module.bias.data.normal_()
    return head.requires_grad_(False).eval()


@pytest.fixture
def maps(tiny):
    ws = tiny.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(5)))
    return tiny.feature_stack(tiny.styles(ws))


def test_logits_are_the_peers(peers, peers_logits):
    torch.testing.assert_close(peers_logits, torch.from_numpy(peers["out/logits"]), atol=1e-5, rtol=1e-5)


def test_mean_probability_uncertainty_and_votes_are_the_peers(peers, peers_logits):
    expected = {name: torch.from_numpy(np.asarray(peers[f"out/{name}"])) for name in ("mean_prob", "js", "label_mode")}
    torch.testing.assert_close(mean_probability(peers_logits), expected["mean_prob"], atol=1e-6, rtol=1e-5)
    found = uncertainty(peers_logits)
    torch.testing.assert_close(found, expected["js"], atol=1e-6, rtol=1e-4)
    assert torch.equal(vote(peers_logits), expected["label_mode"])
    assert peers_logits.mean(0).argmax(1).tolist() == peers["out/label_meanlogit"].tolist()
    score = picture_uncertainty(found.reshape(1, 10, 20))
    assert float(score) == pytest.approx(float(peers["out/score_top10pct"]), rel=1e-4)


def test_maps_are_never_stacked_and_nothing_changes(lively, maps):
    stack = torch.cat([F.interpolate(m, size=(32, 32), mode="bilinear", align_corners=False) for m in maps], 1)
    pixels = stack.permute(0, 2, 3, 1).flatten(0, 2)
    plain = torch.stack([one(pixels).reshape(2, 32, 32, 5).permute(0, 3, 1, 2) for one in lively.classifiers])
    torch.testing.assert_close(lively(maps, size=(32, 32)), plain, atol=1e-4, rtol=1e-4)


def test_another_size_is_that_of_the_stack(lively, maps):
    stack = torch.cat([F.interpolate(m, size=(20, 12), mode="bilinear", align_corners=False) for m in maps], 1)
    plain = lively.classifiers[0](stack.permute(0, 2, 3, 1).flatten(0, 2)).reshape(2, 20, 12, 5)
    found = lively(maps, size=(20, 12), models=1)
    assert found.shape == (1, 2, 5, 20, 12)
    torch.testing.assert_close(found[0].permute(0, 2, 3, 1), plain, atol=1e-4, rtol=1e-4)


def test_the_stack_is_the_constant_and_then_every_convolution(tiny, maps):
    assert [m.shape[1] for m in maps] == [24, 24, 24, 24, 16, 16, 8, 8] == tiny.feature_widths()
    assert [m.shape[2] for m in maps] == [4, 4, 8, 8, 16, 16, 32, 32]
    assert torch.equal(maps[0][1], tiny.constant())


def test_gradients_reach_the_codes(tiny, lively):
    ws = tiny.w_avg.expand(1, tiny.num_ws, -1).clone().requires_grad_()
    lively(tiny.feature_stack(tiny.styles(ws)), size=(32, 32)).square().mean().backward()
    assert ws.grad.isfinite().all() and (ws.grad != 0).any()


@pytest.mark.parametrize(("count", "hidden"), [(31, [128, 32]), (32, [256, 128])])
def test_widths_follow_the_number_of_classes(tiny, count, hidden):
    head = DatasetGanMlp(tiny, [f"c{i}" for i in range(count)], models=1)
    assert head.config["hidden"] == hidden
    assert head.classifiers[0].layers[6].weight.shape == (count, hidden[1])


def test_ten_models_unless_told_otherwise(tiny):
    assert len(DatasetGanMlp(tiny, NAMES).classifiers) == 10


def test_a_file_gives_the_same_head(tiny, lively, maps, tmp_path):
    config = {key: value for key, value in lively.config.items() if key != "kind"}
    path = write_network(tmp_path / "head.safetensors", "seg_head", config, lively)
    again = create("seg_head", {"name": "datasetgan_mlp", "weights": str(path)}, generator=tiny)
    assert again.classes == tuple(NAMES) and not again.training
    assert (again.labels(maps, size=(32, 32)) == lively.labels(maps, size=(32, 32))).float().mean() > 0.98
    assert len(DatasetGanMlp(weights=path, models=2).classifiers) == 2


def test_published_heads_load(tiny, lively, maps, tmp_path):
    for k, one in enumerate(lively.classifiers):
        state = {f"module.{name}": value for name, value in one.state_dict().items()}
        torch.save({"model_state_dict": state}, tmp_path / f"car_model_{k}.pth")
    again = DatasetGanMlp(tiny, weights=tmp_path)
    assert again.classes == tuple(f"class_{i}" for i in range(5))
    torch.testing.assert_close(again(maps, size=(32, 32)), lively(maps, size=(32, 32)))


def test_a_head_for_another_generator_is_refused(tiny, lively, tmp_path):
    config = {**lively.config, "widths": [*lively.widths[:-1], 7]}
    del config["kind"]
    path = write_network(tmp_path / "head.safetensors", "seg_head", config, lively)
    with pytest.raises(ComponentError, match="for another generator"):
        DatasetGanMlp(tiny, weights=path)
    with pytest.raises(ComponentError, match="for another generator"):
        lively([torch.zeros(1, 3, 4, 4)], size=(4, 4))


def test_one_class_only_is_refused(tiny):
    with pytest.raises(ComponentError, match="two classes"):
        DatasetGanMlp(tiny, ["face"])


def test_published_heads_for_another_generator_are_refused(tiny, tmp_path):
    torch.save({"model_state_dict": PixelClassifier(9, 3, (128, 32)).state_dict()}, tmp_path / "model_0.pth")
    with pytest.raises(WeightsError, match="trained for another generator"):
        DatasetGanMlp(tiny, weights=tmp_path)


def test_a_head_that_was_trained_on_scaled_channels_reads_them_as_they_are(lively):
    rng = torch.Generator().manual_seed(1)
    pixels = torch.randn(50, sum(lively.widths), generator=rng)
    mean, scale = torch.randn(pixels.shape[1], generator=rng), torch.rand(pixels.shape[1], generator=rng) + 0.5
    expected = [one((pixels - mean) / scale) for one in lively.classifiers]
    lively.absorb(mean, scale)
    for one, wanted in zip(lively.classifiers, expected):
        torch.testing.assert_close(one(pixels), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (48, 20), (8, 8)])
def test_logits_of_single_pixels_are_those_of_the_whole_picture_there(tiny, lively, size):
    codes = tiny.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(5)))
    maps = [m.requires_grad_() for m in tiny.feature_stack(tiny.styles(codes))]
    where = torch.rand(size, generator=torch.Generator().manual_seed(6)) < 0.2
    where[0, 0] = where[-1, -1] = True
    whole, some = lively(maps, size=size)[..., where], lively.of_pixels(maps, where)
    torch.testing.assert_close(some, whole, atol=1e-4, rtol=1e-4)
    weights = torch.randn(whole.shape, generator=torch.Generator().manual_seed(7))
    expected, found = (torch.autograd.grad((x * weights).sum(), maps, retain_graph=True) for x in (whole, some))
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, atol=1e-3 * float(b.abs().max()), rtol=1e-3)
