"""The face renderer: deterministic, consistent with its own truth, and answering to its parameters."""

from __future__ import annotations

import pytest
import torch

from chunkygan.components.datasets.procfaces import ProcFaces, normals_from_latent, parameters_from_latent
from chunkygan.components.datasets.procfaces_canvas import CLASSES
from chunkygan.components.datasets.procfaces_parameters import (
    ATTRIBUTE_NAMES,
    COUNT,
    IDENTITY_NAMES,
    NAMES,
    RANGES,
    FaceParameters,
    parameters_from_normal,
)
from chunkygan.components.datasets.procfaces_render import render
from chunkygan.components.datasets.procfaces_window import Window, pooled, whole
from chunkygan.errors import ComponentError

SIZE = 64
MOUTH = [CLASSES.index(name) for name in ("mouth", "u_lip", "l_lip")]
EYES = [CLASSES.index(name) for name in ("l_eye", "r_eye")]


def plain_face(**changes: float) -> FaceParameters:
    """The middle of the prior, in front of a camera, without glasses or beard."""
    face = parameters_from_normal(torch.zeros(1, COUNT))
    return face.replace(glasses=0.0, beard=0.0, moustache=0.0, mouth_open=0.0, **changes)


def faces(n: int = 6, seed: int = 0) -> FaceParameters:
    return parameters_from_normal(torch.randn(n, COUNT, generator=torch.Generator().manual_seed(seed)))


def centre_of(masks: torch.Tensor, classes: list[int]) -> tuple[float, float]:
    """x and y, 0 to 1, of the mean of some classes of one picture's masks (19, h, w)."""
    share = masks[classes].sum(0)
    ticks = (torch.arange(share.shape[-1]) + 0.5) / share.shape[-1]
    return float((share.sum(0) * ticks).sum() / share.sum()), float((share.sum(1) * ticks).sum() / share.sum())


@pytest.fixture(scope="module")
def drawn():
    return render(faces(), SIZE)


def test_pictures_stay_within_range(drawn):
    assert drawn.image.shape == (6, 3, SIZE, SIZE)
    assert drawn.image.isfinite().all() and drawn.image.min() >= -1 and drawn.image.max() <= 1


def test_masks_sum_to_one_at_every_pixel(drawn):
    assert drawn.masks.shape == (6, 19, SIZE, SIZE)
    assert drawn.masks.min() >= 0
    torch.testing.assert_close(drawn.masks.sum(1), torch.ones(6, SIZE, SIZE), atol=1e-5, rtol=0)


def test_labels_are_the_largest_share(drawn):
    largest = drawn.masks.gather(1, drawn.labels[:, None])[:, 0]
    assert torch.equal(largest, drawn.masks.amax(1))


def test_every_face_has_skin_eyes_nose_mouth_and_neck(drawn):
    present = drawn.masks.sum((2, 3)) > 0.5
    for name in ("skin", "l_eye", "r_eye", "nose", "u_lip", "l_lip", "neck", "background"):
        assert present[:, CLASSES.index(name)].all(), name


def test_the_same_seed_draws_the_same_pictures(drawn):
    assert torch.equal(render(faces(), SIZE).image, drawn.image)


def test_a_picture_does_not_depend_on_its_batch(drawn):
    alone = render(FaceParameters(faces().values[4:5]), SIZE)
    torch.testing.assert_close(alone.image[0], drawn.image[4], atol=2e-4, rtol=0)


def test_the_dtype_of_the_parameters_is_that_of_the_picture():
    assert render(FaceParameters(faces(1).values.double()), 32).image.dtype == torch.float64


def test_other_resolutions_show_the_same_face():
    large = render(faces(2), 2 * SIZE).image
    small = render(faces(2), SIZE).image
    assert (torch.nn.functional.avg_pool2d(large, 2) - small).abs().mean() < 0.03


def test_a_large_picture_averaged_down_is_the_small_one_finely_sampled():
    """The same rays, so that only soft edges differ, whose width is a pixel's; light is averaged, as the eye does."""
    shown = ProcFaces(64, count=4, split="test").latents([2, 3])
    large = render(parameters_from_latent(shown), 256, supersampling=1).image
    small = render(parameters_from_latent(shown), 128, supersampling=2).image
    light = torch.nn.functional.avg_pool2d(((large + 1) / 2) ** 2.2, 2)
    difference = light ** (1 / 2.2) * 2 - 1 - small
    assert (difference.abs().mean((1, 2, 3)) < 0.007).all(), difference.abs().mean((1, 2, 3))


def test_the_label_map_of_twice_the_resolution_agrees_with_this_one():
    large, small = render(faces(2), 2 * SIZE), render(faces(2), SIZE)
    shrunk = torch.nn.functional.avg_pool2d(large.masks, 2).argmax(1)
    assert (shrunk == small.labels).float().mean() > 0.97


