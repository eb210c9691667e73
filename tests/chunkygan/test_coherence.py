"""How far chunks disagree: the measure against other ways to it, what a fit makes of it, and refinements of edits."""

from dataclasses import replace

import pytest
import torch

import chunkygan
from chunkygan.coherence import disagreement, mean_disagreement, overlap
from chunkygan.compositing import blend, effective_masks
from chunkygan.drawing import composite_of, drawn_of
from chunkygan.editing.cohering import NAME, cohere
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.lightning.cohering import CohereSettings, band
from chunkygan.objective import incoherence
from chunkygan.projection import Projection
from chunkygan.spaces import latent_spaces
from chunkygan.types import Codes, Segments

CPU = {"accelerator": "cpu"}
QUICK = CohereSettings(steps=15, perceptual=0.1)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(4)


def soft_masks(n, rng, size=12, sharp=3.0):
    return (sharp * torch.randn(n, size, size, generator=rng)).softmax(0)


def pairwise(images, masks):
    """sum over pairs of S_i S_j |G_i - G_j|^2, in double precision."""
    images, masks, n = images.double(), masks.double(), len(images)
    return sum(
        masks[i] * masks[j] * (images[i] - images[j]).square().mean(0) for i in range(n) for j in range(i + 1, n)
    )


@pytest.mark.parametrize("n", [1, 2, 5])
def test_it_is_the_pairs_squared_difference_weighted_by_what_they_share(rng, n):
    images, masks = torch.randn(n, 3, 12, 12, generator=rng), soft_masks(n, rng)
    found = disagreement(images, masks)
    expected = pairwise(images, masks) if n > 1 else torch.zeros(12, 12)
    torch.testing.assert_close(found, expected.to(found), atol=1e-6, rtol=1e-5)
    assert (found >= 0).all()


def test_it_is_what_the_chunks_errors_exceed_the_composites_by(rng):
    images, masks = torch.randn(3, 3, 12, 12, generator=rng), soft_masks(3, rng)
    photo = torch.randn(1, 3, 12, 12, generator=rng)
    chunks = (masks * (images - photo).square().mean(1)).sum(0)
    together = (blend(images, masks) - photo).square().mean((0, 1))
    torch.testing.assert_close(disagreement(images, masks), chunks - together, atol=1e-5, rtol=1e-4)


def test_chunks_that_agree_and_hard_masks_have_none(rng):
    picture, masks = torch.randn(1, 3, 12, 12, generator=rng), soft_masks(4, rng)
    assert float(disagreement(picture.expand(4, -1, -1, -1), masks).max()) < 1e-10
    hard = torch.nn.functional.one_hot(masks.argmax(0), 4).permute(2, 0, 1).float()
    assert not disagreement(torch.randn(4, 3, 12, 12, generator=rng), hard).any() and not overlap(hard).any()


def test_its_gradient_is_that_of_the_formula_and_leaves_masks_alone(rng):
    images = torch.randn(3, 3, 12, 12, generator=rng, dtype=torch.double, requires_grad=True)
    masks = torch.randn(3, 12, 12, generator=rng, dtype=torch.double).softmax(0).requires_grad_()
    (found,) = torch.autograd.grad(disagreement(images, masks).sum(), images)
    (expected,) = torch.autograd.grad(pairwise(images, masks.detach()).sum(), images)
    torch.testing.assert_close(found, expected)
    assert not disagreement(images.detach(), masks).requires_grad


def test_the_mean_is_the_same_however_wide_edges_are():
    images = torch.stack([torch.zeros(3, 40, 40), torch.full((3, 40, 40), 0.3)])
    means = []
    for width in (2.0, 6.0, 20.0):
        left = ((20 - torch.arange(40.0)) / width + 0.5).clamp(0, 1).expand(40, 40)
        masks = torch.stack([left, 1 - left])
        means.append(mean_disagreement(disagreement(images, masks), overlap(masks)))
    assert means == pytest.approx([0.09] * 3, rel=1e-5)
    assert mean_disagreement(torch.zeros(4, 4), torch.zeros(4, 4)) is None


def test_overlap_is_what_pairs_share(rng):
    masks = soft_masks(3, rng)
    by_hand = masks[0] * masks[1] + masks[0] * masks[2] + masks[1] * masks[2]
    torch.testing.assert_close(overlap(masks), by_hand)
    half = torch.full((12, 12), 0.5)
    torch.testing.assert_close(overlap(masks, half), by_hand / 2)


@pytest.mark.parametrize("wrong", [(2, 3, 12, 10), (3, 3, 12, 12), (2, 1, 12, 12)])
def test_other_sizes_are_refused(rng, wrong):
    with pytest.raises(ShapeError):
        disagreement(torch.zeros(wrong), soft_masks(2, rng))


