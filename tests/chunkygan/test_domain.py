"""Domains: one file names what belongs together."""

from __future__ import annotations

from pathlib import Path

import pytest

from chunkygan import registry, weights
from chunkygan.build import create
from chunkygan.domain import PARTS, domain_names, load_domain
from chunkygan.errors import RecipeError

GOOD = "title: x\nresolution: [8, 8]\n"


@pytest.mark.parametrize("name", domain_names())
def test_every_shipped_domain_names_parts_that_exist(name: str) -> None:
    domain = load_domain(name)
    for kind, spec in domain.parts.items():
        assert registry.find(kind, spec["name"])
        assert spec.get("weights") is None or spec["weights"] in weights.manifest()


def test_procfaces_needs_nothing_that_does_not_ship() -> None:
    domain = load_domain("procfaces_128")
    named = [spec["weights"] for spec in domain.parts.values() if "weights" in spec]
    assert named and not any(weights.manifest()[name].page for name in named)
    assert domain.resolution == (128, 128) and domain.dataset is not None


def test_faces_have_the_classes_of_celebamask_hq() -> None:
    domain = load_domain("procfaces_128")
    assert len(domain.classes) == len(set(domain.colours)) == 19
    assert {"background", "skin", "nose", "eye_g", "l_eye", "mouth", "hair", "cloth"} < set(domain.class_names)
    assert domain.colours[1] == (204, 0, 0)


def test_the_data_set_of_procfaces_has_the_domains_resolution() -> None:
    domain = load_domain("procfaces_128")
    assert domain.dataset is not None
    assert tuple(create("dataset", domain.dataset)[0]["image"].shape[-2:]) == domain.resolution


def test_a_domain_of_ones_own_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text(
        GOOD + "classes: [{name: nucleus, colour: [1, 2, 3]}]\ngenerator: {name: stylegan2, weights: mine.pt}\n"
    )
    domain = load_domain(str(path))
    assert (domain.colours, domain.generator) == (((1, 2, 3),), {"name": "stylegan2", "weights": "mine.pt"})
    assert domain.perceptual is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resolution: [8, 8]\n", "title: is required"),
        ("title: x\nresolution: 8\n", r"resolution: is required, \[height, width\] in pixels; got 8"),
        (GOOD + "genrator: {name: x}\n", "genrator: a domain has no such key.*did you mean 'generator'"),
        (GOOD + "generator: stylegan2\n", "generator: must be a component"),
        (GOOD + "classes: 3\n", "classes: must be a list"),
        (GOOD + "classes: [{name: a, colour: [1, 2, 300]}]\n", r"classes\[0\]: must be"),
        (GOOD + "on: 3\n", "keys must be text"),
    ],
)
def test_mistakes_are_explained(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_domain(str(tmp_path / "x.yaml"))


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("colours: 3\n")
    with pytest.raises(RecipeError) as caught:
        load_domain(str(tmp_path / "x.yaml"))
    assert len(caught.value.problems) == 3


def test_unknown_names_are_explained() -> None:
    with pytest.raises(RecipeError, match="did you mean 'ffhq_1024'"):
        load_domain("ffhq_102")
    with pytest.raises(RecipeError, match="no file 'gone.yaml'"):
        load_domain("gone.yaml")


def test_parts_are_kinds() -> None:
    assert set(PARTS) <= set(registry.KINDS)


def test_the_drawn_domain_names_its_data_sets_classes_in_their_order() -> None:
    domain = load_domain("procfaces_128")
    assert domain.dataset is not None
    assert domain.class_names == tuple(create("dataset", domain.dataset, seed=0).classes)
