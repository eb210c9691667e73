"""An editor on disk: a folder with what was done, every layer that any step knows, and the photo.

The list of steps is written last and names all other files, so that an interrupted saving leaves what was there before.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from chunkygan.editing.editor import Editor
from chunkygan.editing.layers import Layer, State
from chunkygan.errors import ProjectionError
from chunkygan.files import atomic_write, write_json
from chunkygan.inversion import Inversion
from chunkygan.photos.alignment import alignment_from
from chunkygan.projection import Projection
from chunkygan.projection_file import load_projection
from chunkygan.recipe import Recipe, check
from chunkygan.tensor_files import read_safetensors, write_safetensors
from chunkygan.weights import find, sha256

FORMAT, VERSION = "chunkygan.editor", 1
STEPS = "editor.json"


def save_editor(editor: Editor, folder: Path) -> Path:
    """Writes an editor with all its steps; returns the folder.

    Raises:
        ChunkyGANError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = _Numbered(folder)
    states = [
        {"label": state.label, "layers": [_described(layer, files) for layer in state.layers]}
        for state in editor.states
    ]
    photo = files.name(editor.state.photo, lambda path: write_safetensors(path, {"photo": editor.state.photo}))
    original = None if editor.original is None else _copied(editor.original, folder)
    weights = editor.inversion.recipe.data["generator"].get("weights")
    description = {
        "format": FORMAT, "format_version": VERSION, "photo": photo, "position": editor.position, "states": states,
        "recipe": editor.inversion.recipe.data, "generator_sha256": sha256(find(weights)) if weights else None,
        "original": original, "alignment": None if editor.alignment is None else editor.alignment.as_dict(),
    }  # fmt: skip
    write_json(folder / STEPS, description)
    for stale in folder.glob("*.safetensors"):
        if stale.name not in files.written:
            stale.unlink()
    return folder


def open_editor(folder: Path) -> Editor:
    """The editor in a folder.

    Raises:
        ProjectionError: none, damaged, of a later version, or of a generator that is not there.
    """
    description = _description(folder)
    try:
        inversion = Inversion(_recipe(description, folder))
        read = _Read(folder, inversion)
        photo = read.tensor(description["photo"], "photo")
        states = [
            State(photo, tuple(_layer(entry, read) for entry in state["layers"]), str(state["label"]))
            for state in description["states"]
        ]
        position = description["position"]
        if not (isinstance(position, int) and 0 <= position < len(states)):
            raise ValueError("no such step")
        original = None if description["original"] is None else read.path(description["original"])
        place = None if description["alignment"] is None else alignment_from(description["alignment"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProjectionError(f"{folder}: damaged or not written by this program: {error}") from error
    return Editor.of_states(inversion, states, position, original, place)


def _recipe(description: dict[str, Any], folder: Path) -> Recipe:
    """The recipe, checked like any other; its plugins are code, and are not run from here.

    Raises:
        ProjectionError: it is no recipe for this program, or its generator is another one now.
    """
    data = {**description["recipe"], "plugins": []}
    if problems := check(data):
        raise ProjectionError(f"{folder}: its recipe does not fit this program: {'; '.join(problems)}")
    weights, digest = data["generator"].get("weights"), description["generator_sha256"]
    if weights and sha256(find(weights)) != digest:
        raise ProjectionError(
            f"{folder}: was made with another file than the one now called '{weights}' (sha256 {str(digest)[:12]}...)"
        )
    return Recipe(data, str(folder / STEPS))


def _copied(original: Path, folder: Path) -> str:
    """Name of the photo's own file, which goes along."""
    name = f"original{original.suffix.lower()}"
    if original.resolve() != (folder / name).resolve():
        content = original.read_bytes()
        atomic_write(folder / name, lambda file: file.write(content))
    return name


class _Numbered:
    """Files by number, one for every object, however many steps share it; new ones beside those of the last saving."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        used = [int(path.stem) for path in folder.glob("*.safetensors") if path.stem.isdigit()]
        self.next = max(used, default=-1) + 1
        self.names: dict[int, str] = {}
        self.written: set[str] = set()

    def name(self, thing: object, write: Any) -> str:
        if id(thing) not in self.names:
            name = f"{self.next:04d}.safetensors"
            write(self.folder / name)
            self.names[id(thing)] = name
            self.written.add(name)
            self.next += 1
        return self.names[id(thing)]


class _Read:
    """Files of a folder, each read once."""

    def __init__(self, folder: Path, inversion: Inversion) -> None:
        self.folder, self.inversion = folder, inversion
        self.projections: dict[str, Projection] = {}
        self.tensors: dict[str, Tensor] = {}

    def tensor(self, name: str, key: str) -> Tensor:
        if name not in self.tensors:
            self.tensors[name] = read_safetensors(self.path(name))[1][key]
        return self.tensors[name]

    def projection(self, name: str) -> Projection:
        if name not in self.projections:
            self.projections[name] = load_projection(self.path(name), generator=self.inversion.generator)
        return self.projections[name]

    def path(self, name: str) -> Path:
        """A file of the folder by the name that the steps give it."""
        if Path(name).name != name:
            raise ProjectionError(f"{self.folder}: names a file outside of the folder: '{name}'")
        return self.folder / name


def _described(layer: Layer, files: _Numbered) -> dict[str, Any]:
    projection = layer.projection
    return {
        "name": layer.name,
        "mask": files.name(layer.mask, lambda path: write_safetensors(path, {"mask": layer.mask})),
        "projection": None if projection is None else files.name(projection, projection.save),
        "blend": layer.blend,
        "frozen": layer.frozen,
    }


def _layer(entry: dict[str, Any], read: _Read) -> Layer:
    name = entry["projection"]
    return Layer(
        str(entry["name"]), read.tensor(entry["mask"], "mask"), None if name is None else read.projection(name),
        str(entry["blend"]), bool(entry["frozen"]),
    )  # fmt: skip


def _description(folder: Path) -> dict[str, Any]:
    path = folder / STEPS
    if not path.is_file():
        raise ProjectionError(f"{folder}: no editor was saved here")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ProjectionError(f"{path} is damaged: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ProjectionError(f"{path}: no editor was saved here")
    if description.get("format_version") != VERSION:
        raise ProjectionError(
            f"{path}: an editor of version {description.get('format_version')}; this program reads {VERSION}"
        )
    return description
