"""Names from three sources, loaded only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chunkygan import registry
from chunkygan.components.catalogue import CATALOGUE
from chunkygan.errors import ComponentError


class Nothing:
    """A component for tests.

    More words that a list does not show.
    """


BUILT_IN = [(kind, name) for kind, names in CATALOGUE.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), BUILT_IN, ids="/".join)
def test_every_catalogue_entry_imports(kind: str, name: str) -> None:
    assert callable(registry.get(kind, name))


def test_catalogue_has_only_known_kinds() -> None:
    assert set(CATALOGUE) <= set(registry.KINDS)


@pytest.mark.parametrize(("kind", "name"), BUILT_IN, ids="/".join)
def test_every_catalogue_entry_has_a_summary(kind: str, name: str) -> None:
    assert registry.find(kind, name).summary


def test_listing_imports_no_component_and_no_torch(run_python: Callable[..., Any]) -> None:
    code = (
        "import sys; from chunkygan import registry\n"
        "assert [e.name for k in registry.KINDS for e in registry.entries(k)]\n"
        "loaded = [m for m in sys.modules if m.startswith('chunkygan.components.')]\n"
        "print(loaded, 'torch' in sys.modules)"
    )
    assert run_python("-c", code).stdout.strip() == "['chunkygan.components.catalogue'] False"


def test_kinds_are_known_in_singular_and_plural() -> None:
    assert registry.names("latent_spaces") == registry.names("latent_space")


def test_unknown_kind_names_a_near_one() -> None:
    with pytest.raises(ComponentError, match="did you mean 'latent_space'"):
        registry.entries("latent_spce")


def test_unknown_name_lists_all_and_names_a_near_one() -> None:
    with pytest.raises(
        ComponentError, match=r"no latent_space 'wplus'; there are s, w, w_plus; did you mean 'w_plus'\?"
    ):
        registry.get("latent_space", "wplus")


def test_registered_class_is_found_with_its_summary_and_file() -> None:
    registry.register("blender", "nothing", Nothing)
    entry = registry.find("blender", "nothing")
    assert (entry.load(), entry.summary, entry.origin) == (Nothing, "A component for tests.", __file__)


def test_a_target_may_be_named() -> None:
    registry.register("blender", "named", "collections:OrderedDict")
    assert registry.get("blender", "named").__name__ == "OrderedDict"


def test_a_name_that_ships_cannot_be_registered() -> None:
    with pytest.raises(ComponentError, match="exists twice.*test_registry.*the built-in catalogue"):
        registry.register("latent_space", "w", Nothing)


def test_a_name_registered_twice_names_both_origins() -> None:
    registry.register("blender", "twice", Nothing, origin="here")
    with pytest.raises(ComponentError, match="'twice' exists twice: in there and in here"):
        registry.register("blender", "twice", Nothing, origin="there")


def test_the_same_thing_may_be_registered_again() -> None:
    for _ in range(2):
        registry.register("blender", "again", Nothing)
    assert registry.get("blender", "again") is Nothing


@pytest.mark.parametrize("name", ["", "two words", 3])
def test_a_name_must_be_a_word(name: Any) -> None:
    with pytest.raises(ComponentError, match="must be a word"):
        registry.register("blender", name, Nothing)


@pytest.mark.parametrize("target", [3, "no_colon", None])
def test_a_target_must_be_callable_or_named(target: Any) -> None:
    with pytest.raises(ComponentError, match="target must be"):
        registry.register("blender", "x", target)


def test_a_broken_component_says_whose_it_is() -> None:
    registry.register("blender", "lost", "no_such_module:Thing", origin="package somebody 1.0")
    with pytest.raises(ComponentError, match="'lost' of package somebody 1.0 fails to load: ModuleNotFoundError"):
        registry.get("blender", "lost")


def test_what_is_not_callable_is_refused() -> None:
    registry.register("blender", "number", "math:pi", origin="package somebody 1.0")
    with pytest.raises(ComponentError, match="must be a class or a function"):
        registry.get("blender", "number")


def fake_package(folder: Path, name: str, entry_points: str) -> Path:
    """The metadata of an installed package, which is all that an entry point needs."""
    info = folder / f"{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(entry_points)
    return folder


def test_entry_points_that_clash_name_both_packages_and_leave_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        fake_package(tmp_path, name, "[chunkygan.blenders]\nsame = math:sin\n" + f"{name} = math:cos\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._installed.cache_clear()
    try:
        with pytest.raises(ComponentError, match=r"package (first|second) 0.1 and in package (first|second) 0.1"):
            registry.get("blender", "same")
        with pytest.raises(ComponentError, match="'same' exists twice"):
            registry.entries("blender")
        assert registry.get("blender", "second")(0) == 1
    finally:
        registry._installed.cache_clear()


def test_an_installed_package_adds_a_latent_space(plugin_folder: Path, run_python: Callable[..., Any]) -> None:
    code = (
        "from chunkygan import registry\n"
        "entry = registry.find('latent_space', 'halfway')\n"
        "print(entry.origin, entry.load().__name__, registry.names('latent_space'))"
    )
    done = run_python("-c", code, env={"PYTHONPATH": str(plugin_folder)})
    assert done.stdout.strip() == "package chunkygan-halfway 1.2 Halfway ['broken', 'halfway', 's', 'w', 'w_plus']", (
        done.stderr
    )


def test_a_broken_package_fails_only_when_asked_for(plugin_folder: Path, run_python: Callable[..., Any]) -> None:
    listed = run_python("-m", "chunkygan.cli.main", "list", "latent_space", env={"PYTHONPATH": str(plugin_folder)})
    assert listed.returncode == 0 and "broken   (package chunkygan-halfway 1.2)" in listed.stdout
    shown = run_python(
        "-m", "chunkygan.cli.main", "show", "latent_space", "broken", env={"PYTHONPATH": str(plugin_folder)}
    )
    assert shown.returncode == 2
    assert (
        "of package chunkygan-halfway 1.2 fails to load: RuntimeError: this plugin is broken on purpose" in shown.stderr
    )
    assert "Traceback" not in shown.stderr
