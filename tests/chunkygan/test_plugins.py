"""Plugins from outside at work: a package that was installed, and a file that a recipe names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chunkygan.errors import RecipeError
from chunkygan.plugins import run

RECIPE = """
job: invert
plugins: [plugin_file.py]
generator: {name: stylegan2, resolution: 32, z_dim: 16, w_dim: 16, mapping_layers: 2, channels: [8, 8, 8, 8]}
perceptual: {name: pixels}
inverter: {name: optimization, steps: 2, start: mean}
"""


@pytest.fixture
def recipe(tmp_path: Path, tests_data: Path) -> Path:
    """A recipe for a tiny generator that needs no weights, in a folder with a picture."""
    from PIL import Image

    Image.linear_gradient("L").convert("RGB").resize((32, 32)).save(tmp_path / "picture.png")
    shutil.copy(tests_data / "plugin_file.py", tmp_path)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    return tmp_path / "tiny.yaml"


@pytest.mark.parametrize("space", ["halfway", "mean_row"], ids=["package", "file"])
def test_an_inversion_runs_in_a_latent_space_from_outside(
    space: str, recipe: Path, plugin_folder: Path, run_python: Callable[..., Any]
) -> None:
    command = ["-m", "chunkygan.cli.main", "invert", "picture.png", "--recipe", "tiny.yaml", "--out", "out"]
    done = run_python(*command, f"latent_space={space}", env={"PYTHONPATH": str(plugin_folder)})
    assert done.returncode == 0, done.stderr
    assert "running the plugin that the recipe names" in done.stderr
    assert (recipe.parent / "out" / "picture" / "projection.safetensors").is_file()


def test_a_package_from_outside_keeps_the_contract(plugin_folder: Path, run_python: Callable[..., Any]) -> None:
    code = (
        "from chunkygan.build import create; from chunkygan.testing import check_latent_space\n"
        "size = dict(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channels=[8, 8, 8])\n"
        "generator = create('generator', {'name': 'stylegan2', **size})\n"
        "check_latent_space(create('latent_space', {'name': 'halfway', 'split': 0.4}, generator=generator))"
    )
    done = run_python("-c", code, env={"PYTHONPATH": str(plugin_folder)})
    assert done.returncode == 0, done.stderr


def test_a_file_runs_once_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "count.py"
    path.write_text(f"with open({str(tmp_path / 'runs')!r}, 'a') as file: file.write('x')")
    assert run(str(path)) is run(str(path))
    assert (tmp_path / "runs").read_text() == "x"


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(f"where = {folder!r}")
    assert [run(str(tmp_path / folder / "same.py")).where for folder in "ab"] == ["a", "b"]


def test_a_file_that_failed_is_run_again_when_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "mended.py"
    path.write_text("import sys; sys.exit('stop')")
    with pytest.raises(RecipeError, match="SystemExit: stop"):
        run(str(path))
    path.write_text("good = True")
    assert run(str(path)).good
