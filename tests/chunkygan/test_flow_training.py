"""Training of a StyleFlow where the truth is known, exact resume, and edits by flows in projections and commands."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from chunkygan._torchvision import ensure_importable

ensure_importable()
pytest.importorskip("torchdiffeq")

import chunkygan  # noqa: E402
from chunkygan import registry  # noqa: E402
from chunkygan.checkpoint_files.flow_states import FlowConfig, read_flow, write_flow  # noqa: E402
from chunkygan.cli.main import main  # noqa: E402
from chunkygan.components.edits.styleflow_network import ConditionalFlow  # noqa: E402
from chunkygan.components.latent_spaces.w_plus import WPlus  # noqa: E402
from chunkygan.errors import ProjectionError, RecipeError, WeightsError  # noqa: E402
from chunkygan.generator_file import write_generator  # noqa: E402
from chunkygan.interfaces import Classifier  # noqa: E402
from chunkygan.lightning import flow_training  # noqa: E402
from chunkygan.lightning.flow_scores import linear_density  # noqa: E402
from chunkygan.projection import Projection  # noqa: E402
from chunkygan.recipe import load  # noqa: E402
from chunkygan.tensor_files import read_safetensors, write_safetensors  # noqa: E402
from chunkygan.types import Codes, Segments  # noqa: E402
from chunkygan.weights import sha256  # noqa: E402

CPU = {"accelerator": "cpu"}


class Sight(Classifier):
    names = ("red", "green", "blue")

    def __init__(self, constant: bool = False) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, images):
        seen = images.mean((2, 3)) * torch.tensor([1.0, 10.0, 0.1])
        return seen * torch.tensor([1.0, 0.0, 1.0]) if self.constant else seen


@pytest.fixture(autouse=True)
def sight():
    registry.register("classifier", "sight", Sight)


def a_flow(path, names=Sight.names, digest=None, scale=1.0):
    """A flow of random weights for the tiny generator."""
    torch.manual_seed(4)
    flow = ConditionalFlow(16, len(names), [12])
    with torch.no_grad():
        for parameter in flow.chain[1].odefunc.parameters():
            parameter.mul_(scale)
    config = FlowConfig(16, (12,), names, (0.2,) * len(names), classifier={"name": "sight"}, generator_sha256=digest)
    return write_flow(path, flow.state_dict(), config)


def conditional_gaussian(n, seed=0):
    """Codes whose mean is linear in two attributes that go together; (n, 3), (n, 2), and the slope (3, 2)."""
    random = torch.Generator().manual_seed(seed)
    attributes = torch.randn(n, 2, generator=random) @ torch.tensor([[1.0, 0.6], [0.0, 0.8]])
    slope = torch.tensor([[1.0, 0.0], [0.5, -1.0], [0.0, 0.3]])
    noise = torch.randn(n, 3, generator=random) @ torch.diag(torch.tensor([0.5, 0.8, 0.3]))
    return 2.0 + attributes @ slope.T + noise, attributes, slope


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A flow that was trained on conditional Gaussians."""
    torch.manual_seed(0)
    codes, attributes, slope = conditional_gaussian(2000)
    config = FlowConfig(3, (16,), ("a", "b"), (1.0, 1.0))
    flow = flow_training._begun(config, codes, attributes, 0.0)
    module = flow_training.FlowTraining(
        flow, codes, attributes, steps=200, batch=128, learning_rate=2e-2, solver_steps=3, noise=0.0, seed=0
    )
    flow_training.fit(
        module, tmp_path_factory.mktemp("toy") / "state.ckpt", steps=200, every=1000, options=CPU
    )
    return flow.double(), slope


def test_a_trained_flow_moves_codes_by_the_right_amount(learnt):
    flow, slope = learnt
    codes, attributes, _ = conditional_gaussian(400, seed=1)
    codes, attributes = codes.double()[:, None], attributes.double()
    with torch.no_grad():
        normal = flow(codes, attributes)
        for i in range(2):
            step = torch.zeros(2).double()
            step[i] = 1.0
            moved = (flow.inverse(normal, attributes + step) - codes)[:, 0]
            torch.testing.assert_close(moved.mean(0).float(), slope[:, i], atol=0.12, rtol=0)
        assert float(normal.mean().abs()) < 0.1 and float((normal.std((0, 1)) - 1).abs().max()) < 0.15


def test_a_trained_flow_gives_codes_the_density_that_they_have(learnt):
    flow, _ = learnt
    codes, attributes, slope = conditional_gaussian(400, seed=1)
    off = codes - 2.0 - attributes @ slope.T
    truth = torch.distributions.Normal(0.0, torch.tensor([0.5, 0.8, 0.3])).log_prob(off).sum(1).mean()
    axes = 3**0.5 * torch.eye(3).double()[:, None].expand(3, 400, 3)
    with torch.no_grad():
        found = flow.log_density(codes.double(), attributes.double(), axes, steps=8).mean()
    assert float(found) == pytest.approx(float(truth), abs=0.1)
    line = linear_density(*conditional_gaussian(4000)[:2], codes, attributes).mean()
    assert float(line) == pytest.approx(float(truth), abs=0.02)


