"""Joint projection: masks that move with the codes, rest when they should, and do not vanish unseen."""

import pytest
import torch

from chunkygan.components.inverters.optimization import Optimization
from chunkygan.components.mask_generators.seghead import SegHeadMasks
from chunkygan.drawing import composite
from chunkygan.errors import RecipeError
from chunkygan.interfaces import MaskGenerator
from chunkygan.masks import pruned
from chunkygan.objective import shrinking
from chunkygan.spaces import latent_spaces


class Border(MaskGenerator):
    """Two halves with a soft border whose place is a parameter."""

    names = ("left", "right")

    def __init__(self, place):
        super().__init__()
        self.place = torch.nn.Parameter(torch.tensor(place))

    def forward(self):
        left = torch.sigmoid((self.place - torch.arange(32.0)) / 2).expand(32, 32)
        return torch.stack([left, 1 - left])[None]


@pytest.fixture
def target(tiny):
    ws = tiny.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(11)))
    left, right = tiny.synthesis(tiny.styles(ws)).detach()
    return torch.cat([left[:, :, :16], right[:, :, 16:]], 2)[None]


@pytest.fixture
def project(tiny, pixels, target):
    def run(masks, *, listeners=(), state=None, **options):
        return Optimization(**{"steps": 12, "mask_lr": 0.5, **options}).project(
            target, generator=tiny, spaces=[{"name": "w_plus"}] * len(masks.names), mask_generator=masks,
            perceptual=pixels, listeners=listeners, state=state,
        )  # fmt: skip

    return run


def test_masks_move_where_the_picture_asks_for_it(project):
    masks = Border(22.0)
    fit = project(masks, steps=60)
    assert abs(float(masks.place) - 16) < 5
    assert fit.areas["left"][1] < fit.areas["left"][0]


@pytest.mark.parametrize("threshold", [0.0, 0.02])
def test_the_fit_is_what_its_codes_and_masks_draw(tiny, project, target, threshold):
    fit = project(Border(20.0), latent_noise=0.0, masks_freeze=0.5, mask_threshold=threshold, lr=0.01)
    styles = [s.to_styles(c[None]) for s, c in zip(latent_spaces(fit.codes.spaces, tiny), fit.codes.values)]
    image = composite(tiny, styles, fit.segments, target)
    assert float((image - target).square().mean()) == pytest.approx(fit.history[-1]["perceptual"], rel=0.05)


def test_masks_rest_before_they_join_and_after_they_freeze(project):
    places = []
    masks = Border(20.0)
    project(masks, masks_join=0.25, masks_freeze=0.5, listeners=[lambda step: places.append(float(masks.place))])
    assert places[2] == 20.0 and places[3] != 20.0 and places[4] != places[3]
    assert places[5] != places[4] and places[6:] == [places[5]] * 6


def test_masks_move_in_every_third_step(project):
    places = []
    masks = Border(20.0)
    options = {"masks_join": 0.25, "masks_freeze": 0.75, "mask_every": 3}
    project(masks, **options, listeners=[lambda step: places.append(float(masks.place))])
    moved = [step for step, (before, after) in enumerate(zip([20.0, *places], places)) if before != after]
    assert len(places) == 12 and moved == [3, 6]


def test_listeners_see_the_masks_as_they_are(project):
    seen = []
    fit = project(Border(20.0), listeners=[lambda step: seen.append(step.segments().masks)])
    assert torch.equal(seen[-1], fit.segments.masks) and not torch.equal(seen[0], seen[-1])


def test_a_resumed_fit_ends_where_an_unbroken_one_does(project, tmp_path):
    options = {"masks_freeze": 0.75, "mask_guard": 1.0}
    whole = project(Border(20.0), **options)

    def interrupt(step):
        if step.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project(Border(20.0), listeners=[interrupt], state=tmp_path / "fit.ckpt", **options)
    again = project(Border(20.0), state=tmp_path / "fit.ckpt", **options)
    assert torch.equal(again.segments.masks, whole.segments.masks)


def test_the_guard_holds_what_would_vanish(project):
    loose, held = (project(Border(3.0), steps=25, mask_lr=1.0, mask_guard=w, l2=0.0, lr=1e-6) for w in (0.0, 10.0))
    share = [fit.areas["left"][1] / fit.areas["left"][0] for fit in (loose, held)]
    assert share[1] > 0.25 and share[1] >= share[0]


def test_a_vanished_chunk_is_warned_of(project):
    masks = Border(16.0)
    with pytest.warns(UserWarning, match="chunk 'left' shrank from 5"):
        project(masks, steps=3, listeners=[lambda step: masks.place.data.fill_(-60.0)])


def test_a_chunk_that_keeps_its_share_costs_nothing():
    first = torch.tensor([0.2, 0.8])
    assert float(shrinking(torch.tensor([0.1, 0.9]), first, keep=0.5)) == 0.0
    found = float(shrinking(torch.tensor([0.05, 0.95]), first, keep=0.5))
    assert found == pytest.approx(torch.tensor(2.0).log().square().item())


@pytest.mark.parametrize("threshold", [0.01, 0.1, 0.3])
def test_pruned_masks_change_a_composite_no_more_than_stated(threshold):
    rng = torch.Generator().manual_seed(0)
    masks = (3 * torch.randn(5, 16, 16, generator=rng)).softmax(0)
    images = torch.rand(5, 3, 16, 16, generator=rng) * 2 - 1
    cut = pruned(masks, threshold)
    torch.testing.assert_close(cut.sum(0), torch.ones(16, 16))
    assert ((cut > 0) & (cut <= threshold) & (cut < cut.max(0).values)).sum() == 0 and (cut == 0).any()
    error = (torch.einsum("nhw,nchw->chw", cut - masks, images)).abs().max()
    assert error <= 2 * 4 * threshold
    assert torch.equal(pruned(masks, 0.0), masks)


def test_seghead_masks_are_fitted_with_the_codes(tiny, tiny_head, project, target):
    masks = SegHeadMasks(tiny, (32, 32), target, weights=tiny_head, start="bank", small="drop")
    fit = project(masks, mask_lr=0.1)
    assert fit.history[-1]["perceptual"] < fit.history[0]["perceptual"]
    assert not torch.equal(fit.mask_state["code"], masks.start)
    torch.testing.assert_close(fit.segments.masks.sum(0), torch.ones(32, 32))
    assert set(fit.areas) == {"sky", "sea", "sand"}


def test_schedules_that_make_no_sense_are_refused():
    with pytest.raises(RecipeError, match="masks_join"):
        Optimization(masks_join=0.6, masks_freeze=0.5)
    with pytest.raises(RecipeError, match="mask_every"):
        Optimization(mask_every=0)
    with pytest.raises(RecipeError, match="mask_threshold"):
        Optimization(mask_threshold=1.5)
