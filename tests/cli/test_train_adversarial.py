"""The command `train` with the adversarial recipe on tiny networks: runs, goes on, names mistakes before it begins."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
import torch

from chunkygan.cli.main import main
from chunkygan.components.perceptual.domain_backbone import DomainBackbone
from chunkygan.recipe import load
from chunkygan.weights import write_safetensors


@pytest.fixture
def small(tmp_path) -> list[str]:
    """The shipped recipe on two steps of tiny networks."""
    net = DomainBackbone((4, 4))
    write_safetensors(tmp_path / "net.safetensors", net.state_dict(), net.metadata("procfaces"))
    return [
        "train_generator_adversarial", "dataset.resolution=16", "dataset.count=12", "trainer.accelerator=cpu",
        "training.start=null", "discriminator.channels=[8, 8, 4]", "training.batch=4", "training.pictures=8",
        "training.generator={z_dim: 8, w_dim: 8, mapping_layers: 2, channels: [8, 8, 4]}", "training.head_start=0",
        "training.measured=6", f"perceptual.weights={tmp_path}/net.safetensors",
    ]  # fmt: skip


def test_the_recipe_runs_and_the_same_command_goes_on(small, tmp_path, capsys):
    torch.set_num_threads(1)
    for _ in range(2):
        assert main(["train", *small, "--out", str(tmp_path / "run")]) == 0
        assert "weights: " in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        "recipe.yaml", "run.json", "state.ckpt", "scores.json", "generator.safetensors", "samples_0000002.png",
    }  # fmt: skip
    (score,) = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert set(score) == {"pictures", "frechet_procfaces", "floor", "p"}


def test_mistakes_are_named_before_anything_runs(small, tmp_path, capsys):
    wrong = ["training.gama=1", "training.augment=[blit, colours]", "discriminator.chanels=[1]", "training.out_dir=x"]
    assert main(["train", *small, *wrong, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    for part in ("training.gama", "'gamma'", "training.augment", "discriminator.chanels", "training.out_dir"):
        assert part in said
    assert not (tmp_path / "run").exists()


def test_the_domain_brings_the_network_that_measures_and_null_goes_without():
    assert load("train_generator_adversarial").data["perceptual"]["net"] == "procfaces"
    assert load("train_generator_adversarial", ["perceptual=null"]).data["perceptual"] is None


def test_the_projected_recipe_takes_a_folder_as_its_header_says():
    text = files("chunkygan.recipes").joinpath("train_generator_projected.yaml").read_text()
    said = re.findall(r"[\w.]+=\S+", text.partition("# Override:")[2].partition("(your own")[0])
    data = load("train_generator_projected", said).data
    assert data["dataset"] == {"name": "folder", "path": "photos/"} and data["perceptual"] is None
    assert data["discriminator"]["features"]["net"] == "squeeze" and data["training"]["anchor_pixels"] == 0


def test_a_folder_takes_the_place_of_drawn_faces():
    data = load("train_generator_adversarial", ["dataset.name=folder", "dataset.path=photos", "domain=null"]).data
    assert data["dataset"] == {"name": "folder", "path": "photos"}
    assert data["perceptual"] is None


def test_the_recipe_of_the_documentation_is_good_and_its_links_lead_somewhere(root, tmp_path):
    text = (root / "docs" / "training.md").read_text()
    (tmp_path / "mine.yaml").write_text(re.search(r"```yaml\n(.*?)```", text, flags=re.DOTALL)[1])
    assert load(tmp_path / "mine.yaml").data["dataset"]["flips"] is True
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (root / "docs" / link).exists(), link