def options(tmp_path, tiny, **more):
    write_generator(tiny, tmp_path / "generator.safetensors")
    return {
        "generator": {"name": "stylegan2", "weights": str(tmp_path / "generator.safetensors")},
        "classifier": {"name": "sight"}, "samples": 24, "held_out": 6, "hidden": [8], "batch": 4, "solver_steps": 2,
        "tried": 2, "trainer": CPU, **more,
    }  # fmt: skip


def test_a_training_leaves_a_flow_that_knows_what_it_is_for(tmp_path, tiny, capsys):
    given = options(tmp_path, tiny, attributes=["blue", "red"], steps=2)
    path = flow_training.train(tmp_path / "run", 0, **given)
    _, config = read_flow(path)
    assert config.names == ("blue", "red") and config.classifier == {"name": "sight"}
    assert config.generator_sha256 == sha256(tmp_path / "generator.safetensors")
    seen = read_safetensors(tmp_path / "run" / "pairs.safetensors")[1]["attributes"]
    assert config.units == pytest.approx(seen[:24, [2, 0]].std(0).tolist())
    scores = dict(line.split() for line in (tmp_path / "run" / "scores.txt").read_text().splitlines())
    assert set(scores) == {"nats_flow", "nats_linear", "effect_blue", "effect_red"}
    assert (tmp_path / "run" / "table.md").read_text().startswith("| edit | blue | red |")
    with pytest.raises(RecipeError, match="knows no 'reed'.*did you mean 'red'"):
        flow_training.train(tmp_path / "other", 0, **{**given, "attributes": ["reed"]})
    given["classifier"] = {"name": "sight", "constant": True}
    with pytest.raises(RecipeError, match="'green' is the same in all pictures"):
        flow_training.train(tmp_path / "run", 0, **{**given, "attributes": ["green"]})


def test_a_resumed_training_ends_where_an_unbroken_one_does(tmp_path, tiny):
    given = options(tmp_path, tiny, steps=4, save_every=2, tried=0)
    whole = flow_training.train(tmp_path / "whole", 0, **given)

    class Killed(Exception):
        pass

    step = flow_training.FlowTraining.training_step

    def dies(self, batch, batch_idx):
        if self.global_step == 3:
            raise Killed
        return step(self, batch, batch_idx)

    flow_training.FlowTraining.training_step = dies
    try:
        with pytest.raises(Killed):
            flow_training.train(tmp_path / "broken", 0, **given)
    finally:
        flow_training.FlowTraining.training_step = step
    resumed = flow_training.train(tmp_path / "broken", 0, **given)
    assert resumed.read_bytes() == whole.read_bytes()


def test_the_recipe_is_good():
    recipe = load("train_styleflow")
    assert recipe.job == "train_styleflow" and recipe.data["classifier"]["name"] == "domain"


@pytest.fixture
def plain(tmp_path, tiny, halves):
    """A projection of two chunks, saved with its generator's file."""
    file = write_generator(tiny, tmp_path / "generator.safetensors") or tmp_path / "generator.safetensors"
    with torch.no_grad():
        masks = halves()[0]
    codes = tuple(WPlus(tiny).sample(2, rng=torch.Generator().manual_seed(3)))
    projection = Projection(
        torch.zeros(1, 3, 32, 32), Codes(codes, ({"name": "w_plus"},) * 2), Segments(masks, ("left", "right")), tiny,
        generator_spec={"name": "stylegan2", "weights": str(file)}, generator_sha256=sha256(file),
    )  # fmt: skip
    projection.save(tmp_path / "face.safetensors")
    return projection


def spec(path, name="green"):
    return {"name": "styleflow", "weights": str(path), "changes": {name: 1.0}}


