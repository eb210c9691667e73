"""Recipes: read strictly, laid over base and domain, and checked at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chunkygan import jobs, registry
from chunkygan import recipe as recipes
from chunkygan.domain import domain_names
from chunkygan.errors import RecipeError
from chunkygan.recipe import Recipe, load

Write = Callable[..., Path]

GOOD = """
job: invert
domain: procfaces_128
inverter: {name: optimization, steps: 3}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_(text: str, name: str = "x.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_


def problems_of(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(path, overrides)
    return caught.value.problems


@pytest.mark.parametrize("name", recipes.recipe_names())
def test_every_shipped_recipe_is_good(name: str) -> None:
    load(name)


@pytest.mark.parametrize("name", recipes.recipe_names())
def test_every_shipped_recipe_explains_itself(name: str) -> None:
    text = recipes.find_recipe(name).read_text()
    header = text[: text.index("\n", text.rindex("\n#") + 1 if "\n#" in text else 0)]
    assert text.startswith("# ") and "Needs:" in header and "Run:" in header and "Override:" in header


@pytest.mark.parametrize("domain", domain_names())
def test_invert_takes_every_domain(domain: str) -> None:
    assert load("invert", [f"domain={domain}"]).data["domain"] == domain


# What a recipe is made of


def test_defaults_and_domain_fill_what_is_not_said(write: Write) -> None:
    data = load(write(GOOD)).data
    assert list(data) == list(jobs.JOBS["invert"])
    assert data["generator"] == {"name": "stylegan2", "weights": "procfaces_128_generator"}
    assert data["latent_space"] == {"name": "w_plus"}
    assert (data["seed"], data["trainer"]) == (0, {})
    assert data["identity"] == {"name": "domain", "net": "procfaces", "weights": "procfaces_128_identity"}


def test_filling_in_leaves_the_job_table_alone(write: Write) -> None:
    load(write(GOOD)).data["latent_space"]["name"] = "changed"
    assert load(write(GOOD)).data["latent_space"] == {"name": "w_plus"}


def test_a_named_section_stands_alone_and_an_unnamed_one_changes_the_domains(write: Write) -> None:
    data = load(write(GOOD + "perceptual: {name: lpips, net: alex}\ngenerator: {conv_clamp: 256}\n")).data
    assert data["perceptual"] == {"name": "lpips", "net": "alex"}
    assert data["generator"] == {"name": "stylegan2", "weights": "procfaces_128_generator", "conv_clamp": 256}


def test_a_bare_name_is_a_component(write: Write) -> None:
    data = load(write(GOOD + "latent_space: s\nchunk_spaces: {mouth: w}\n")).data
    assert (data["latent_space"], data["chunk_spaces"]) == ({"name": "s"}, {"mouth": {"name": "w"}})


def test_base_is_changed_key_by_key(write: Write) -> None:
    write(GOOD, "base.yaml")
    data = load(write("base: base.yaml\ninverter: {lr: 0.5}\nlatent_space: {name: s}\n")).data
    assert data["inverter"] == {"name": "optimization", "steps": 3, "lr": 0.5}
    assert data["latent_space"] == {"name": "s"}
    assert "base" not in data


def test_another_component_does_not_inherit_the_arguments_of_the_one_below(write: Write) -> None:
    write(GOOD + "mask_generator: {name: painted, path: masks.png}\n", "base.yaml")
    assert load(write("base: base.yaml\nmask_generator: {name: single}\n")).data["mask_generator"] == {"name": "single"}


def test_base_may_be_a_recipe_that_ships(write: Write) -> None:
    assert load(write("base: invert\ninverter: {steps: 7}\n")).data["inverter"]["steps"] == 7


def test_base_goes_one_level(write: Write) -> None:
    write(GOOD, "a.yaml")
    write("base: a.yaml\n", "b.yaml")
    assert "only one level" in problems_of(write("base: b.yaml\n"))[0]


def test_overrides_are_strongest(write: Write) -> None:
    data = load(write(GOOD), ["inverter.steps=10", "latent_space.name=s", "seed=4", "inverter.lr=1e-2"]).data
    assert data["inverter"] == {"name": "optimization", "steps": 10, "lr": 0.01}
    assert (data["latent_space"], data["seed"]) == ({"name": "s"}, 4)


def test_an_override_may_hold_an_equals_sign(write: Write) -> None:
    data = load(write(GOOD), ["mask_generator.name=painted", "mask_generator.path=a=b.png"]).data
    assert data["mask_generator"]["path"] == "a=b.png"


def test_a_domain_override_swaps_all_that_belongs_to_it(write: Write) -> None:
    data = load(write(GOOD), ["domain=ffhq_1024"]).data
    assert data["generator"]["weights"] == "stylegan2_ffhq_1024"
    assert data["perceptual"]["net"] == "vgg"


def test_null_goes_without_what_the_domain_offers(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from chunkygan import domain

    offered = domain.load_domain("procfaces_128")
    with_identity = dataclasses.replace(
        offered, parts={**offered.parts, "identity": {"name": "mobilefacenet", "weights": "x"}}
    )
    monkeypatch.setattr(recipes, "load_domain", lambda name: with_identity)
    assert load(write(GOOD)).data["identity"] == {"name": "mobilefacenet", "weights": "x"}
    assert load(write(GOOD), ["identity=null"]).data["identity"] is None


def test_a_resolved_recipe_loads_again(write: Write) -> None:
    first = load(write(GOOD), ["inverter.lr=0.5", "chunk_spaces.mouth=s"])
    again = load(write(first.to_yaml(), "saved.yaml"))
    assert again.data == first.data


def test_references_are_resolved(write: Write) -> None:
    assert load(write(GOOD + "seed: 5\nchunk_spaces: {a: '${latent_space}'}\nlatent_space: w\n")).data[
        "chunk_spaces"
    ] == {"a": {"name": "w"}}


# What is wrong with it


def test_three_mistakes_are_all_reported_at_once(write: Write) -> None:
    path = write(
        """
        job: invert
        domain: procfaces_128
        inverter: {name: optimization, setps: 3}
        latent_space: {name: w_pls}
        sead: 3
        """
    )
    problems = problems_of(path)
    assert len(problems) == 3
    assert any(
        p.startswith("inverter.setps: optimization takes no such option") and p.endswith("did you mean 'steps'?")
        for p in problems
    )
    assert any(
        p.startswith("latent_space.name: no latent_space 'w_pls'") and p.endswith("did you mean 'w_plus'?")
        for p in problems
    )
    assert any(
        p.startswith("sead: a recipe for 'invert' has no such key") and p.endswith("did you mean 'seed'?")
        for p in problems
    )


def test_the_message_has_the_file_before_every_line(write: Write) -> None:
    path = write("job: invert\nsead: 3\n")
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job: invert\njob: invert\n", "line 2, column 1: found duplicate key job"),
        ("job: invert\ninverter: {steps: 1, steps: 2}\n", "line 2.*duplicate key steps"),
        ("job: [invert\n", "line 2, column 1"),
        ("- job\n- invert\n", "must be a map"),
        ("7\n", "must be a map of keys; got a single value"),
        ("", "job: is required"),
        ("job: invret\n", "no job 'invret'.*did you mean 'invert'"),
        ("job: 3\n", "no job 3"),
        ("job: invert\non: 1\n", "True: keys must be text"),
        ("job: invert\ninverter: {name: optimization, 3: 1}\n", r"inverter\.3: keys must be text"),
        ("job: invert\nseed: '${nowhere}'\n", "nowhere"),
        ("job: invert\nseed: soon\n", "seed: must be a whole number; got 'soon'"),
        ("job: invert\nplugins: a.py\n", "plugins: must be a list of texts; got 'a.py'"),
        ("job: invert\nplugins: [3]\n", "plugins: must be a list of texts"),
        ("job: invert\nplugins: [no_such_module_x]\n", "'no_such_module_x' cannot be run: ModuleNotFoundError"),
        ("job: invert\nplugins: [gone.py]\n", "gone.py' cannot be run: no such file"),
        ("job: invert\ndomain: profaces_128\n", "no domain 'profaces_128'.*did you mean 'procfaces_128'"),
        ("job: invert\n", "generator: is required by a recipe for 'invert'; name a generator"),
        ("job: invert\nlatent_space: 3\n", "latent_space: must be a latent_space, {name: ..., argument: value}; got 3"),
        ("job: invert\nlatent_space: {split: 1}\n", "latent_space.split: w_plus takes no such option"),
        ("job: invert\ninverter: {name: 3}\n", "inverter.name: is required.*got 3"),
        (
            "job: invert\ninverter: {name: optimization, steps: many}\n",
            "inverter.steps: must be a whole number; got 'many'",
        ),
        ("job: invert\ninverter: {name: optimization, start: men}\n", "start: must be one of .* did you mean 'mean'"),
        ("job: invert\nlatent_space: {name: w, generator: x}\n", "generator: is filled in by the framework"),
        ("job: invert\nmask_generator: {name: single, size: 3}\n", "size: is filled in by the framework"),
        ("job: invert\nchunk_spaces: {a: {name: wp}}\n", "chunk_spaces.a.name: no latent_space 'wp'"),
        ("job: invert\nchunk_spaces: [w]\n", "chunk_spaces: must be a map of latent_space components"),
        ("job: invert\noutput: 3\n", "output: must be a map of options; got 3"),
        ("job: invert\noutput: {rport: true}\n", "output.rport: 'output' takes no such option.*did you mean 'report'"),
        ("job: invert\ntrainer: {accelerater: cpu}\n", "did you mean 'accelerator'"),
        ("base: 3\n", "base: must be the name"),
        ("base: invrt\n", "base: no recipe 'invrt'.*did you mean 'invert'"),
        ("job: invert\nidentity: {name: mobilefacenet}\n", "identity.weights: is required by mobilefacenet"),
    ],
)
def test_mistakes_are_explained(text: str, message: str, write: Write) -> None:
    with pytest.raises(RecipeError, match=message):
        load(write(text))


def test_no_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(RecipeError, match="is no YAML text file"):
        load(tmp_path / "x.yaml")


@pytest.mark.parametrize("override", ["steps", "=3", "inverter.steps=[1,", "."])
def test_bad_overrides_are_named(override: str, write: Write) -> None:
    with pytest.raises(RecipeError, match="override"):
        load(write(GOOD), [override])


def test_unknown_recipe_lists_those_that_ship() -> None:
    with pytest.raises(RecipeError, match="did you mean 'invert'"):
        load("invrt")
    with pytest.raises(RecipeError, match="no recipe file"):
        load("no/such.yaml")


def test_a_recipe_for_another_job_is_refused(write: Write) -> None:
    with pytest.raises(RecipeError, match="this is a recipe for 'invert'"):
        load(write(GOOD), job="train_generator")


EVALUATION = "job: evaluate_fidelity\ndomain: procfaces_128\nimages: {folder: x}\n"


def test_several_maps_are_filled_in_and_checked_like_recipes(write: Write) -> None:
    rows = load(write(EVALUATION + "rows: {a: {latent_space: w}}\n")).data["rows"]
    filled = {"chunks": False, "inverter": {}, "against": "", "mask_generator": None}
    assert rows == {"a": {"latent_space": {"name": "w"}, **filled}}
    path = write(EVALUATION + "rows: {a: {latent_space: {name: ww}, chunk: true}, b: {chunks: 3}, c: 3}\n")
    assert problems_of(path) == [
        "rows.a.chunk: each of them has no such key; there are against, chunks, inverter, latent_space,"
        " mask_generator; did you mean 'chunks'?",
        "rows.a.latent_space.name: no latent_space 'ww'; there are s, w, w_plus; did you mean 'w'?",
        "rows.b.latent_space: is required by each of them",
        "rows.b.chunks: must be true or false; got 3",
        "rows.c: must be a map of latent_space, chunks, inverter, against, mask_generator; got 3",
    ]


# Plugins


def test_a_plugin_file_beside_the_recipe_adds_a_component(write: Write, tests_data: Path) -> None:
    write((tests_data / "plugin_file.py").read_text(), "mine/plugin_file.py")
    told: list[str] = []
    path = write(GOOD + "plugins: [plugin_file.py]\nlatent_space: mean_row\n", "mine/x.yaml")
    recipe = load(path, on_plugin=told.append)
    file = str(path.parent / "plugin_file.py")
    assert told == recipe.data["plugins"] == [file]
    assert registry.find("latent_space", "mean_row").origin == file


def test_a_saved_recipe_finds_its_plugin_from_anywhere(write: Write, tests_data: Path) -> None:
    write((tests_data / "plugin_file.py").read_text(), "here/plugin_file.py")
    first = load(write(GOOD + "plugins: [plugin_file.py]\nlatent_space: mean_row\n", "here/x.yaml"))
    assert load(write(first.to_yaml(), "elsewhere/saved.yaml")).data == first.data


def test_plugins_of_base_and_recipe_add_up(write: Write) -> None:
    write("", "a.py")
    write("", "b.py")
    write(GOOD + "plugins: [a.py]\n", "base.yaml")
    data = load(write("base: base.yaml\nplugins: [b.py]\n")).data
    assert [Path(p).name for p in data["plugins"]] == ["a.py", "b.py"]


def test_a_plugin_that_fails_is_reported_with_the_other_mistakes(write: Write) -> None:
    write("raise ValueError('broken on purpose')", "bad.py")
    problems = problems_of(write(GOOD + "plugins: [bad.py]\nsead: 1\n"))
    assert any("bad.py' cannot be run: ValueError: broken on purpose" in p for p in problems)
    assert any(p.startswith("sead:") for p in problems)


def test_reading_a_recipe_imports_no_torch_at_module_level(run_python: Callable[..., Any]) -> None:
    code = "import sys, chunkygan.recipe, chunkygan.weights, chunkygan.domain; print('torch' in sys.modules)"
    assert run_python("-c", code).stdout.strip() == "False"


def test_to_yaml_is_plain(write: Write) -> None:
    recipe = Recipe({"job": "invert", "a": [1, {"b": None}]}, "x")
    assert yaml.safe_load(recipe.to_yaml()) == recipe.data
