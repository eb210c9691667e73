"""Latent spaces of others run an inversion: from an installed package, and from a file that a recipe names."""

import shutil

from chunkygan import load_projection
from chunkygan.cli.main import main


def invert(folder, *words):
    return [
        "invert",
        str(folder / "face.png"),
        "--recipe",
        str(folder / "recipe.yaml"),
        "--out",
        str(folder / "out"),
        *words,
    ]


def test_a_space_of_an_installed_package(tiny_run, plugin_folder, run_python):
    words = invert(tiny_run, "latent_space.name=halfway")
    done = run_python("-m", "chunkygan.cli.main", *words, env={"PYTHONPATH": str(plugin_folder)})
    assert done.returncode == 0, done.stderr
    assert (tiny_run / "out" / "face" / "metrics.json").is_file()
    without = run_python("-m", "chunkygan.cli.main", *words)
    assert without.returncode == 2 and "halfway" in without.stderr


def test_a_space_of_a_file_that_the_recipe_names(tiny_run, tests_data, capsys):
    shutil.copy(tests_data / "plugin_file.py", tiny_run / "plugin_file.py")
    with (tiny_run / "recipe.yaml").open("a") as recipe:
        recipe.write("plugins: [plugin_file.py]\nlatent_space: {name: mean_row}\n")
    assert main(invert(tiny_run)) == 0
    assert "plugin_file.py" in capsys.readouterr().err
    projection = load_projection(tiny_run / "out" / "face" / "projection.safetensors")
    assert projection.codes.spaces == ({"name": "mean_row"},) * 2