def three_chunks(rng):
    """Masks at 32 x 32 with windows of their own: 0 away from a place each, soft between."""
    x = torch.linspace(0, 1, 32)
    ramps = torch.stack([(1.5 - 3 * x).clamp(0, 1), (3 * x - 1.5).clamp(0, 1)]).unsqueeze(1).expand(2, 32, 32)
    middle = (torch.hypot(x[:, None] - 0.5, x[None] - 0.5) < 0.2).float()
    middle = chunkygan.masks.feather(torch.stack([middle, 1 - middle]), 4.0)[0]
    return torch.cat([ramps * (1 - middle), middle[None]])


@pytest.mark.parametrize("kept", [False, True])
def test_windows_give_what_full_pictures_give(tiny, rng, kept):
    masks = three_chunks(rng)
    static = torch.linspace(-0.5, 1.2, 32)[:, None].expand(32, 32).clamp(0, 1) if kept else None
    segments = Segments(masks, ("a", "b", "c"), static)
    styles = tiny.styles(tiny.mapping(torch.randn(3, 16, generator=rng)))
    drawn = drawn_of(tiny, styles, segments, torch.zeros(1, 3, 32, 32))
    assert sum(w.size[0] * w.size[1] for w in drawn.cover.windows) < 3 * 32 * 32
    full = disagreement(tiny.synthesis(styles), masks, static)
    torch.testing.assert_close(drawn.disagreement(), full, atol=1e-5, rtol=1e-4)
    assert torch.equal(drawn.image, composite_of(tiny, styles, segments, torch.zeros(1, 3, 32, 32)))
    if kept:
        assert not drawn.disagreement()[static == 1].any()


@pytest.mark.parametrize("frugal", [False, True])
def test_a_fit_weighs_it(tiny, halves, pixels, frugal):
    """The weighted fit's chunks agree better; its objective is the sum of the terms with their weights."""
    from chunkygan.build import create

    target = tiny.synthesis(tiny.styles(tiny.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(3)))))
    apart = []
    for weight in (0.0, 3.0):
        inverter = create(
            "inverter", {"name": "optimization", "steps": 25, "l2": 1.0, "coherence": weight, "latent_noise": 0.0,
                         "memory": "frugal" if frugal else "joint"}, trainer=CPU
        )  # fmt: skip
        fit = inverter.project(
            target, generator=tiny, spaces=[{"name": "w_plus"}] * 2, mask_generator=halves, perceptual=pixels
        )
        assert ("coherence" in fit.history[0]) == bool(weight)
        last = fit.history[-1]
        assert last["total"] == pytest.approx(last["perceptual"] + last["l2"] + weight * last.get("coherence", 0.0))
        apart.append(Projection(target, fit.codes, fit.segments, tiny).mean_disagreement())
    assert apart[1] < 0.5 * apart[0]


def test_incoherence_is_in_the_unit_of_l2(rng):
    images, masks = torch.randn(2, 3, 12, 12, generator=rng), soft_masks(2, rng)
    torch.testing.assert_close(incoherence(disagreement(images, masks)), disagreement(images, masks).mean())


@pytest.fixture
def torn(tiny, halves):
    """Two chunks of one code, the left one edited: before, they agree; after, they do not."""

    def make(*names):
        specs = tuple({"name": name} for name in names)
        ws = tiny.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(6)))
        codes = tuple(space.from_ws(ws)[0] for space in latent_spaces(specs, tiny))
        with torch.no_grad():
            masks = halves()[0]
        plain = Projection(torch.zeros(1, 3, 32, 32), Codes(codes, specs), Segments(masks, ("left", "right")), tiny)
        step = 0.5 * torch.randn(16, generator=torch.Generator().manual_seed(7))
        return plain, plain.edit(step, 1.0, "left", name="smile")

    return make


@pytest.mark.filterwarnings("ignore:edit.*standard deviations")
@pytest.mark.parametrize("names", [("w_plus", "w_plus"), ("s", "w"), ("w", "s")])
def test_a_refinement_brings_chunks_together_and_is_an_edit_like_any_other(torn, pixels, names, tmp_path):
    plain, edited = torn(*names)
    made = cohere(edited, perceptual=pixels, settings=QUICK, trainer=CPU)
    assert made.mean_disagreement() < 0.8 * edited.mean_disagreement()
    assert made.edits[:-1] == edited.edits and made.edits[-1].name == NAME
    assert made.edits[-1].chunks == (0, 1)
    assert torch.equal(made.remove_edit(-1).render(), edited.render())
    assert torch.equal(made.change_edit(-1, strength=0.0).render(), edited.render())
    assert torch.equal(made.remove_edit(-1).remove_edit(0).render(), plain.render())
    made.save(tmp_path / "made.safetensors")
    read = chunkygan.load_projection(tmp_path / "made.safetensors", generator=plain.generator)
    assert torch.equal(read.render(), made.render())


