"""Who may import whom: read from the source, not from what happens to be loaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted((ROOT / "chunkygan").rglob("*.py"))
COMPONENTS = sorted((ROOT / "components").rglob("*.py"))

HEAVY = {"torch", "torchvision", "pytorch_lightning", "torchmetrics", "lpips", "numpy", "PIL", "safetensors", "scipy"}

BASE = {"errors", "types", "wording", "places"}
"""Modules that anything may import."""

CONTRACTS = {"shapes", "interfaces", "compositing", "objective", "masks", "windows", "coherence"}
"""Contracts and pure functions: they import only each other and `BASE`."""

LIGHT = [
    *("build", "domain", "errors", "files", "jobs", "places", "plugins", "recipe", "recipe_check", "registry"),
    *("signatures", "tensor_files", "weights", "wording", "yaml_files"),
]
"""Modules that import no torch when they are imported, so that `list` and `--help` answer at once."""


def name_of(path: Path) -> str:
    """Dotted name below chunkygan, such as ``cli.main`` or ``components.latent_spaces.w``."""
    below = path.relative_to(ROOT)
    relative = path.relative_to(ROOT / "chunkygan") if below.parts[0] == "chunkygan" else below
    return ".".join(relative.with_suffix("").parts).removesuffix(".__init__")


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def nodes(tree: ast.AST, *, lazy: bool) -> Iterator[ast.AST]:
    """All nodes, without ``if TYPE_CHECKING`` blocks, and without function bodies unless `lazy`."""
    for node in ast.iter_child_nodes(tree):
        if is_typing_only(node) or (not lazy and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
            continue
        yield node
        yield from nodes(node, lazy=lazy)


def imports(path: Path, *, lazy: bool = True) -> set[str]:
    """Modules that a file imports; relative ones are made absolute."""
    found = set()
    package = ["chunkygan", *name_of(path).split(".")[: None if path.name == "__init__.py" else -1]]
    for node in nodes(ast.parse(path.read_text()), lazy=lazy):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], base]).strip(".")
            found |= {f"{base}.{alias.name}" if base == "chunkygan" else base for alias in node.names}
    return found


def own(modules: set[str]) -> set[str]:
    """The names below chunkygan among imported modules."""
    return {m.removeprefix("chunkygan.") for m in modules if m.startswith("chunkygan.")}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_imports_no_component(path: Path) -> None:
    reached = {m for m in own(imports(path)) if m.startswith("components")}
    assert reached <= {"components.catalogue"} and (not reached or name_of(path) == "registry")


@pytest.mark.parametrize("name", sorted(BASE))
def test_base_stands_alone(name: str) -> None:
    assert own(imports(ROOT / "chunkygan" / f"{name}.py")) <= BASE


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_contracts_import_only_each_other(name: str) -> None:
    files = [path for path in CORE if name_of(path).split(".")[0] == name]
    assert files
    for path in files:
        assert {module.split(".")[0] for module in own(imports(path))} <= BASE | CONTRACTS


@pytest.mark.parametrize("path", COMPONENTS, ids=name_of)
def test_components_import_neither_the_command_nor_recipes(path: Path) -> None:
    above = ("cli", "recipe", "recipe_check", "inversion", "projection", "jobs", "plugins")
    assert not {m for m in own(imports(path)) if m.split(".")[0] in above}


@pytest.mark.parametrize("path", [p for p in CORE if not name_of(p).startswith("cli")], ids=name_of)
def test_nothing_below_imports_the_command(path: Path) -> None:
    assert not {m for m in own(imports(path)) if m.split(".")[0] == "cli"}


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_import_nothing_heavy(name: str) -> None:
    found = imports(ROOT / "chunkygan" / f"{name}.py", lazy=False)
    assert not {m for m in found if m.split(".")[0] in HEAVY}
    assert own(found) <= set(LIGHT) | {"errors"}


@pytest.mark.parametrize("path", [p for p in CORE if name_of(p).startswith("cli")], ids=name_of)
def test_commands_import_heavy_things_only_when_they_run(path: Path) -> None:
    assert not {m for m in imports(path, lazy=False) if m.split(".")[0] in HEAVY}


@pytest.mark.parametrize("path", [*CORE, *COMPONENTS], ids=name_of)
def test_nothing_says_cuda(path: Path) -> None:
    text = path.read_text()
    assert ".cuda()" not in text and 'device="cuda"' not in text
