"""The folder of a run: its recipe, versions and seed are there before the first step, and tell whether it may go on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from chunkygan import __version__
from chunkygan.errors import RecipeError
from chunkygan.files import atomic_write, write_json
from chunkygan.recipe import Recipe
from chunkygan.yaml_files import plain, read_yaml

PACKAGES = ("torch", "pytorch-lightning", "lpips", "torchmetrics", "numpy", "pillow", "safetensors")


def open_run(folder: Path, recipe: Recipe, *, shared: bool = False) -> None:
    """Begins a run in a folder, or goes on with the one that is there. One that left nothing may be begun otherwise.

    Args:
        shared: devices share out whole items, so that the run may go on with another number of them, and with batches
            of another size.

    Raises:
        RecipeError: the folder holds results of another recipe.
        ChunkyGANError: it cannot be written.
    """
    saved, text = folder / "recipe.yaml", recipe.to_yaml()
    if saved.is_file() and saved.read_text(encoding="utf-8") != text and _has_results(folder):
        if shared and _same_but_devices(saved, recipe.data):
            return
        raise RecipeError(
            f"{folder} holds results of another recipe ({saved}); choose another --out, or delete the folder"
        )
    write_json(folder / "run.json", {"seed": recipe.data.get("seed"), "versions": versions()})
    atomic_write(saved, lambda file: file.write(text.encode()))


def _has_results(folder: Path) -> bool:
    """Whether a run left anything beside what is there before its first step."""
    return any(path.name not in ("recipe.yaml", "run.json") for path in folder.iterdir())


def _same_but_devices(saved: Path, data: dict[str, Any]) -> bool:
    """Whether two recipes differ at most in how many devices they name, and how many items at once."""
    before = plain(read_yaml(saved), str(saved))
    return _without_devices(before) == _without_devices(data)


def _without_devices(data: dict[str, Any]) -> dict[str, Any]:
    trainer = {key: value for key, value in (data.get("trainer") or {}).items() if key not in ("devices", "num_nodes")}
    return {**{key: value for key, value in data.items() if key != "batch"}, "trainer": trainer}


def machine() -> dict[str, str]:
    """What the figures of a run depend on: processor, cores, and the GPU where there is one."""
    import torch

    found = {"system": platform.platform(), "processor": _processor(), "cores": str(os.cpu_count())}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions() -> dict[str, str]:
    """Versions of this project, of Python and of the packages that shape results."""
    found = {"chunkygan": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