def test_a_window_shows_its_part_of_what_another_shows():
    picture = torch.arange(48.0).reshape(6, 8)
    outer, inner = Window(1, 6, 2, 8), Window(2, 5, 3, 6)
    part = outer.of(picture, whole(picture))
    assert torch.equal(inner.of(part, outer), picture[2:5, 3:6])
    back = whole(picture).spread(part, outer)
    assert torch.equal(back[1:6, 2:8], part) and back.sum() == part.sum()
    assert outer & Window(0, 3, 0, 4) == Window(1, 3, 2, 4)


def test_a_window_holds_whole_pixels_and_all_that_is_wanted():
    wanted = torch.zeros(2, 12, 12, dtype=torch.bool)
    wanted[0, 3, 5] = wanted[1, 7, 6] = True
    window = Window.around(wanted, multiple=2)
    assert all(side % 2 == 0 for side in (window.top, window.bottom, window.left, window.right))
    assert window.of(wanted, whole(wanted)).sum() == 2
    assert Window.around(wanted & False, multiple=2) == Window(0, 0, 0, 0)


def test_pooling_samples_is_their_mean():
    samples = torch.rand(2, 3, 12, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pooled(samples, 3), torch.nn.functional.avg_pool2d(samples, 3))


def test_a_smile_changes_little_outside_the_lower_face():
    with_smile, without = (render(plain_face(smile=s), SIZE) for s in (0.9, 0.0))
    changed = (with_smile.image - without.image).abs().mean(1)[0]
    upper = changed[: int(0.4 * SIZE)]
    around = changed[int(0.55 * SIZE) : int(0.85 * SIZE), int(0.3 * SIZE) : int(0.7 * SIZE)]
    assert around.mean() > 8 * upper.mean()


def test_yaw_turns_the_nose_to_the_right_of_the_head():
    nose = [CLASSES.index("nose")]
    head = [CLASSES.index(name) for name in ("skin", "nose", "hair", "l_ear", "r_ear")]
    offsets = []
    for yaw in (-0.4, 0.0, 0.4):
        masks = render(plain_face(yaw=yaw), SIZE).masks[0]
        offsets.append(centre_of(masks, nose)[0] - centre_of(masks, head)[0])
    assert offsets[0] < -0.02 < offsets[1] < 0.02 < offsets[2]


def test_eyes_and_mouth_keep_their_places_whatever_the_pose():
    for yaw, pitch, length in ((0.0, 0.0, 0.40), (0.4, 0.1, 0.36), (-0.4, -0.15, 0.45)):
        masks = render(plain_face(yaw=yaw, pitch=pitch, nose_length=length, roll=0.0), SIZE).masks[0]
        eyes, mouth = centre_of(masks, EYES), centre_of(masks, MOUTH)
        assert eyes == pytest.approx((0.5, 0.49), abs=0.045)
        assert mouth == pytest.approx((0.5, 0.72), abs=0.04)


def test_an_open_mouth_shows_more_of_its_inside():
    inside = CLASSES.index("mouth")
    shut, wide = (render(plain_face().replace(mouth_open=v), SIZE).masks[0, inside].sum() for v in (0.0, 1.0))
    assert wide > 3 * shut + 5


@pytest.mark.parametrize(("name", "part"), [("glasses", "eye_g"), ("hair_length", "hair")])
def test_more_of_a_parameter_is_more_of_its_part(name, part):
    both = (render(plain_face().replace(**{name: value}), SIZE).masks[0] for value in (0.0, 1.0))
    less, more = (masks[CLASSES.index(part)].sum() for masks in both)
    assert more > 1.2 * less + 5


def test_light_from_the_right_brightens_the_right_cheek():
    image = render(plain_face(light_x=0.9, yaw=0.0), SIZE).image[0].mean(0)
    band = image[int(0.55 * SIZE) : int(0.65 * SIZE)]
    assert band[:, int(0.62 * SIZE)].mean() > band[:, int(0.38 * SIZE)].mean() + 0.05


def test_the_prior_stays_within_the_documented_ranges():
    values = parameters_from_normal(torch.randn(2000, COUNT, generator=torch.Generator().manual_seed(1))).values
    low, high = (torch.tensor([RANGES[name][i] for name in NAMES]) for i in (0, 1))
    assert (values >= low - 1e-5).all() and (values <= high + 1e-5).all()


@pytest.mark.parametrize(
    ("a", "b", "sign"),
    [("age", "hair_grey", 1), ("age", "wrinkles", 1), ("gender", "beard", 1), ("gender", "jaw_taper", -1)],
)
def test_the_prior_is_correlated_where_people_are(a, b, sign):
    drawn = parameters_from_normal(torch.randn(4000, COUNT, generator=torch.Generator().manual_seed(2)))
    assert sign * torch.corrcoef(torch.stack([drawn[a].flatten(), drawn[b].flatten()]))[0, 1] > 0.25


