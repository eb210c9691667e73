"""Domains: everything that belongs together for one kind of picture, in one YAML of ``recipes/domains/``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chunkygan.errors import RecipeError
from chunkygan.places import shipped, shown
from chunkygan.wording import did_you_mean, known
from chunkygan.yaml_files import odd_keys, plain, read_yaml

PARTS = ("generator", "perceptual", "identity", "classifier", "parser", "dataset")
"""Keys whose components a recipe takes from its domain where it does not set them itself."""

ALIGNMENTS = ("ffhq",)
"""How `chunkygan.photos.photo_alignment` can cut pictures out of photos."""

_KEYS = ("title", "resolution", "classes", "directions", "seg_head", "alignment", *PARTS)


@dataclass(frozen=True)
class LabelClass:
    """One class of a label map; its index is its place in `Domain.classes`."""

    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Domain:
    """What belongs together.

    Args:
        name: what a recipe calls it, or the path of its file.
        title: one line.
        resolution: (height, width) of a picture in pixels.
        parts: key of `PARTS` -> component spec, ``{"name": ..., argument: value}``; only those that the domain has.
        classes: of its label maps.
        directions: weights name or file of its directions; None where it has none.
        seg_head: weights name or file of its generator's segmentation head; None where it has none.
        alignment: how its pictures are cut out of photos, ``ffhq``; None where photos are taken as they are.
        source: the file.
    """

    name: str
    title: str
    resolution: tuple[int, int]
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    classes: tuple[LabelClass, ...] = ()
    directions: str | None = None
    seg_head: str | None = None
    alignment: str | None = None
    source: str = ""

    @property
    def generator(self) -> dict[str, Any] | None:
        return self.parts.get("generator")

    @property
    def perceptual(self) -> dict[str, Any] | None:
        return self.parts.get("perceptual")

    @property
    def identity(self) -> dict[str, Any] | None:
        return self.parts.get("identity")

    @property
    def classifier(self) -> dict[str, Any] | None:
        return self.parts.get("classifier")

    @property
    def parser(self) -> dict[str, Any] | None:
        return self.parts.get("parser")

    @property
    def dataset(self) -> dict[str, Any] | None:
        return self.parts.get("dataset")

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """(red, green, blue) in 0..255, one a class."""
        return tuple(c.colour for c in self.classes)


def domain_names() -> list[str]:
    """The domains that ship."""
    return sorted(path.stem for path in (shipped("recipes") / "domains").glob("*.yaml"))


def load_domain(name: str) -> Domain:
    """The domain of that name, or in that file.

    Raises:
        RecipeError: there is none (with a near match), or its file has mistakes: all of them.
    """
    path = _find(name)
    data = plain(read_yaml(path), shown(path))
    problems = odd_keys(data) or _problems(data)
    if problems:
        raise RecipeError(problems, shown(path))
    return Domain(
        name=name,
        title=data["title"],
        resolution=tuple(data["resolution"]),
        parts={key: data[key] for key in PARTS if data.get(key)},
        classes=tuple(LabelClass(c["name"], tuple(c["colour"])) for c in data.get("classes") or ()),
        directions=data.get("directions"),
        seg_head=data.get("seg_head"),
        alignment=data.get("alignment"),
        source=str(path),
    )


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        path = Path(name).expanduser()
        if not path.is_file():
            raise RecipeError(f"domain: no file '{name}'")
        return path
    shipped_names = domain_names()
    if name not in shipped_names:
        raise RecipeError(f"domain: no domain '{name}'; {known(shipped_names)}{did_you_mean(name, shipped_names)}")
    return shipped("recipes") / "domains" / f"{name}.yaml"


def _problems(data: dict[str, Any]) -> list[str]:
    found = []
    for key in data:
        if key not in _KEYS:
            found.append(f"{key}: a domain has no such key; {known(_KEYS)}{did_you_mean(key, _KEYS)}")
    if not isinstance(data.get("title"), str):
        found.append("title: is required, one line of text")
    size = data.get("resolution")
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)):
        found.append(f"resolution: is required, [height, width] in pixels; got {size!r}")
    for key in PARTS:
        part = data.get(key)
        if part is not None and not (isinstance(part, dict) and isinstance(part.get("name"), str)):
            found.append(f"{key}: must be a component, {{name: ..., argument: value}}; got {part!r}")
    for key in ("directions", "seg_head"):
        if not isinstance(data.get(key), (str, type(None))):
            found.append(f"{key}: must be a name of the weights manifest, or a file; got {data[key]!r}")
    if data.get("alignment") not in (None, *ALIGNMENTS):
        found.append(f"alignment: must be {' or '.join(ALIGNMENTS)}, or left out; got {data['alignment']!r}")
    classes = data.get("classes")
    if not isinstance(classes, (list, type(None))):
        found.append(f"classes: must be a list of {{name: ..., colour: [r, g, b]}}; got {classes!r}")
    for index, entry in enumerate(classes if isinstance(classes, list) else ()):
        if not _is_class(entry):
            found.append(f"classes[{index}]: must be {{name: text, colour: [r, g, b] in 0..255}}; got {entry!r}")
    return found


def _is_class(entry: Any) -> bool:
    if not isinstance(entry, dict) or set(entry) != {"name", "colour"} or not isinstance(entry["name"], str):
        return False
    colour = entry["colour"]
    return isinstance(colour, list) and len(colour) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in colour)