def test_a_flow_is_one_edit_among_the_others(plain, tmp_path):
    flow = a_flow(tmp_path / "styleflow.safetensors")
    direction = torch.randn(16, generator=torch.Generator().manual_seed(0))
    both = plain.edit(spec(flow), 1.0, "left", name="green").edit(direction, 0.5)
    assert not torch.equal(both.edited_codes()[0], plain.edit(direction, 0.5).edited_codes()[0])
    assert torch.equal(both.edited_codes()[1], plain.edit(direction, 0.5).edited_codes()[1])  # not its chunk
    assert torch.equal(both.change_edit(0, strength=0.0).render(), plain.edit(direction, 0.5).render())
    assert torch.equal(both.change_edit(0, enabled=False).render(), plain.edit(direction, 0.5).render())
    assert torch.equal(both.remove_edit(1).remove_edit(0).render(), plain.render())
    swapped = both.reorder_edits([1, 0])
    assert torch.equal(swapped.render(), plain.edit(direction, 0.5).edit(spec(flow), 1.0, "left").render())
    assert not torch.equal(swapped.edited_codes()[0], both.edited_codes()[0])  # curves do not commute with steps
    moved = both.change_edit(0, chunk="right", strength=2.0)
    assert torch.equal(moved.render(), plain.edit(spec(flow), 2.0, "right").edit(direction, 0.5).render())
    with pytest.warns(UserWarning, match="edit 'green': strength 7 asks for 7.0 standard deviations"):
        plain.edit(spec(flow), 7.0, name="green")


def test_a_flow_is_kept_by_its_file_and_sum(plain, tmp_path, tiny):
    flow = a_flow(tmp_path / "styleflow.safetensors")
    edited = plain.edit(spec(flow), 1.5, "right", name="green").edit(torch.ones(16), 0.1)
    edited.save(tmp_path / "edited.safetensors")
    again = chunkygan.load_projection(tmp_path / "edited.safetensors", generator=tiny)
    assert again.edits[0].spec["sha256"] == sha256(flow)
    assert [(e.name, e.strength, e.chunks) for e in again.edits] == [("green", 1.5, (1,)), ("", 0.1, (0, 1))]
    assert torch.equal(again.render(), edited.render())
    shutil.copy(a_flow(tmp_path / "other.safetensors", scale=0.5), flow)
    other = chunkygan.load_generator(tmp_path / "generator.safetensors")
    again = chunkygan.load_projection(tmp_path / "edited.safetensors", generator=other)
    with pytest.raises(WeightsError, match="another flow than the edit was made with"):
        again.render()
    fresh = chunkygan.load_projection(tmp_path / "face.safetensors", generator=other)
    assert torch.equal(again.remove_edit(0).render(), fresh.edit(torch.ones(16), 0.1).render())  # can be taken back


def test_projections_of_version_2_are_read(plain, tmp_path, tiny):
    plain.edit(torch.ones(16), 0.3, name="a").save(tmp_path / "new.safetensors")
    metadata, tensors = read_safetensors(tmp_path / "new.safetensors")
    assert int(metadata["format_version"]) > 2
    write_safetensors(tmp_path / "old.safetensors", tensors, {**metadata, "format_version": "2"})
    old = chunkygan.load_projection(tmp_path / "old.safetensors", generator=tiny)
    assert old.edits[0].name == "a" and torch.equal(old.render(), plain.edit(torch.ones(16), 0.3).render())
    description = json.loads(metadata["projection"])
    description["edits"][0]["spec"] = {"weights": "x"}
    write_safetensors(tmp_path / "bad.safetensors", tensors, {**metadata, "projection": json.dumps(description)})
    with pytest.raises(ProjectionError, match="damaged or not written by this program"):
        chunkygan.load_projection(tmp_path / "bad.safetensors", generator=tiny)


def test_the_command_finds_flows(plain, tmp_path, capsys):
    face = str(tmp_path / "face.safetensors")
    a_flow(tmp_path / "styleflow.safetensors", digest=plain.generator_sha256)
    common = [face, "--directions", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["edit", *common, "--edit", "styleflow.green=1.5", "--chunk", "left"]) == 0
    edited = chunkygan.load_projection(tmp_path / "out" / "face" / "projection.safetensors")
    assert [(e.name, e.strength, e.chunks, e.spec["changes"]) for e in edited.edits] == [
        ("green", 1.5, (0,), {"green": 1.0})
    ]
    by_hand = chunkygan.load_projection(face).edit(spec(tmp_path / "styleflow.safetensors"), 1.5, "left")
    torch.testing.assert_close(edited.render(), by_hand.render())
    assert main(["edit", *common, "--sweep", f"{tmp_path}/styleflow.safetensors#red=-1:1:3", "--rows", "0:4"]) == 0
    capsys.readouterr()
    assert main(["edit", *common, "--edit", "styleflow.gren=1"]) == 2
    assert "no attribute 'gren'" in (said := capsys.readouterr().err) and "did you mean 'green'" in said
    a_flow(tmp_path / "styleflow.safetensors", digest="0" * 64)
    assert main(["edit", *common, "--edit", "styleflow.green=1"]) == 2
    assert "trained for another generator" in capsys.readouterr().err
    (tmp_path / "styleflow.safetensors").unlink()
    assert main(["edit", *common, "--edit", "styleflow.green=1"]) == 2
    assert "needs a flow, styleflow.safetensors" in capsys.readouterr().err
