"""StyleFlow: the public layout's numbers, densities by a second way, edits of codes, and bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("torchdiffeq")

from chunkygan import registry
from chunkygan.build import create
from chunkygan.checkpoint_files.flow_states import FlowConfig, public_attributes, read_flow, write_flow
from chunkygan.components.edits import styleflow_network
from chunkygan.components.edits.styleflow import StyleFlow, flow_of
from chunkygan.components.edits.styleflow_network import ConditionalFlow
from chunkygan.components.latent_spaces.s import S
from chunkygan.components.latent_spaces.w import W
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.errors import ComponentError, ProjectionError, ShapeError, WeightsError
from chunkygan.interfaces import Classifier

NAMES = ("smile", "age", "light")


@pytest.fixture(scope="module")
def peers(request):
    path = request.config.rootpath / "tests" / "data" / "styleflow_tiny.npz"
    return {name: torch.from_numpy(value) for name, value in np.load(path).items()}


@pytest.fixture(scope="module")
def public(peers, tmp_path_factory):
    """A file as the public one is: a bare state dict saved by torch."""
    path = tmp_path_factory.mktemp("flow") / "modellarge10k.pt"
    torch.save({name[6:]: value for name, value in peers.items() if name.startswith("param/")}, path)
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A flow of three attributes as `train_styleflow` writes it, with random weights."""
    torch.manual_seed(4)
    flow = ConditionalFlow(16, 3, [12])
    flow.context_mean.copy_(torch.tensor([0.5, 30.0, 0.0]))
    flow.context_spread.copy_(torch.tensor([0.2, 10.0, 1.0]))
    config = FlowConfig(16, (12,), NAMES, (0.2, 10.0, 1.0), classifier={"name": "sight"})
    return write_flow(tmp_path_factory.mktemp("own") / "styleflow.safetensors", flow.state_dict(), config)


class Sight(Classifier):
    """Attributes from the mean colour of a picture."""

    names = ("age", "light", "smile")

    def forward(self, images):
        return images.mean((2, 3)) * torch.tensor([20.0, 1.0, 0.5])


@pytest.fixture
def sight():
    registry.register("classifier", "sight", Sight)


def test_the_public_layout_gives_the_peers_numbers(peers, public):
    state, config = read_flow(public)
    flow, w = flow_of(config, state, public), peers["in/w"].double()
    before, after = (peers[f"in/context_{name}"].reshape(1, 17).double() for name in ("src", "dst"))
    normal = flow(w, before)
    # The peers solve in single precision to 1e-5: their own round trip misses by 1.3e-4.
    torch.testing.assert_close(normal.float(), peers["out/z"], atol=5e-5, rtol=0)
    torch.testing.assert_close(flow.inverse(normal, after).float(), peers["out/w_edited"], atol=1e-4, rtol=0)
    torch.testing.assert_close(flow.inverse(normal, before).float(), peers["out/w_roundtrip"], atol=2e-4, rtol=0)
    torch.testing.assert_close(flow.inverse(normal, before), w, atol=5e-5, rtol=0)


def test_what_is_told_of_the_public_layout(public):
    _, config = read_flow(public)
    assert (config.w_dim, config.hidden, config.names) == (16, (24, 24), public_attributes()[0])
    assert config.names[8:11] == ("light_8", "gender", "glasses") and config.names[-1] == "smile"
    assert config.rows["beard"] == (5, 10) and config.units[config.names.index("yaw")] == pytest.approx(40 / 12**0.5)


def test_densities_are_those_of_the_jacobian():
    torch.manual_seed(0)
    flow = ConditionalFlow(3, 2, [8]).double()
    flow.chain[0].running_mean.copy_(torch.tensor([0.1, -0.2, 0.3]))
    flow.chain[2].weight.data.copy_(torch.tensor([0.2, -0.1, 0.05]))
    w, context = torch.randn(2, 3).double(), torch.randn(2, 2).double()
    axes = math.sqrt(3) * torch.eye(3).double()[:, None].expand(3, 2, 3)
    found = flow.log_density(w, context, axes, steps=24)
    for i in range(2):
        own = context[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda x, own=own: flow(x[None, None], own)[0, 0], w[i])
        normal = flow(w[i : i + 1, None], own)[0, 0]
        density = torch.distributions.Normal(0.0, 1.0).log_prob(normal).sum() + jacobian.det().abs().log()
        assert found[i].item() == pytest.approx(density.item(), abs=1e-4)


def test_an_edit_asks_the_classifier_and_changes_by_standard_deviations(own, sight, tiny):
    space = WPlus(tiny)
    code = space.sample(2, rng=torch.Generator().manual_seed(1))
    edit = create("edit", {"name": "styleflow", "weights": str(own), "changes": {"age": 0.5}}, generator=tiny)
    seen = Sight()(tiny.synthesis(tiny.styles(code)).clamp(-1, 1))[:, [2, 0, 1]].double()
    torch.testing.assert_close(edit.attributes(code, space), seen)
    wanted = seen + torch.tensor([0.0, 2.0 * 0.5 * 10.0, 0.0])
    by_hand = edit.flow.inverse(edit.flow(code.double(), seen), wanted).float()
    moved = edit.apply(code, space, 2.0)
    torch.testing.assert_close(moved, by_hand, atol=1e-4, rtol=0)
    assert float((moved - code).abs().max()) > 0.01
    torch.testing.assert_close(edit.apply(code[:1], space, 2.0), moved[:1], atol=1e-5, rtol=0)  # alone or among others
    assert torch.equal(edit.apply(code, space, 0.0), code)
    there = edit.apply(code, space, 1e-9)
    torch.testing.assert_close(there, code, atol=1e-4, rtol=0)  # no jump beside the short cut at 0


