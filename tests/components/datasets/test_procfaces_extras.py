"""Extras on drawn faces: they show, carry their labels, leave the rest alone, and are known from a seed."""

from __future__ import annotations

import itertools

import pytest
import torch

from chunkygan.components.datasets.procfaces import ProcFaces, normals_from_latent
from chunkygan.components.datasets.procfaces_canvas import CLASSES
from chunkygan.components.datasets.procfaces_extras import EXTRAS, LOOKS, Extras, extras_of, prepared
from chunkygan.components.datasets.procfaces_parameters import COUNT, FaceParameters, parameters_from_normal
from chunkygan.components.datasets.procfaces_render import render

SIZE = 64
LABEL = {"mask": "cloth", "odd_glasses": "eye_g", "patch": "eye_g", "hand": "skin", "hat": "hat"}


def face() -> FaceParameters:
    return parameters_from_normal(torch.zeros(1, COUNT)).replace(glasses=0.0, hair_fringe=0.0)


def wearing(*names: str, look: float = 0.3) -> Extras:
    worn = torch.tensor([[float(name in names) for name in EXTRAS]])
    return Extras(worn, torch.full((1, LOOKS), look))


@pytest.fixture(scope="module")
def plain():
    return render(face(), SIZE)


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_shows_and_masks_still_sum_to_one(name, plain):
    drawn = render(face(), SIZE, extras=wearing(name))
    changed = (drawn.image - plain.image).abs().amax(1) > 0.1
    assert 3 < changed.sum() < 0.6 * changed.numel()
    assert drawn.image.isfinite().all() and drawn.image.abs().max() <= 1
    torch.testing.assert_close(drawn.masks.sum(1), torch.ones(1, SIZE, SIZE), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "label"), LABEL.items())
def test_an_extra_has_its_class_in_the_label_map(name, label, plain):
    drawn = render(face(), SIZE, extras=wearing(name))
    index = CLASSES.index(label)
    assert drawn.masks[:, index].sum() > plain.masks[:, index].sum() + 20


@pytest.mark.parametrize("name", ["bindi", "paint"])
@pytest.mark.parametrize("look", [0.1, 0.5, 0.9])
def test_what_is_painted_on_skin_changes_no_label(name, look, plain):
    drawn = render(face(), SIZE, extras=wearing(name, look=look))
    assert torch.equal(drawn.labels, plain.labels)
    assert not torch.equal(drawn.image, plain.image)


def test_a_face_without_extras_is_the_ordinary_picture(plain):
    assert torch.equal(render(face(), SIZE, extras=wearing()).image, plain.image)


def test_a_hand_hides_the_mouth_it_covers(plain):
    mouth = [CLASSES.index(name) for name in ("mouth", "u_lip", "l_lip")]
    drawn = render(face(), SIZE, extras=wearing("hand"))
    assert drawn.masks[:, mouth].sum() < 0.8 * plain.masks[:, mouth].sum()


def test_hand_and_hat_are_lit_like_the_face():
    """The sum over what the extra covers is brighter on the side of the light."""
    for name, label in (("hand", "skin"), ("hat", "hat")):
        left, right = (
            render(face().replace(light_x=side, yaw=0.0), SIZE, extras=wearing(name)) for side in (-0.9, 0.9)
        )
        inside = right.masks[0, CLASSES.index(label)] > 0.9
        rows, columns = inside.nonzero(as_tuple=True)
        far = columns > columns.float().quantile(0.8)
        difference = (right.image - left.image)[0].mean(0)[rows, columns]
        assert difference[far].mean() > 0, name


def test_every_kind_is_worn_in_turn_and_looks_follow_the_item():
    extras = extras_of(list(range(14)), 0)
    assert torch.equal(extras.worn.sum(0), torch.full((len(EXTRAS),), 2.0))
    assert torch.equal(extras_of([9], 0).look[0], extras.look[9])
    assert not torch.equal(extras_of([9], 1).look, extras_of([9], 0).look)


def test_faces_that_wear_the_same_are_drawn_together_and_given_back_in_their_order():
    extras = extras_of(list(range(21)), 0)
    kinds = extras.of(extras.alike()).worn.argmax(1).tolist()
    assert sum(a != b for a, b in itertools.pairwise(kinds)) == len(EXTRAS) - 1
    people = parameters_from_normal(torch.randn(9, COUNT, generator=torch.Generator().manual_seed(0)))
    both = Extras(extras.worn[:9], extras.look[:9])
    together = render(people, 32, extras=both).image
    for i in (0, 5, 7):
        alone = render(FaceParameters(people.values[i : i + 1]), 32, extras=both.of(torch.tensor([i]))).image[0]
        torch.testing.assert_close(together[i], alone, atol=2e-4, rtol=0)


def test_long_hair_hides_the_sides_of_a_mask_and_the_arms_of_glasses():
    long = face().replace(hair_length=1.0, hair_volume=0.8, yaw=0.4)
    hair = CLASSES.index("hair")
    plain = render(long, SIZE).masks[0, hair]
    for name in ("mask", "odd_glasses"):
        worn = render(long, SIZE, extras=wearing(name)).masks[0, hair]
        beside = torch.arange(SIZE) < 0.3 * SIZE  # of the head turned to the right, away from the middle of the face
        assert (plain - worn)[:, beside].abs().max() < 0.02, name


def test_no_ear_loop_hangs_beside_the_head():
    turned = face().replace(hair_length=0.0, baldness=1.0, yaw=0.45)
    plain, worn = (render(turned, SIZE, extras=extras).masks[0] for extras in (None, wearing("mask")))
    beside = plain[CLASSES.index("background")] > 0.99
    cloth = worn[CLASSES.index("cloth")] * beside
    assert cloth[: SIZE * 3 // 5].sum() < 0.5


def test_patches_and_odd_glasses_replace_the_faces_own_glasses():
    faces = FaceParameters(face().values.expand(2, -1)).replace(glasses=1.0, hair_fringe=1.0)
    both = Extras(torch.cat([wearing("patch").worn, wearing("hat").worn]), torch.zeros(2, LOOKS))
    assert prepared(faces, both)["glasses"].flatten().tolist() == [0.0, 1.0]
    assert prepared(faces, both)["hair_fringe"].flatten().tolist() == [1.0, 1.0]


def test_hard_items_are_known_from_their_seed_and_alone():
    hard = ProcFaces(32, seed=1, count=7, split="hard")
    batch = hard.rendering(range(7))
    alone = ProcFaces(32, seed=1, count=20, split="hard")[5]
    torch.testing.assert_close(alone["image"], batch.image[5], atol=2e-4, rtol=0)
    assert (alone["labels"] == CLASSES.index("hat")).sum() > 20


def test_hard_people_are_in_no_other_split():
    hard, test = (ProcFaces(32, count=50, split=split).latents(range(50)) for split in ("hard", "test"))
    assert torch.cdist(hard, test).min() > 1
    assert normals_from_latent(hard).shape == (50, COUNT)


def test_held_out_items_of_the_hard_split_come_with_their_truth():
    held = ProcFaces(32, count=1).held_out(2, "hard")
    assert held["image"].shape == (2, 3, 32, 32) and held["labels"].shape == (2, 32, 32)
    assert len(held["attributes"]) == 2
