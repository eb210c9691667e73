"""The projected discriminator: what is fixed and what learns, how many places it judges, that it learns to tell."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from chunkygan.components.discriminators.projected import ProjectedDiscriminator
from chunkygan.errors import ShapeError

FEATURES = {"name": "lpips", "net": "procfaces", "weights": "procfaces_128_perceptual"}


def discriminator(**settings: Any) -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator(**{"resolution": (32, 32), "features": FEATURES, "widest": 24, **settings})


def pictures(n: int = 4, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_heads_alone_learn():
    made = discriminator()
    learning = {name.split(".")[0] for name, value in made.named_parameters() if value.requires_grad}
    assert learning == {"heads"}
    made(pictures()).sum().backward()
    assert all(bool(value.grad.any()) for name, value in made.named_parameters() if value.requires_grad)


@pytest.mark.parametrize(("size", "places"), [((32, 32), 4 * 64 + 16 + 4), ((32, 48), 4 * 96 + 24 + 6)])
def test_every_map_is_judged_in_eight_places_a_side_or_its_own(size, places):
    assert discriminator(resolution=size)(pictures(2, size)).shape == (2, places)


def test_how_large_the_features_are_does_not_matter():
    one, other = discriminator().eval(), discriminator().eval()
    last = other.perceptual.backbone.stages[-1][2]
    with torch.no_grad():
        last.weight.mul_(1000)
        last.bias.mul_(1000)
    torch.testing.assert_close(one(pictures()), other(pictures()), rtol=1e-4, atol=1e-5)
    assert float(one.scales[-1] / other.scales[-1]) == pytest.approx(1000, rel=1e-4)
    torch.testing.assert_close(one.scales[:-1], other.scales[:-1])


def test_the_scales_are_those_of_the_first_pictures_and_are_stored():
    made, fresh = discriminator().eval(), discriminator(seed=5).eval()
    expected = made(pictures())
    made(pictures() * 0.1)
    torch.testing.assert_close(made(pictures()), expected)
    assert not torch.allclose(fresh(pictures()), expected)  # another mixture
    again = discriminator(seed=6).eval()
    again.load_state_dict(made.state_dict())
    torch.testing.assert_close(again(pictures() * 0.1), made(pictures() * 0.1))


def test_fine_places_see_what_coarse_maps_know():
    made = discriminator()
    maps = [torch.zeros_like(found) for found in made.perceptual.taps(pictures(1))]
    maps[-1] += 1.0
    assert all(bool(found.any()) for found in made.projection(maps))
    maps[-1] -= 1.0
    maps[0] += 1.0
    assert [bool(found.any()) for found in made.projection(maps)] == [True] + [False] * (len(maps) - 1)


def test_one_head_sees_what_the_frozen_network_is_blind_to():
    made = discriminator().eval()
    blind = [torch.ones_like(found) for found in made.perceptual.taps(pictures())]
    made.perceptual.taps = lambda images: blind
    one, other = made(pictures()), made(-pictures())
    assert not torch.equal(one[:, :64], other[:, :64]) and torch.equal(one[:, 64:], other[:, 64:])


def test_it_learns_to_tell_sharp_edges_from_soft_ones():
    made, rng = discriminator(), torch.Generator().manual_seed(2)
    optimizer = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=0.002, betas=(0.0, 0.99))

    def sets(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        sharp = F.interpolate(torch.rand(n, 3, 8, 8, generator=rng) * 2 - 1, (32, 32))
        return sharp, F.avg_pool2d(F.pad(sharp, (1, 1, 1, 1), mode="replicate"), 3, stride=1)

    for _ in range(40):
        real, drawn = (made(images) for images in sets(4))
        optimizer.zero_grad()
        (F.softplus(-real) + F.softplus(drawn)).mean().backward()
        optimizer.step()
    with torch.no_grad():
        real, drawn = (made.eval()(images).mean(1) for images in sets(16))
    assert bool((real > drawn).all()) and float((real - drawn).mean()) > 0.5


def test_classes_are_refused():
    with pytest.raises(ShapeError, match="no classes"):
        discriminator(c_dim=3)
    with pytest.raises(ShapeError, match="no classes"):
        discriminator()(pictures(), torch.zeros(4, 3))