@pytest.mark.filterwarnings("ignore:edit.*standard deviations")
def test_named_chunks_are_refined_each_by_a_direction_of_its_own(torn, pixels):
    _, edited = torn("w_plus", "w_plus")
    made = cohere(edited, perceptual=pixels, chunk=["right", "left"], settings=QUICK, trainer=CPU)
    last, (left, right) = made.edits[-1], made.edited_codes()
    assert last.chunks == (1, 0) and last.direction.shape == (2, 8, 16)
    torch.testing.assert_close(right - edited.edited_codes()[1], last.direction[0])
    torch.testing.assert_close(left - edited.edited_codes()[0], last.direction[1])
    with pytest.raises(ProjectionError, match="2 directions, one a chunk"):
        made.change_edit(-1, chunk="left")


def test_the_edited_chunks_and_those_beside_them_are_refined(tiny, pixels):
    """Four stripes: the first is edited, or none, or all."""
    x = torch.arange(32)
    stripes = torch.stack([(x // 8 == i).float().expand(32, 32) for i in range(4)])
    masks = chunkygan.masks.feather(stripes, 2.0)
    codes = tuple(latent_spaces([{"name": "w"}], tiny)[0].sample(4, rng=torch.Generator().manual_seed(1)))
    segments = Segments(masks, tuple("abcd"))
    plain = Projection(torch.zeros(1, 3, 32, 32), Codes(codes, ({"name": "w"},) * 4), segments, tiny)
    for edited, expected in ((plain.edit(torch.ones(16), 0.1, "a"), (0, 1)), (plain, (0, 1, 2, 3)),
                             (plain.edit(torch.ones(16), 0.1), (0, 1, 2, 3))):  # fmt: skip
        made = cohere(edited, perceptual=pixels, margin=2, settings=replace(QUICK, steps=1), trainer=CPU)
        assert made.edits[-1].chunks == expected


def test_hard_masks_meet_in_the_band_too(torn, pixels):
    """They overlap nowhere, so there is no measure; their pictures come nearer beside the border all the same."""
    _, edited = torn("w_plus", "w_plus")
    left = (torch.arange(32) < 16).float().expand(32, 32)
    edited = replace(edited, segments=Segments(torch.stack([left, 1 - left]), ("left", "right")))
    assert edited.mean_disagreement() is None
    made = cohere(edited, perceptual=pixels, settings=QUICK, trainer=CPU)

    def apart(projection):
        a, b = projection.drawn()[..., 15:17]
        return float((a - b).square().mean())

    assert apart(made) < 0.8 * apart(edited)


def test_what_lies_outside_of_the_band_is_held(torn, pixels):
    _, edited = torn("w_plus", "w_plus")
    changes = []
    for hold in (0.0, 30.0):
        settings = replace(QUICK, hold=hold, perceptual=0.0, change=0.0)
        made = cohere(edited, perceptual=pixels, settings=settings, trainer=CPU)
        changes.append(float((made.render() - edited.render())[..., 24:].square().mean()))
    assert changes[1] < 0.5 * changes[0]


def test_the_band_lies_along_the_borders_of_what_was_edited():
    x = torch.arange(30)
    masks = torch.stack([x < 10, (x >= 10) & (x < 20), x >= 20]).float()[:, None].expand(3, 5, 30)
    soft = chunkygan.masks.feather(masks, 4.0)
    of_first, of_all = band(soft, [0])[2], band(soft, [0, 1, 2])[2]
    assert of_first[9:11].min() > 0.9 and of_first[16:].max() == 0 and of_first[:3].max() == 0
    assert of_all[9:11].min() > 0.8 and of_all[19:21].min() > 0.8 and of_all[14:16].max() < 0.05
    assert torch.equal(band(soft, []), band(soft, [0, 1, 2]))


def test_what_cannot_cohere_is_told(torn, pixels, tiny):
    _, edited = torn("w_plus", "w_plus")
    one = replace(
        edited, codes=Codes(edited.codes.values[:1], edited.codes.spaces[:1]), edits=(),
        segments=Segments(torch.ones(1, 32, 32), ("all",)),
    )  # fmt: skip
    with pytest.raises(ProjectionError, match="one chunk only"):
        cohere(one, perceptual=pixels)
    with pytest.raises(ProjectionError, match="no chunk 'rigth'"):
        cohere(edited, perceptual=pixels, chunk="rigth")
    with pytest.raises(ShapeError, match="margin"):
        cohere(edited, perceptual=pixels, margin=-1)
    whole = torch.stack([torch.ones(32, 32), torch.zeros(32, 32)])
    empty = replace(edited, segments=Segments(whole, ("left", "right")))
    with pytest.raises(ProjectionError, match="no chunk meets"):
        cohere(empty, perceptual=pixels)


def test_effective_masks_weigh_what_meets(torn, pixels):
    """Chunks whose border lies where the photo is kept have nothing to agree on."""
    _, edited = torn("w_plus", "w_plus")
    static = torch.zeros(32, 32)
    static[:, 4:28] = 1
    kept = replace(edited, segments=replace(edited.segments, static=static))
    assert float(effective_masks(kept.masks, static).prod(0).max()) == 0
    with pytest.raises(ProjectionError, match="no chunk meets"):
        cohere(kept, perceptual=pixels, margin=0)
