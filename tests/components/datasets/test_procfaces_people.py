"""Several pictures of a person: the person stays, the picture changes."""

from __future__ import annotations

import torch

from chunkygan.components.datasets.procfaces import ProcFaces, parameters_from_latent
from chunkygan.components.datasets.procfaces_people import ProcFacesPeople


def test_pictures_of_a_person_share_the_identity_and_nothing_else():
    people = ProcFacesPeople(32, people=3, shots=4)
    faces = parameters_from_latent(people.latents(range(12)))
    identity = faces.identity().reshape(3, 4, -1)
    torch.testing.assert_close(identity, identity[:, :1].expand_as(identity), atol=1e-5, rtol=0)
    assert (identity[0, 0] - identity[1, 0]).abs().max() > 0.2
    for name in ("yaw", "smile", "light_x", "background_hue"):
        assert faces[name].flatten()[:4].unique().numel() == 4


def test_people_follow_the_domains_prior():
    people, faces = ProcFacesPeople(32, people=400, shots=1), ProcFaces(32, count=400)
    one, other = (parameters_from_latent(data.latents(range(400))).values for data in (people, faces))
    spread = other.std(0).clamp(min=1e-3)
    assert ((one.mean(0) - other.mean(0)) / spread).abs().max() < 0.3
    assert (one.std(0) / spread).sub(1).abs().max() < 0.4


def test_truth_is_one_identity_a_person():
    people = ProcFacesPeople(32, people=3, shots=2)
    identity = parameters_from_latent(people.latents([4])).identity()[0]
    torch.testing.assert_close(people.truth()[2], identity, atol=1e-5, rtol=0)
    assert people.person(torch.tensor([0, 1, 2, 5])).tolist() == [0, 0, 1, 2]


def test_strangers_are_people_of_the_test_split():
    people = ProcFacesPeople(32, people=3, shots=2)
    held = people.strangers(2, 32)
    assert held["image"].shape == (8, 3, 32, 32) and held["person"].tolist() == [0] * 4 + [1] * 4
    others = ProcFacesPeople(32, people=2, shots=4, split="test")
    assert torch.cdist(people.truth(), others.truth()).min() > 0.5
