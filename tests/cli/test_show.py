"""chunkygan show."""

from __future__ import annotations

import pytest

from chunkygan import registry
from chunkygan.cli.main import main

Capture = pytest.CaptureFixture[str]


class Seam:
    """Joins two pictures.

    More about it.

    Args:
        width, height: of the seam
            in pixels.
        generator: is filled in.

    Raises:
        Nothing: ever.
    """

    def __init__(self, width: int, height: int | None = None, *, generator: object = None) -> None: ...


def test_arguments_are_shown_as_a_recipe_gives_them(capsys: Capture) -> None:
    registry.register("edit", "seam", Seam, origin="package somebody 1.0")
    assert main(["show", "edit", "seam"]) == 0
    assert capsys.readouterr().out == (
        "edit: seam\n"
        "Joins two pictures.\n\n"
        "More about it.\n\n"
        f"from: package somebody 1.0, {__name__}.Seam\n\n"
        "arguments:\n"
        "  width: required (a whole number)\n"
        "      of the seam in pixels.\n"
        "  height: default None (a whole number or null)\n"
        "      of the seam in pixels.\n"
    )


def test_a_component_without_arguments_says_so(capsys: Capture) -> None:
    assert main(["show", "latent_space", "w"]) == 0
    assert capsys.readouterr().out.endswith("arguments:\n  none\n")


def test_unknown_name_is_explained(capsys: Capture) -> None:
    assert main(["show", "latent_space", "wplus"]) == 2
    assert "did you mean 'w_plus'" in capsys.readouterr().err
