"""The layered workflow: what a layer may touch, undo, going on elsewhere, and what other programs get."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.editing.editor import Editor
from chunkygan.errors import ProjectionError


def square(top: int, left: int, side: int = 10) -> torch.Tensor:
    mask = torch.zeros(32, 32)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.fixture
def photo(tmp_path) -> str:
    """A photo of 90 x 70 pixels with a profile and EXIF."""
    levels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[270] = "a face"
    Image.fromarray(levels).save(tmp_path / "photo.png", exif=exif, icc_profile=b"profile")
    return str(tmp_path / "photo.png")


@pytest.fixture
def editor(tiny_run, photo) -> Editor:
    """With a first layer that is projected and edited."""
    made = Editor(photo, tiny_run / "recipe.yaml")
    made.paint(square(2, 3), "first")
    made.project()
    made.edit(torch.ones(16), 0.5, name="more")
    return made


def second(editor: Editor) -> None:
    editor.freeze()
    editor.paint(square(8, 8), "second")
    editor.project(overrides={"inverter": {"steps": 3}})
    editor.edit(torch.ones(16), -1.0)


def test_a_layer_changes_only_its_region_and_the_next_one_what_that_left(editor) -> None:
    before, first = editor.states[0].picture, editor.picture
    inside = square(2, 3) > 0
    assert torch.equal(first[..., ~inside], before[..., ~inside]) and not torch.equal(first, before)
    second(editor)
    inside = square(8, 8) > 0
    assert torch.equal(editor.picture[..., ~inside], first[..., ~inside])
    assert not torch.equal(editor.picture[..., inside], first[..., inside])


def test_a_direction_is_named_by_its_file(editor, tmp_path) -> None:
    before = editor.picture
    np.save(tmp_path / "wider.npy", np.ones(16, dtype=np.float32))
    editor.undo()
    editor.edit(str(tmp_path / "wider.npy"), 0.5)
    assert editor.steps[-1] == "wider +0.5"
    torch.testing.assert_close(editor.picture, before, atol=1e-5, rtol=0)
    with pytest.raises(ProjectionError, match="no direction 'smile'"):
        editor.edit("smile", 1.0)


def test_every_step_is_undone_and_done_again(editor) -> None:
    second(editor)
    pictures = [state.picture for state in editor.states]
    seen = [editor.picture]
    while editor.undo():
        seen.append(editor.picture)
    assert all(torch.equal(a, b) for a, b in zip(seen, reversed(pictures))) and len(seen) == len(pictures) == 8
    while editor.redo():
        pass
    assert torch.equal(editor.picture, pictures[-1])
    editor.undo()
    editor.blend("poisson")
    assert not editor.redo() and editor.steps[-1] == "blend poisson"


def test_it_goes_on_elsewhere_to_the_identical_picture(editor, tmp_path) -> None:
    editor.save(tmp_path / "work")
    moved = shutil.move(tmp_path / "work", tmp_path / "elsewhere")
    (tmp_path / "photo.png").rename(tmp_path / "gone.png")
    other = Editor.open(moved)
    assert other.steps == editor.steps and torch.equal(other.picture, editor.picture)
    (tmp_path / "gone.png").rename(tmp_path / "photo.png")
    for one in (editor, other):
        second(one)
    assert torch.equal(other.picture, editor.picture)
    assert np.array_equal(np.array(other.flattened()), np.array(editor.flattened()))
    other.undo()
    other.save(moved)
    again = Editor.open(moved)
    assert again.steps == other.steps and again.redo() and torch.equal(again.picture, editor.picture)


def test_the_photo_keeps_its_pixels_its_profile_and_its_exif(editor, photo, tmp_path) -> None:
    editor.write_picture(tmp_path / "flat.png")
    flat, whole = Image.open(tmp_path / "flat.png"), Image.open(photo)
    assert flat.size == (90, 70) and flat.info["icc_profile"] == b"profile" and flat.getexif()[270] == "a face"
    changed = (np.array(flat) != np.array(whole)).any(-1)
    scale = 70 / 32  # the picture is the photo's middle, 70 pixels square
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert rows.min() >= 2 * scale - scale and rows.max() <= 12 * scale + scale
    assert columns.min() >= 10 + 3 * scale - scale and columns.max() <= 10 + 13 * scale + scale


@pytest.mark.parametrize("blend", ["", "poisson", "alpha"])
def test_layers_laid_over_each_other_by_another_program_give_the_picture(editor, tmp_path, blend) -> None:
    editor.undo(), editor.undo(), editor.undo()
    soft = torch.nn.functional.avg_pool2d(square(2, 3)[None], 5, 1, 2)[0]
    editor.paint(soft if blend else square(2, 3), "first")  # a blender has mixed the colours at soft edges itself
    editor.project()
    editor.edit(torch.ones(16), 0.5)
    editor.blend(blend)
    second(editor)
    editor.write_layers(tmp_path / "face.ora")
    with zipfile.ZipFile(tmp_path / "face.ora") as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type, first.header_offset) == ("mimetype", zipfile.ZIP_STORED, 0)
        assert archive.read("mimetype") == b"image/openraster"
        stack = ElementTree.fromstring(archive.read("stack.xml"))
        layers = stack.findall("./stack/layer")
        assert [layer.get("name") for layer in layers] == ["second", "first", "photo"]
        canvas = Image.new("RGBA", (int(stack.get("w")), int(stack.get("h"))))
        for layer in reversed(layers):
            canvas = Image.alpha_composite(canvas, Image.open(io.BytesIO(archive.read(layer.get("src")))))
        merged = np.array(Image.open(io.BytesIO(archive.read("mergedimage.png"))).convert("RGB")).astype(int)
    assert np.abs(np.array(canvas.convert("RGB")).astype(int) - merged).max() <= 1


def test_steps_out_of_order_are_told(tiny_run, photo) -> None:
    editor = Editor(photo, tiny_run / "recipe.yaml")
    with pytest.raises(ProjectionError, match="paint one first"):
        editor.project()
    with pytest.raises(ProjectionError, match="no pixels"):
        editor.paint(torch.zeros(32, 32))
    editor.paint(square(0, 0), "mouth")
    with pytest.raises(ProjectionError, match="project it before you edit"):
        editor.edit(torch.ones(16), 1.0)
    editor.project()
    with pytest.raises(ProjectionError, match="'mouth' is in work"):
        editor.paint(square(0, 0))
    with pytest.raises(ProjectionError, match="did you mean 'poisson'"):
        editor.blend("poison")
    assert editor.steps == ["open", "paint mouth", "project mouth"]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"position": 9}, "no such step"), ({"format_version": 2}, "version 2"), ({"photo": "../x.npy"}, "outside"),
     ({"generator_sha256": "0"}, "another file"), ({"format": "?"}, "no editor"), ({"states": [{}]}, "damaged")],
)  # fmt: skip
def test_damaged_folders_are_told(editor, tmp_path, change, said) -> None:
    folder = editor.save(tmp_path / "work")
    description = json.loads((folder / "editor.json").read_text())
    (folder / "editor.json").write_text(json.dumps({**description, **change}))
    with pytest.raises(ProjectionError, match=said):
        Editor.open(folder)


def test_plugins_of_somebody_elses_folder_do_not_run(editor, tmp_path) -> None:
    folder = editor.save(tmp_path / "work")
    (tmp_path / "plugin.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    description = json.loads((folder / "editor.json").read_text())
    description["recipe"]["plugins"] = [str(tmp_path / "plugin.py")]
    (folder / "editor.json").write_text(json.dumps(description))
    Editor.open(folder)
    assert not (tmp_path / "ran").exists()
