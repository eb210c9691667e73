"""Painted masks from every source: right where they are right, and told where they are not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.components.mask_generators.painted import Painted
from chunkygan.compositing import effective_masks
from chunkygan.errors import ImageError, RecipeError, ShapeError
from chunkygan.labels import colour_labels, distinct_colours
from chunkygan.masks import check_masks
from chunkygan.testing import check_mask_generator
from chunkygan.windows import windows_of

SIZE = (16, 16)


def label_array(h: int = 16, w: int = 16) -> np.ndarray:
    """0 above, 3 below, 7 in the middle."""
    labels = np.zeros((h, w), np.int64)
    labels[h // 2 :] = 3
    labels[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4] = 7
    return labels


def label_file(path: Path, labels: np.ndarray) -> Path:
    colour_labels(torch.from_numpy(labels), distinct_colours(12)).save(path)
    return path


def soft_folder(folder: Path, **masks: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, mask in masks.items():
        Image.fromarray(np.round(mask * 255).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def half(value: float = 1.0, h: int = 16, w: int = 16) -> np.ndarray:
    """A mask of one value in the left half."""
    mask = np.zeros((h, w), np.float32)
    mask[:, : w // 2] = value
    return mask


@pytest.mark.parametrize("rest", ["chunk", "static"])
@pytest.mark.parametrize("feather", [0.0, 5.0])
def test_it_keeps_the_contract(rest: Any, feather: float) -> None:
    check_mask_generator(Painted(SIZE, array=label_array(), feather=feather, rest=rest, keep=["chunk_3"]))
    check_mask_generator(Painted((8, 8), array=half(0.7)[None], feather=feather, rest=rest))


# --- label maps ---------------------------------------------------------------------------------------------------


def test_every_index_of_a_label_map_is_a_chunk(tmp_path: Path) -> None:
    painted = Painted(SIZE, path=label_file(tmp_path / "a.png", label_array()))
    assert painted.names == ("chunk_0", "chunk_3", "chunk_7")
    expected = np.stack([label_array() == i for i in (0, 3, 7)]).astype(np.float32)
    np.testing.assert_array_equal(painted()[0].numpy(), expected)
    assert painted.static() is None


def test_colours_are_those_of_the_palette(tmp_path: Path) -> None:
    painted = Painted(SIZE, path=label_file(tmp_path / "a.png", label_array()))
    assert torch.equal(painted.colours, distinct_colours(12)[[0, 3, 7]])


def test_names_come_from_the_sidecar_or_the_argument(tmp_path: Path) -> None:
    path = label_file(tmp_path / "a.png", label_array())
    (tmp_path / "classes.yaml").write_text("{0: hair, 3: neck, 7: face}")
    assert Painted(SIZE, path=path).names == ("hair", "neck", "face")
    assert Painted(SIZE, path=path, names=["a", "b", "c"]).names == ("a", "b", "c")


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (16, 16)])
def test_a_label_map_of_the_same_aspect_is_resized_to_the_nearest(size: tuple[int, int]) -> None:
    masks = Painted(size, array=label_array())()[0]
    expected = np.stack([label_array(*size) == i for i in (0, 3, 7)]).astype(np.float32)
    np.testing.assert_array_equal(masks.numpy(), expected)


def test_a_picture_that_is_not_square_takes_masks_that_are_not() -> None:
    assert Painted((8, 16), array=label_array(16, 32))().shape == (1, 3, 8, 16)


def test_masks_of_another_aspect_are_refused_with_both_sizes(tmp_path: Path) -> None:
    path = label_file(tmp_path / "a.png", label_array(16, 24))
    with pytest.raises(ImageError, match=r"a\.png: is 24 x 16 pixels .* the generator draws 16 x 16"):
        Painted(SIZE, path=path)


def test_a_chunk_that_vanishes_when_resized_is_named() -> None:
    labels = np.zeros((64, 64), np.int64)
    labels[5, 5] = 4
    with pytest.raises(ImageError, match="no pixel at 16 x 16 belongs to chunk_4"):
        Painted(SIZE, array=labels)


# --- soft masks ---------------------------------------------------------------------------------------------------


def test_a_folder_is_one_chunk_a_file_called_as_the_file(tmp_path: Path) -> None:
    folder = soft_folder(tmp_path / "m", eyes=half(), skin=1 - half())
    (folder / "notes.txt").write_text("not a mask")
    painted = Painted(SIZE, path=folder)
    assert painted.names == ("eyes", "skin")
    np.testing.assert_array_equal(painted()[0].numpy(), np.stack([half(), 1 - half()]))


def test_soft_values_are_kept(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 1, 16, dtype=np.float32)[None], 16, axis=0)
    masks = Painted(SIZE, path=soft_folder(tmp_path / "m", a=ramp, b=1 - ramp))()[0]
    np.testing.assert_allclose(masks[0].numpy(), ramp, atol=0.5 / 255 + 1e-4)


def test_rounding_to_grey_levels_leaves_no_rest(tmp_path: Path) -> None:
    third = np.full((16, 16), 1 / 3)
    painted = Painted(SIZE, path=soft_folder(tmp_path / "m", a=third, b=third, c=third - 0.002))
    assert painted.names == ("a", "b", "c")
    check_masks(painted(), tolerance=1e-6)


def test_sixteen_bit_masks_are_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16), 32768, np.uint16)).save(tmp_path / "a.png")
    assert float(Painted(SIZE, path=tmp_path)()[0, 0, 0, 0]) == pytest.approx(0.5, abs=1e-4)


def test_grey_that_is_stored_as_colour_is_fine(tmp_path: Path) -> None:
    Image.fromarray((half() * 255).astype(np.uint8)).convert("RGBA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(Painted(SIZE, path=tmp_path)()[0, 0].numpy(), half())


def test_masks_in_a_folder_may_differ_in_size(tmp_path: Path) -> None:
    folder = soft_folder(tmp_path / "m", a=half(h=64, w=64), b=1 - half())
    masks = Painted(SIZE, path=folder)()[0]
    np.testing.assert_allclose(masks[0, :, :7].numpy(), 1, atol=1e-6)
    check_masks(masks)


def test_overlapping_masks_share_in_proportion() -> None:
    masks = Painted(SIZE, array=np.stack([half(0.9), half(0.6)]))()[0]
    np.testing.assert_allclose(masks[:2, 0, 0].numpy(), [0.6, 0.4], atol=1e-6)


def test_colour_pictures_and_transparent_ones_are_no_soft_masks(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (255, 0, 0)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: is a colour picture"):
        Painted(SIZE, path=tmp_path)
    Image.new("LA", (16, 16), (255, 100)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: is transparent in places"):
        Painted(SIZE, path=tmp_path)


@pytest.mark.parametrize("value", [0.0, 0.001])
def test_an_empty_mask_is_named(tmp_path: Path, value: float) -> None:
    folder = soft_folder(tmp_path / "m", skin=np.ones((16, 16)), eyes=np.full((16, 16), value))
    with pytest.raises(ImageError, match="no pixel at 16 x 16 belongs to eyes"):
        Painted(SIZE, path=folder)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="has no picture in it"):
        Painted(SIZE, path=tmp_path)


# --- what is left over --------------------------------------------------------------------------------------------


def test_what_is_left_over_is_a_chunk(tmp_path: Path) -> None:
    painted = Painted(SIZE, path=soft_folder(tmp_path / "m", eyes=half(0.6)))
    assert painted.names == ("eyes", "rest") and len(painted.colours) == 2
    np.testing.assert_allclose(painted()[0, 1].numpy(), 1 - half(0.6), atol=1e-6)


def test_what_is_left_over_is_static() -> None:
    painted = Painted(SIZE, array=half(0.6)[None], rest="static")
    static = painted.static()
    assert painted.names == ("chunk_0",) and static is not None and static.shape == (1, 16, 16)
    np.testing.assert_allclose(static[0].numpy(), 1 - half(0.6), atol=1e-6)
    assert bool((static[0, :, 8:] == 1).all())
    check_masks(painted(), tolerance=1e-6)


@pytest.mark.parametrize("feather", [0.0, 3.0])
def test_the_window_of_a_local_chunk_stays_small(feather: float) -> None:
    mask = np.zeros((1, 64, 64), np.float32)
    mask[0, 20:30, 20:30] = 1
    painted = Painted((64, 64), array=mask, rest="static", feather=feather)
    (window,) = windows_of(effective_masks(painted()[0], painted.static()))
    assert window is not None and max(window.size) <= 10 + 2 * math.ceil(1.5 * feather)


def test_kept_masks_are_static(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("{0: hair, 3: neck, 7: face}")
    painted = Painted(SIZE, path=label_file(tmp_path / "a.png", label_array()), keep=["hair", "neck"])
    assert painted.names == ("face",)
    static = painted.static()
    assert static is not None
    np.testing.assert_array_equal(static[0].numpy(), (label_array() != 7).astype(np.float32))


def test_kept_masks_with_feather_add_up() -> None:
    painted = Painted(SIZE, array=label_array(), keep=["chunk_0"], feather=4)
    static = painted.static()
    assert static is not None
    effective = effective_masks(painted(), static)
    torch.testing.assert_close(effective.sum(1) + static, torch.ones(1, 16, 16))


def test_an_unknown_mask_to_keep_is_told() -> None:
    with pytest.raises(RecipeError, match="keep names hair; array has chunk_0, chunk_3, chunk_7"):
        Painted(SIZE, array=label_array(), keep=["hair"])


def test_keeping_everything_is_refused() -> None:
    with pytest.raises(RecipeError, match="at least one has to be drawn"):
        Painted(SIZE, array=label_array(), keep=["chunk_0", "chunk_3", "chunk_7"])


def test_what_is_left_over_is_an_error_where_asked() -> None:
    mask = np.ones((1, 16, 16), np.float32)
    mask[0, 5, 9] = 0.25
    with pytest.raises(ImageError, match=r"the masks leave 0\.75 over at \(5, 9\)"):
        Painted(SIZE, array=mask, rest="error")
    Painted(SIZE, array=np.ones((1, 16, 16), np.float32), rest="error")


def test_a_mask_called_rest_beside_a_rest_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="a mask is called rest"):
        Painted(SIZE, path=soft_folder(tmp_path / "m", rest=half()))


# --- arrays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numpy", "torch", "list", "npy"])
def test_an_array_may_be_labels_of_any_kind(tmp_path: Path, kind: str) -> None:
    labels = label_array()
    arguments: dict[str, Any] = {
        "numpy": {"array": labels.astype(np.uint8)},
        "torch": {"array": torch.from_numpy(labels)},
        "list": {"array": labels.tolist()},
        "npy": {"path": tmp_path / "a.npy"},
    }[kind]
    np.save(tmp_path / "a.npy", labels)
    assert Painted(SIZE, **arguments).names == ("chunk_0", "chunk_3", "chunk_7")


def test_an_array_may_be_soft_masks_or_booleans() -> None:
    for kind in (np.float16, np.float64, bool):
        masks = Painted(SIZE, array=np.stack([half(), 1 - half()]).astype(kind))()
        assert masks.dtype == torch.float32
        np.testing.assert_array_equal(masks[0, 0].numpy(), half())


@pytest.mark.parametrize(("value", "said"), [(math.nan, "nan"), (-0.5, r"-0\.5"), (1.5, r"1\.5")])
def test_a_value_that_is_no_share_is_told_with_its_place(tmp_path: Path, value: float, said: str) -> None:
    masks = np.stack([half(), 1 - half()])
    masks[1, 4, 5] = value
    with pytest.raises(ShapeError, match=rf"chunk 1 has {said} at \(4, 5\)"):
        Painted(SIZE, array=masks)
    np.save(tmp_path / "a.npy", masks)
    with pytest.raises(ImageError, match=rf"a\.npy: .* has {said} at \(4, 5\)"):
        Painted(SIZE, path=tmp_path / "a.npy")


def test_a_negative_label_is_told_with_its_place() -> None:
    labels = label_array()
    labels[2, 3] = -4
    with pytest.raises(ShapeError, match=r"labels must be 0 or more; got -4 at \(2, 3\)"):
        Painted(SIZE, array=labels)


@pytest.mark.parametrize(
    "array", [np.zeros((16, 16)), np.zeros((2, 16, 16), np.uint8), np.zeros(5, np.int64), np.zeros((0, 16, 16)), "text"]
)
def test_an_array_of_another_form_is_told(array: Any) -> None:
    with pytest.raises(ShapeError, match=r"masks must be \(h, w\) integer labels or \(n, h, w\)"):
        Painted(SIZE, array=array)


def test_too_many_labels_are_told() -> None:
    with pytest.raises(ShapeError, match="at most 100 different labels; got 256"):
        Painted(SIZE, array=np.arange(256).reshape(16, 16))


def test_pickled_and_damaged_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "pickled.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "cut.npy", label_array())
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:500])
    (tmp_path / "text.npy").write_text("hello")
    for name in ("pickled", "cut", "text", "gone"):
        with pytest.raises(ImageError, match=rf"{name}\.npy: is no numpy array"):
            Painted(SIZE, path=tmp_path / f"{name}.npy")


# --- feather, options, module -------------------------------------------------------------------------------------


def test_feather_softens_edges_and_keeps_the_sum() -> None:
    sharp, soft = Painted(SIZE, array=label_array())(), Painted(SIZE, array=label_array(), feather=4)()
    check_masks(soft, tolerance=1e-6)
    assert len(sharp.unique()) == 2 and len(soft.unique()) > 20


@pytest.mark.parametrize("feather", [-1.0, math.nan])
def test_a_feather_of_no_width_is_refused(feather: float) -> None:
    with pytest.raises(ShapeError, match="feather must be a number of pixels"):
        Painted(SIZE, array=label_array(), feather=feather)


@pytest.mark.parametrize("arguments", [{}, {"path": "a.png", "array": [[0]]}])
def test_there_is_exactly_one_source(arguments: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="give either path"):
        Painted(SIZE, **arguments)


def test_an_unknown_rest_is_told_with_what_is_allowed() -> None:
    with pytest.raises(RecipeError, match="rest must be one of chunk, static, error; got 'share'"):
        Painted(SIZE, array=label_array(), rest="share")  # type: ignore[arg-type]


def test_another_number_of_names_is_told() -> None:
    with pytest.raises(RecipeError, match="names must be 3, one a mask of array; got 2"):
        Painted(SIZE, array=label_array(), names=["a", "b"])


def test_a_name_that_occurs_twice_is_told() -> None:
    with pytest.raises(ImageError, match="b occurs more than once"):
        Painted(SIZE, array=label_array(), names=["a", "b", "b"])


def test_masks_are_buffers_that_move_and_are_saved() -> None:
    painted = Painted(SIZE, array=half()[None], rest="static")
    assert not list(painted.parameters())
    assert set(painted.state_dict()) == {"masks", "_static"}
    static = painted.to(torch.float64).static()
    assert painted().dtype == torch.float64 and static is not None and static.dtype == torch.float64
