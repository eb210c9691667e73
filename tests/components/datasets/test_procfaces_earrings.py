"""Earrings: they show and are labelled where a lobe is free, and leave everything else as it was, bit for bit."""

from __future__ import annotations

import pytest
import torch

from chunkygan.components.datasets.procfaces import ProcFaces, mixing, normals_from_latent, parameters_from_latent
from chunkygan.components.datasets.procfaces_canvas import CLASSES
from chunkygan.components.datasets.procfaces_extras import EXTRAS, LOOKS, Extras
from chunkygan.components.datasets.procfaces_parameters import (
    COUNT,
    FIRST_COUNT,
    IDENTITY_NAMES,
    FaceParameters,
    parameters_from_normal,
)
from chunkygan.components.datasets.procfaces_render import render

SIZE = 96
EARRING = CLASSES.index("ear_r")
STUD, HOOP, DROP = 0.1, 0.5, 0.9


def face(**changes: float) -> FaceParameters:
    plain = parameters_from_normal(torch.zeros(1, COUNT)).replace(hair_length=0.0, yaw=0.0, roll=0.0, glasses=0.0)
    return plain.replace(**changes)


def two(first: FaceParameters, second: FaceParameters) -> FaceParameters:
    return FaceParameters(torch.cat([first.values, second.values]))


@pytest.mark.parametrize("shape", [STUD, HOOP, DROP])
def test_an_earring_hangs_from_both_lobes_and_is_labelled(shape):
    drawn = render(face(earrings=0.8, earring_shape=shape), SIZE)
    share = drawn.masks[0, EARRING]
    for side in (share[:, : SIZE // 3], share[:, -SIZE // 3 :]):
        assert side.sum() > 2
    assert (drawn.labels == EARRING).sum() > 3
    rows = share.sum(1).nonzero().flatten()
    assert rows.min() > 0.5 * SIZE and rows.max() < 0.85 * SIZE
    torch.testing.assert_close(drawn.masks.sum(1), torch.ones(1, SIZE, SIZE), atol=1e-5, rtol=0)


def test_hoops_reach_lower_than_studs():
    lowest = [
        render(face(earrings=0.8, earring_shape=shape), SIZE).masks[0, EARRING].sum(1).nonzero().max()
        for shape in (STUD, HOOP, DROP)
    ]
    assert lowest[0] + 3 < min(lowest[1:])


def test_a_face_differs_by_its_earrings_only():
    without, worn = (render(face(earrings=e, earring_shape=HOOP), SIZE) for e in (0.0, 1.0))
    changed = (without.image != worn.image).any(1)
    assert changed.any() and (worn.masks[:, EARRING][changed] > 0).all()
    assert without.masks[:, EARRING].abs().max() == 0


def test_neighbours_with_earrings_change_no_bit_of_a_face():
    plain = two(face(), face(gender=-0.9))
    beside = two(face(), face(gender=-0.9, earrings=1.0))
    assert torch.equal(render(plain, 64).image[0], render(beside, 64).image[0])


def test_metal_shines_in_its_colour():
    hoops = [render(face(earrings=1.0, earring_shape=HOOP, earring_metal=metal), SIZE) for metal in (0.0, 1.0)]
    solid = hoops[0].masks[0, EARRING] > 0.6
    silver, gold = (drawn.image[0][:, solid].mean(1) for drawn in hoops)
    assert gold[0] - gold[2] > silver[0] - silver[2] + 0.3
    assert hoops[0].image[0][:, solid].amax() > 0.6


def test_long_hair_hides_earrings():
    covered = face(hair_length=1.0, hair_volume=1.0, earrings=1.0, earring_shape=DROP, yaw=0.0)
    shorn = face(hair_length=0.0, earrings=1.0, earring_shape=DROP)
    hidden, seen = (render(p, SIZE).masks[0, EARRING].sum() for p in (covered, shorn))
    assert hidden < 0.25 * seen


def test_the_ear_behind_a_turned_head_shows_no_earring():
    share = render(face(earrings=1.0, earring_shape=DROP, yaw=0.5), SIZE).masks[0, EARRING].sum(0)
    assert min(share[: SIZE // 2].sum(), share[SIZE // 2 :].sum()) < 0.5


@pytest.mark.parametrize("name", EXTRAS)
def test_what_is_worn_in_front_hides_earrings_and_never_adds_to_them(name):
    worn = Extras(torch.tensor([[float(name == other) for other in EXTRAS]]), torch.full((1, LOOKS), 0.9))
    p = face(earrings=1.0, earring_shape=HOOP)
    plain, drawn = (render(p, SIZE, extras=extras).masks[0, EARRING] for extras in (None, worn))
    assert (drawn - plain).max() < 1e-3


def test_most_faces_wear_none_and_women_more_than_men():
    faces = parameters_from_latent(ProcFaces(32, count=4000).latents(range(4000)))
    wears, woman = faces["earrings"].flatten() > 0, faces["gender"].flatten() < 0
    assert 0.18 < wears.float().mean() < 0.28
    assert wears[woman].float().mean() > 4 * wears[~woman].float().mean()
    assert torch.corrcoef(torch.stack([faces["earrings"], faces["make_up"]]).squeeze())[0, 1] > 0.2


@pytest.mark.parametrize("count", [1, 4])
def test_parameters_from_before_earrings_keep_their_bits(count):
    z = ProcFaces(32, count=count).latents(range(count))
    direction = z * z.square().mean(1, keepdim=True).clamp(min=1e-8).rsqrt()
    before = direction @ mixing(64)[:, :FIRST_COUNT].to(z)
    assert torch.equal(normals_from_latent(z)[:, :FIRST_COUNT], before)
    assert "earrings" not in IDENTITY_NAMES
