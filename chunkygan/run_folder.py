"""The folder of a run: its recipe, versions and seed are there before the first step, and tell whether it may go on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from chunkygan import __version__
from chunkygan.errors import RecipeError
from chunkygan.files import atomic_write, write_json
from chunkygan.recipe import Recipe

PACKAGES = ("torch", "pytorch-lightning", "lpips", "torchmetrics", "numpy", "pillow", "safetensors")


def open_run(folder: Path, recipe: Recipe) -> None:
    """Begins a run in a folder, or goes on with the one that is there.

    Raises:
        RecipeError: the folder holds a run of another recipe.
        ChunkyGANError: it cannot be written.
    """
    saved, text = folder / "recipe.yaml", recipe.to_yaml()
    if saved.is_file() and saved.read_text(encoding="utf-8") != text:
        raise RecipeError(
            f"{folder} holds results of another recipe ({saved}); choose another --out, or delete the folder"
        )
    write_json(folder / "run.json", {"seed": recipe.data.get("seed"), "versions": versions()})
    atomic_write(saved, lambda file: file.write(text.encode()))


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
