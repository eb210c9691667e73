"""What setup.cfg says, against the disk; and what an installation holds."""

from __future__ import annotations

import configparser
import importlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MAPPED = {"chunkygan": "chunkygan", "components": "chunkygan.components"}


@pytest.fixture(scope="module")
def setup_cfg(root: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(root / "setup.cfg")
    return parser


def test_listed_packages_are_those_on_disk(root: Path, setup_cfg: configparser.ConfigParser) -> None:
    found = {"chunkygan.recipes", "chunkygan.checkpoints"}
    for folder, package in MAPPED.items():
        for init in (root / folder).rglob("__init__.py"):
            found.add(".".join([package, *init.parent.relative_to(root / folder).parts]))
    assert set(setup_cfg["options"]["packages"].split()) == found


def test_every_folder_with_modules_is_a_package(root: Path) -> None:
    for folder in MAPPED:
        for module in (root / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), module


def test_every_listed_package_imports(setup_cfg: configparser.ConfigParser) -> None:
    for package in setup_cfg["options"]["packages"].split():
        importlib.import_module(package)


def test_components_have_one_name_only(root: Path, run_python: Callable[..., Any]) -> None:
    done = run_python("-c", "import components", cwd=root)
    assert "import chunkygan.components, not components" in done.stderr


def test_constraints_name_every_requirement(root: Path, setup_cfg: configparser.ConfigParser) -> None:
    exact = {
        line.split("==")[0].lower() for line in (root / "constraints.txt").read_text().splitlines() if "==" in line
    }
    extras = " ".join(setup_cfg["options.extras_require"].values()).replace(">=", " ").split()
    required = setup_cfg["options"]["install_requires"].replace(">=", " ").replace("==", " ").split()
    names = {word.lower() for word in [*extras, *required] if not word[0].isdigit()}
    assert names <= exact


def test_version_is_written_once(setup_cfg: configparser.ConfigParser) -> None:
    assert setup_cfg["metadata"]["version"] == "attr: chunkygan.__version__"


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the files that git knows."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the wheel test copies the files that git lists, and this is no checkout")
    for name in listed.stdout.split("\0"):
        if name and (root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((root / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(work)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(work.glob("*.whl"))


def test_the_wheel_holds_code_recipes_and_weights(wheel: Path, root: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, package in {**MAPPED, "recipes": "chunkygan.recipes"}.items():
        listed = subprocess.run(["git", "ls-files", folder], cwd=root, capture_output=True, text=True, check=True)
        for file in listed.stdout.split():
            if Path(root, file).suffix in (".py", ".yaml"):
                assert package.replace(".", "/") + file.removeprefix(folder) in names
    shipped = [p.name for p in (root / "checkpoints").glob("procfaces_*.safetensors")]
    tracked = subprocess.run(
        ["git", "ls-files", "checkpoints"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    for file in ["manifest.yaml", *(name for name in shipped if name in tracked)]:
        assert f"chunkygan/checkpoints/{file}" in names


def test_an_installation_from_the_wheel_works_anywhere(
    wheel: Path, tmp_path: Path, run_python: Callable[..., Any]
) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    env = {"PYTHONPATH": str(tmp_path / "installed")}
    code = (
        "import chunkygan, chunkygan.components as c\n"
        "from chunkygan import domain, recipe, weights, places\n"
        "print(chunkygan.__file__, c.__file__)\n"
        "print(domain.domain_names(), recipe.load('invert').job, len(weights.manifest()))\n"
        "print(places.shipped('checkpoints'))"
    )
    done = run_python("-c", code, env=env)
    assert done.returncode == 0, done.stderr
    first, _, third = done.stdout.splitlines()
    assert first.count(str(tmp_path / "installed")) == 2
    assert third == str(tmp_path / "installed" / "chunkygan" / "checkpoints")