def test_no_coordinate_of_the_latent_is_an_attribute():
    z = torch.randn(4000, 64, generator=torch.Generator().manual_seed(3))
    attributes = parameters_from_latent(z).attributes()
    both = torch.corrcoef(torch.cat([z, attributes], 1).T)
    assert both[:64, 64:].abs().max() < 0.5


def test_the_normals_behind_latents_are_standard():
    u = normals_from_latent(torch.randn(4000, 64, generator=torch.Generator().manual_seed(4)))
    assert abs(float(u.mean())) < 0.02 and float(u.std()) == pytest.approx(1, abs=0.02)


def test_too_few_latent_coordinates_are_refused():
    with pytest.raises(ComponentError, match="z_dim must be at least"):
        normals_from_latent(torch.zeros(1, 8))


def test_another_shot_of_a_person_keeps_the_identity():
    one = faces(1)
    other = one.replace(yaw=0.3, smile=0.9, light_x=-0.8, glasses=1.0, background_hue=0.1)
    assert torch.equal(one.identity(), other.identity())
    assert one.identity().shape == (1, len(IDENTITY_NAMES)) and one.identity().abs().max() <= 1.0001
    assert one.attributes().shape == (1, len(ATTRIBUTE_NAMES))


def test_items_are_known_from_their_seed_and_alone():
    faces_of_seed = ProcFaces(32, seed=5, count=4)
    again = ProcFaces(32, seed=5, count=100)
    assert torch.equal(faces_of_seed[3]["image"], again[3]["image"])
    assert not torch.equal(faces_of_seed[3]["z"], ProcFaces(32, seed=6, count=4)[3]["z"])


def test_no_latent_of_the_test_split_is_in_the_training_split():
    train, test = (ProcFaces(32, count=300, split=split).latents(range(300)) for split in ("train", "test"))
    assert torch.cdist(train, test).min() > 1


@pytest.mark.parametrize("wrong", [{"split": "validation"}, {"count": 0}, {"workers": 0}])
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(ComponentError, match=next(iter(wrong))):
        ProcFaces(32, **wrong)


def test_an_item_beyond_the_end_is_an_index_error():
    with pytest.raises(IndexError):
        ProcFaces(32, count=2)[2]


def test_a_cache_gives_back_what_was_drawn(tmp_path):
    faces_of_seed = ProcFaces(32, count=5)
    cache = faces_of_seed.cached(tmp_path)
    cache.fill(3, at_once=2)
    assert len(cache) == 3 and cache.count == 5
    batch, drawn = cache.batch(torch.tensor([2, 0])), faces_of_seed.rendering([2, 0])
    torch.testing.assert_close(batch["image"], drawn.image, atol=0.5 / 127.5 + 1e-4, rtol=0)
    assert torch.equal(batch["labels"], drawn.labels) and torch.equal(batch["z"], faces_of_seed.latents([2, 0]))


def test_a_cache_is_filled_on_where_it_was_left(tmp_path):
    faces_of_seed = ProcFaces(32, count=4)
    faces_of_seed.cached(tmp_path).fill(2)
    again = faces_of_seed.cached(tmp_path)
    again.fill()
    assert len(again) == 4
    assert (again.images.reshape(4, -1).max(1) > 0).all()


def test_a_folder_of_a_larger_data_set_is_not_taken_for_a_filled_one(tmp_path):
    ProcFaces(32, count=3, supersampling=1).cached(tmp_path).fill(workers=1)
    other = ProcFaces(32, count=2, supersampling=1).cached(tmp_path)
    assert len(other) == 0 and other.count == 2


@pytest.mark.parametrize("other", [{"seed": 1}, {"split": "test"}, {"supersampling": 2}])
def test_a_folder_of_other_faces_is_refused(tmp_path, other):
    ProcFaces(32, count=2, supersampling=1).cached(tmp_path)
    with pytest.raises(ComponentError, match="other options"):
        ProcFaces(32, **({"count": 2, "supersampling": 1} | other)).cached(tmp_path)
    assert ProcFaces(32, count=3, supersampling=1, workers=1).cached(tmp_path).count == 3


def test_a_folder_that_does_not_say_what_it_was_drawn_from_is_refused(tmp_path):
    ProcFaces(32, count=1, supersampling=1).cached(tmp_path).fill(workers=1)
    (tmp_path / "drawn.json").unlink()
    with pytest.raises(ComponentError, match="earlier version"):
        ProcFaces(32, count=1, supersampling=1).cached(tmp_path)
    assert (tmp_path / "done.txt").read_text() == "1"


def test_several_processes_fill_a_cache_with_the_same_bits(tmp_path):
    faces_of_seed = ProcFaces(32, count=24)
    for workers in (1, 2):
        faces_of_seed.cached(tmp_path / str(workers)).fill(at_once=8, workers=workers)
    for file in sorted((tmp_path / "1").iterdir()):
        assert file.read_bytes() == (tmp_path / "2" / file.name).read_bytes(), file.name
    assert len(faces_of_seed.cached(tmp_path / "2")) == 24