def test_codes_of_w_move_as_all_rows_of_w_plus_do(own, tiny):
    present = {"smile": 0.1, "age": 20.0, "light": 0.3}
    edit = StyleFlow({"smile": 1.0, "light": -1.0}, own, present=present, generator=tiny)
    code = W(tiny).sample(1, rng=torch.Generator().manual_seed(1))
    rows = edit.apply(code[:, None].expand(1, tiny.num_ws, -1), WPlus(tiny), 1.5)
    torch.testing.assert_close(rows, edit.apply(code, W(tiny), 1.5)[:, None].expand_as(rows), atol=1e-4, rtol=0)


def test_only_the_rows_meant_move(public, own, tiny):
    code = WPlus(tiny).sample(1, rng=torch.Generator().manual_seed(1))
    everything = dict.fromkeys(public_attributes()[0], 0.2)
    for change, rows, moving in (("glasses", None, (2, 4)), ("glasses", (1, 3), (1, 3)), ("beard", None, (5, 8))):
        edit = StyleFlow({change: 1.0}, public, present=everything, rows=rows, generator=tiny)
        still = (edit.apply(code, WPlus(tiny), 1.0) == code).all(2)[0]
        assert [i for i, same in enumerate(still) if not same] == list(range(*moving))
    with pytest.raises(ProjectionError, match="a code of W has no rows"):
        StyleFlow({"glasses": 1.0}, public, present=everything, rows=(1, 3)).apply(code[:, 0], W(tiny), 1.0)


def test_strengths_far_out_are_told(own):
    edit = StyleFlow({"smile": 2.0}, own)
    assert edit.warning(3.0) is None and "6.2 standard deviations" in edit.warning(-3.1)


def test_bad_input(own, public, tiny, tmp_path, peers):
    given = {"smile": 0.1, "age": 20.0, "light": 0.3}
    space = WPlus(tiny)
    code = space.sample(1, rng=torch.Generator().manual_seed(1))
    with pytest.raises(ComponentError, match="no attribute 'smiel'.*did you mean 'smile'"):
        StyleFlow({"smiel": 1.0}, own)
    with pytest.raises(ComponentError, match="changes.smile: must be a finite number; got nan"):
        StyleFlow({"smile": math.nan}, own)
    with pytest.raises(WeightsError, match="another flow than the edit was made with"):
        StyleFlow({"smile": 1.0}, own, sha256="0" * 64)
    with pytest.raises(ProjectionError, match="names no classifier: give light_0, light_1"):
        StyleFlow({"smile": 1.0}, public, generator=tiny).apply(code, space, 1.0)
    with pytest.raises(ShapeError, match="finite"):
        StyleFlow({"smile": 1.0}, own, present=given).apply(code * math.nan, space, 1.0)
    with pytest.raises(ShapeError, match="one of S, or of another generator"):
        StyleFlow({"smile": 1.0}, own, present=given).apply(S(tiny).mean()[None], S(tiny), 0.0)
    with pytest.raises(ProjectionError, match="rows must lie in 0 to 8"):
        StyleFlow({"smile": 1.0}, own, rows=(3, 9), generator=tiny)
    state, config = read_flow(own)
    wide = write_flow(tmp_path / "wide.safetensors", ConditionalFlow(20, 3, [4]).state_dict(), config)
    with pytest.raises(ComponentError, match="for a W of width 20; the generator's has 16"):
        StyleFlow({"smile": 1.0}, wide, generator=tiny)
    odd = {**state, "chain.2.bias": torch.full((16,), math.nan)}
    with pytest.raises(WeightsError, match="chain.2.bias holds numbers that are not finite"):
        StyleFlow({"smile": 1.0}, write_flow(tmp_path / "nan.safetensors", odd, config))
    short = write_flow(tmp_path / "short.safetensors", state, replace(config, names=NAMES[:2], units=(1.0, 1.0)))
    with pytest.raises(WeightsError, match="tells 2 attributes, 2 units above 0; its tensors are for 3"):
        StyleFlow({"smile": 1.0}, short)
    torch.save(state, tmp_path / "nameless.pt")
    with pytest.raises(WeightsError, match="conditioned on 3 attributes and does not name them"):
        StyleFlow({"smile": 1.0}, tmp_path / "nameless.pt")
    torch.save({k[6:]: v for k, v in peers.items() if "chain.1." in k}, tmp_path / "part.pt")
    with pytest.raises(WeightsError, match="do not fit each other"):
        StyleFlow({"smile": 1.0}, tmp_path / "part.pt")


def test_an_equation_without_a_solution_is_told(own, tiny, monkeypatch):
    monkeypatch.setattr(styleflow_network, "MOST_STEPS", 1)
    edit = StyleFlow({"smile": 1.0}, own, present={"smile": 0.1, "age": 20.0, "light": 0.3}, generator=tiny)
    code = WPlus(tiny).sample(1, rng=torch.Generator().manual_seed(1))
    with pytest.raises(ProjectionError, match="cannot be solved"):
        edit.apply(50 * code, WPlus(tiny), 1.0)
