"""Pictures of masks, chunks and errors, pixel by pixel where it matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.errors import ImageError, ShapeError
from chunkygan.pictures import (
    chunk_picture,
    enlarged,
    error_picture,
    masks_over,
    masks_picture,
    pixel_errors,
    progress_gif,
)

RED_BLUE = torch.tensor([[200, 0, 0], [0, 0, 100]], dtype=torch.uint8)


def two_masks(h: int = 8, w: int = 8) -> torch.Tensor:
    """Left and right half."""
    masks = torch.zeros(2, h, w)
    masks[0, :, : w // 2] = 1
    masks[1, :, w // 2 :] = 1
    return masks


def pixel(picture: Image.Image, y: int, x: int) -> list[int]:
    return np.asarray(picture)[y, x].tolist()


def test_masks_have_their_colours_mixed_where_they_are_soft() -> None:
    masks = two_masks()
    masks[:, 0, 0] = 0.5
    picture = masks_picture(masks, RED_BLUE)
    assert picture.size == (8, 8)
    assert pixel(picture, 5, 0) == [200, 0, 0] and pixel(picture, 5, 7) == [0, 0, 100]
    assert pixel(picture, 0, 0) == [100, 0, 50]


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8)])
def test_what_is_kept_has_no_colour(shape: tuple[int, ...]) -> None:
    red, green, blue = pixel(masks_picture(two_masks(), RED_BLUE, torch.ones(shape)), 0, 0)
    assert red == green == blue > 220


def test_masks_and_colours_must_be_as_many() -> None:
    with pytest.raises(ShapeError, match="colours"):
        masks_picture(two_masks(), RED_BLUE[:1])
    with pytest.raises(ShapeError, match="static"):
        masks_picture(two_masks(), RED_BLUE, torch.ones(4, 4))


def test_masks_over_a_picture_keep_its_light_and_show_it_where_it_is_kept() -> None:
    image = torch.full((1, 3, 8, 8), -1.0)
    image[..., :4, :] = 1
    picture = masks_over(image, two_masks(), RED_BLUE)
    assert pixel(picture, 0, 0) == [200, 0, 0] and 0 < pixel(picture, 7, 0)[0] < 200
    kept = masks_over(image, two_masks(), RED_BLUE, torch.ones(8, 8))
    assert pixel(kept, 0, 0) == [255] * 3 and pixel(kept, 7, 0) == [0] * 3


def test_a_chunk_is_as_drawn_inside_and_grey_outside_with_a_line_between() -> None:
    drawn = torch.tensor([1.0, -1.0, -1.0]).reshape(3, 1, 1).expand(3, 32, 32)
    picture = chunk_picture(drawn, two_masks(32, 32)[0], torch.tensor([0, 255, 0]))
    assert pixel(picture, 5, 3) == [255, 0, 0]
    assert pixel(picture, 5, 16) == [0, 255, 0]
    red, green, blue = pixel(picture, 5, 30)
    assert red == green == blue > 128


def test_a_chunk_without_a_pixel_is_all_pale() -> None:
    picture = chunk_picture(torch.ones(3, 8, 8), torch.zeros(8, 8), torch.tensor([9, 9, 9]))
    assert len(np.unique(np.asarray(picture))) == 1


def test_errors_are_root_mean_squares_over_channels() -> None:
    a, b = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    b[0, :, 0, 1] = torch.tensor([0.3, -0.3, 0.3])
    torch.testing.assert_close(pixel_errors(a, b), torch.tensor([[0.0, 0.3], [0.0, 0.0]]))


def test_error_colours_go_from_dark_to_light_and_stay_there() -> None:
    picture = np.asarray(error_picture(torch.linspace(0, 0.75, 31).reshape(1, 31), 0.5), dtype=int)[0]
    light = picture @ np.array([0.2126, 0.7152, 0.0722])
    assert picture[0].tolist() == [0, 0, 4] and picture[-1].tolist() == picture[21].tolist() == [252, 253, 191]
    assert bool((np.diff(light)[:20] > 0).all())


def test_no_error_at_all_is_black() -> None:
    assert pixel(error_picture(torch.zeros(2, 2), 0.0), 0, 0) == [0, 0, 4]


def test_small_pictures_are_enlarged_by_whole_factors() -> None:
    assert enlarged(Image.new("RGB", (100, 60)), 256).size == (200, 120)
    assert enlarged(Image.new("RGB", (300, 60)), 256).size == (300, 60)


def test_an_animation_holds_its_last_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 12), (v, 0, 0)) for v in (0, 100, 250)]
    path = progress_gif(frames, tmp_path / "p.gif", seconds=0.1, hold=1.5)
    with Image.open(path) as animation:
        assert animation.n_frames == 3 and animation.size == (256, 192) and animation.info["loop"] == 0
        durations = []
        for i in range(3):
            animation.seek(i)
            durations.append(animation.info["duration"])
            assert abs(animation.convert("RGB").getpixel((5, 5))[0] - (0, 100, 250)[i]) < 8
    assert durations == [100, 100, 1500]


def test_one_frame_is_an_animation(tmp_path: Path) -> None:
    assert progress_gif([Image.new("RGB", (300, 300))], tmp_path / "p.gif").is_file()


def test_frames_that_make_no_animation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no frames"):
        progress_gif([], tmp_path / "p.gif")
    with pytest.raises(ImageError, match="frames of one size"):
        progress_gif([Image.new("RGB", (8, 8)), Image.new("RGB", (8, 9))], tmp_path / "p.gif")
    with pytest.raises(ImageError, match=r"must end in \.gif"):
        progress_gif([Image.new("RGB", (8, 8))], tmp_path / "p.png")
    assert not list(tmp_path.iterdir())
