"""Code that a recipe names under ``plugins:``: modules and ``.py`` files, run once per process."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from chunkygan.errors import RecipeError


def is_file(plugin: str) -> bool:
    """Whether a plugin is named by its ``.py`` file rather than as a module."""
    return plugin.endswith(".py")


def run(plugin: str) -> ModuleType:
    """Imports a module, or a ``.py`` file by its absolute path, which registers its components.

    Raises:
        RecipeError: it does not exist, or fails.
    """
    from chunkygan._torchvision import ensure_importable

    ensure_importable()
    try:
        return _run_file(Path(plugin)) if is_file(plugin) else importlib.import_module(plugin)
    except (Exception, SystemExit) as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise RecipeError(f"plugins: '{plugin}' cannot be run: {what}") from error


def _run_file(path: Path) -> ModuleType:
    path = path.resolve(strict=True)
    # A name of its own for every path, so that two files of one name do not meet, and none hides a library.
    name = f"chunkygan_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
