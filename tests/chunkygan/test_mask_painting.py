"""Masks painted over after a fit: what was painted counts, the rest gives way, every untouched bit stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.compositing import blend
from chunkygan.editing.mask_files import read_masks, write_masks
from chunkygan.editing.mask_painting import labels_of_chunks, layers_of, repainted_labels, repainted_softly
from chunkygan.errors import ImageError, ProjectionError, ShapeError
from chunkygan.masks import check_masks
from chunkygan.projection import Projection
from chunkygan.projection_file import load_projection
from chunkygan.tensor_files import read_safetensors, write_safetensors
from chunkygan.types import Codes, Segments

NAMES = ("left", "right", "low")


def soft(seed=0, size=(32, 32)):
    noise = torch.randn(3, *size, generator=torch.Generator().manual_seed(seed))
    blurred = torch.nn.functional.avg_pool2d(noise[None], 7, stride=1, padding=3)[0]
    return (12 * blurred).softmax(0)


@pytest.fixture
def segments():
    static = torch.zeros(32, 32)
    static[:4], static[4:8] = 1, 0.25
    return Segments(soft(), NAMES, static)


@pytest.fixture
def projection(tiny, segments):
    rng = torch.Generator().manual_seed(2)
    codes = Codes(tuple(WPlus(tiny).sample(3, rng=rng)), ({"name": "w_plus"},) * 3)
    target = torch.randint(0, 256, (1, 3, 32, 32), generator=rng) / 127.5 - 1
    return Projection(target, codes, segments, tiny)


def test_layers_are_what_each_chunk_shows_and_sum_to_1(segments):
    layers = layers_of(segments)
    torch.testing.assert_close(layers.sum(0), torch.ones(32, 32))
    assert torch.equal(layers[-1], segments.static)
    torch.testing.assert_close(layers[1, 5], 0.75 * segments.masks[1, 5])


def test_painting_white_in_one_layer_alone_takes_the_pixels_from_the_others(segments):
    layers = layers_of(segments)
    layers[1, 12:20, 12:20] = 1
    made = repainted_softly(segments, layers)
    assert (made.masks[1, 12:20, 12:20] == 1).all() and (made.masks[[0, 2], 12:20, 12:20] == 0).all()
    check_masks(made.masks, tolerance=1e-5)
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[12:20, 12:20] = False
    assert torch.equal(made.masks[:, outside], segments.masks[:, outside])
    assert torch.equal(made.static, segments.static)


def test_grey_counts_as_painted_and_the_others_share_the_rest_in_their_proportion(segments):
    layers = layers_of(segments)
    layers[0, 20, 20] = 0.4
    made = repainted_softly(segments, layers).masks[:, 20, 20]
    before = segments.masks[:, 20, 20]
    assert made[0] == pytest.approx(0.4)
    assert made[1] == pytest.approx(float(0.6 * before[1] / (before[1] + before[2])), abs=1e-6)


def test_two_layers_painted_white_at_a_pixel_have_half_of_it_each(segments):
    layers = layers_of(segments)
    layers[0, 20, 20] = layers[2, 20, 20] = 1
    torch.testing.assert_close(repainted_softly(segments, layers).masks[:, 20, 20], torch.tensor([0.5, 0.0, 0.5]))


def test_what_is_painted_away_goes_to_the_others_or_to_the_nearest():
    hard = torch.zeros(3, 32, 32)
    hard[0, :, :10], hard[1, :, 10:], hard[1, 12:20, 14:30], hard[2, 12:20, 14:30] = 1, 1, 0, 1
    segments = Segments(hard, NAMES)
    layers = layers_of(segments)
    layers[2] = 0
    made = repainted_softly(segments, layers).masks
    assert torch.equal(made[2], torch.zeros(32, 32)) and torch.equal(made[1, :, 10:], torch.ones(32, 22))


def test_the_photo_can_be_painted_in_and_away(segments):
    layers = layers_of(segments)
    layers[-1, 25:] = 1
    layers[-1, :2] = 0
    made = repainted_softly(segments, layers)
    assert (made.static[25:] == 1).all() and (made.static[:2] == 0).all() and (made.static[2:4] == 1).all()
    torch.testing.assert_close(made.masks[:, :2], segments.masks[:, :2])  # what lay beneath the photo
    check_masks(made.masks, tolerance=1e-5)


def test_rounding_to_grey_levels_is_no_painting(segments):
    levels = (255 * layers_of(segments)).round() / 255
    made = repainted_softly(segments, levels)
    assert torch.equal(made.masks, segments.masks) and torch.equal(made.static, segments.static)


def test_masks_that_are_black_everywhere_are_refused():
    hard = torch.nn.functional.one_hot(soft().argmax(0), 3).permute(2, 0, 1).float()
    with pytest.raises(ShapeError, match="black everywhere"):
        repainted_softly(Segments(hard, NAMES), torch.zeros(4, 32, 32))


def test_painted_labels_are_wholly_theirs_and_the_others_keep_every_bit(segments):
    labels = labels_of_chunks(segments)
    where = torch.zeros(32, 32, dtype=torch.bool)
    where[15:22, 8:16] = True
    changed = where & (labels != 2)
    made = repainted_labels(segments, torch.where(where, 2, -1))
    assert (made.masks[2, changed] == 1).all()
    assert torch.equal(made.masks[:, ~changed], segments.masks[:, ~changed])
    assert torch.equal(made.static, segments.static)


def test_a_feather_softens_only_what_is_near():
    hard = torch.zeros(3, 32, 32)
    hard[0, :, :16], hard[1, :, 16:] = 1, 1
    labels = torch.full((32, 32), -1)
    labels[16:24, 8:16] = 2
    made = repainted_labels(Segments(hard, NAMES), labels, pixels=2.0)
    check_masks(made.masks, tolerance=1e-5)
    assert torch.equal(made.masks[:, :, 25:], hard[:, :, 25:])
    edge = made.masks[2, 20, 5:12]
    assert (edge.diff() > -1e-6).all() and 0 < edge[2] < 0.5 < edge[3] < 1 and edge[-1] > 0.999


def test_other_masks_are_drawn_at_once_and_undone_bit_for_bit(projection):
    masks = soft(5)
    painted = projection.with_masks(3 * masks / 4)
    torch.testing.assert_close(painted.masks, masks)
    blended = blend(painted.drawn(), masks)
    torch.testing.assert_close(painted.render()[..., 8:, :], blended[..., 8:, :], atol=1e-5, rtol=0)
    assert torch.equal(painted.render()[..., :4, :], projection.target[..., :4, :])
    again = painted.with_masks(soft(6)).with_masks(None)
    assert again.fitted is None and torch.equal(again.render(), projection.render())


def test_edits_stay_in_the_list_when_masks_are_painted(projection):
    step = torch.randn(16, generator=torch.Generator().manual_seed(0))
    one = projection.edit(step, 1.0, chunk="left").with_masks(soft(5)).remove_edit(0).with_masks(None)
    assert torch.equal(one.render(), projection.render())


@pytest.mark.parametrize(
    ("masks", "error", "said"),
    [
        (torch.ones(2, 32, 32), ShapeError, "masks must have shape"),
        (torch.ones(3, 16, 16), ShapeError, "masks must have shape"),
        (torch.full((3, 32, 32), 1.5), ShapeError, "must lie in"),
        (torch.zeros(3, 32, 32), ShapeError, r"at \(0, 0\) all are 0"),
        (Segments(torch.ones(3, 32, 32) / 3, ("a", "b", "c")), ProjectionError, "must be of the chunks left, right"),
    ],
)
def test_masks_that_do_not_fit_are_refused(projection, masks, error, said):
    with pytest.raises(error, match=said):
        projection.with_masks(masks)


def test_files_keep_both_the_painted_masks_and_the_fits_own(projection, tiny, tmp_path):
    hard = torch.nn.functional.one_hot(soft(5).argmax(0), 3).permute(2, 0, 1).float()
    painted = projection.with_masks(Segments(hard, NAMES))
    painted.save(tmp_path / "p.safetensors")
    again = load_projection(tmp_path / "p.safetensors", generator=tiny)
    assert torch.equal(again.render(), painted.render())
    assert torch.equal(again.with_masks(None).render(), projection.render())




@pytest.mark.parametrize(("name", "part"), [("masks", 2 * torch.ones(3, 32, 32)), ("static", torch.ones(3, 3))])
def test_damaged_masks_of_the_fit_are_refused(projection, tiny, tmp_path, name, part):
    path = tmp_path / "p.safetensors"
    projection.with_masks(soft(5)).save(path)
    metadata, tensors = read_safetensors(path)
    write_safetensors(path, {**tensors, f"fitted.{name}": part}, metadata)
    with pytest.raises(ProjectionError, match=name):
        load_projection(path, generator=tiny)


def test_a_written_folder_comes_back_as_it_is_and_takes_what_is_painted(projection, tmp_path):
    listed = write_masks(projection, tmp_path / "m")
    assert [layer.name for layer in listed] == [*NAMES, "static"]
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == sorted(
        [*(f"{name}.png" for name in NAMES), "static.png", "picture.png"]
    )
    with pytest.raises(ImageError, match="nothing is painted"):
        read_masks(projection, tmp_path / "m")
    levels = np.array(Image.open(tmp_path / "m" / "low.png"))
    levels[20:30, 20:30] = 255
    Image.fromarray(levels).save(tmp_path / "m" / "low.png")
    (tmp_path / "m" / "left.png").unlink()  # was not painted: as it is
    made = read_masks(projection, tmp_path / "m")
    assert (made.masks[2, 20:30, 20:30] == 1).all() and torch.equal(made.masks[:, :20], projection.masks[:, :20])


def test_a_written_label_picture_takes_what_is_painted_by_its_colour(projection, tmp_path):
    listed = write_masks(projection, tmp_path / "m.png")
    with pytest.raises(ImageError, match="nothing is painted"):
        read_masks(projection, tmp_path / "m.png")
    picture = Image.open(tmp_path / "m.png").convert("RGB")
    picture.paste(listed[1].colour, (10, 10, 20, 20))
    picture.paste(listed[3].colour, (22, 22, 28, 28))
    picture.save(tmp_path / "painted.png")
    made = read_masks(projection, tmp_path / "painted.png")
    assert labels_of_chunks(made)[10:20, 10:20].unique().tolist() == [1]
    assert (made.static[22:28, 22:28] == 1).all()
    picture = projection.with_masks(made).render()
    assert torch.equal(picture[..., 22:28, 22:28], projection.target[..., 22:28, 22:28])


def test_bad_files_are_refused_with_what_is_wrong(projection, tmp_path):
    write_masks(projection, tmp_path / "m")
    with pytest.raises(ImageError, match="somebody may have painted"):
        write_masks(projection, tmp_path / "m")
    with pytest.raises(ImageError, match="written as PNG"):
        write_masks(projection, tmp_path / "m.jpg")
    with pytest.raises(ProjectionError, match="no name of a file"):
        write_masks(replace(projection, segments=replace(projection.segments, names=("a/b", "c", "d"))), tmp_path / "n")
    Image.new("L", (32, 32), 255).save(tmp_path / "m" / "loww.png")
    with pytest.raises(ImageError, match="no chunk 'loww'.*did you mean 'low'"):
        read_masks(projection, tmp_path / "m")
    (tmp_path / "m" / "loww.png").unlink()
    Image.new("L", (16, 32), 255).save(tmp_path / "m" / "low.png")
    with pytest.raises(ImageError, match="has 16 x 32 pixels; the projection's picture has 32 x 32"):
        read_masks(projection, tmp_path / "m")
    Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / "m" / "low.png")
    with pytest.raises(ImageError, match="colour picture"):
        read_masks(projection, tmp_path / "m")
    Image.new("RGB", (32, 32), (1, 2, 3)).save(tmp_path / "odd.png")
    with pytest.raises(ImageError, match=r"colours of no class: \(1, 2, 3\).*that --write-masks lists"):
        read_masks(projection, tmp_path / "odd.png")
    with pytest.raises(ImageError):
        read_masks(projection, tmp_path / "none.png")
