"""What the documentation shows is tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chunkygan.domain import load_domain
from chunkygan.recipe import load


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


def test_the_plugin_of_the_documentation_loads(root: Path, tmp_path: Path) -> None:
    page = root / "docs" / "plugins.md"
    (tmp_path / "my_space.py").write_text(blocks(page, "python")[0])
    (tmp_path / "x.yaml").write_text("base: invert\n" + blocks(page, "yaml")[0])
    assert load(tmp_path / "x.yaml").data["latent_space"] == {"name": "pulled", "strength": 0.3}


def test_the_recipe_and_the_domain_of_the_documentation_are_good(root: Path, tmp_path: Path) -> None:
    recipe, domain = blocks(root / "docs" / "recipes.md", "yaml")
    (tmp_path / "x.yaml").write_text(recipe)
    assert load(tmp_path / "x.yaml").data["mask_generator"]["feather"] == 4
    (tmp_path / "cells.yaml").write_text(domain)
    assert load_domain(str(tmp_path / "cells.yaml")).class_names == ("background", "nucleus")


@pytest.mark.parametrize("page", ["plugins.md", "recipes.md"])
def test_links_lead_somewhere(page: str, root: Path) -> None:
    folder = root / "docs"
    for link in re.findall(r"\]\(([^)#:]+)\)", (folder / page).read_text()):
        assert (folder / link).exists(), link
