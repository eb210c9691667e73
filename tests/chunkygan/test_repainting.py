"""Edits by repainting labels: they reach what is painted, keep the rest, and are ordinary edits."""

import warnings
from dataclasses import replace

import pytest
import torch

from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.components.seg_heads.datasetgan_mlp import DatasetGanMlp
from chunkygan.editing.directions import read_direction
from chunkygan.editing.editing_vectors import read_vectors, write_vectors
from chunkygan.editing.moves import channel_direction
from chunkygan.editing.repainting import refine, repaint
from chunkygan.errors import ComponentError, ProjectionError, ShapeError, WeightsError
from chunkygan.head_labels import labels_of
from chunkygan.lightning.repainting import RepaintSettings
from chunkygan.masks import dilated
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments

CPU = {"accelerator": "cpu"}
QUICK = RepaintSettings(steps=25, perceptual=0.1, l2=0.1)


@pytest.fixture(scope="module")
def head(tiny, tiny_head):
    return DatasetGanMlp(tiny, weights=tiny_head)


def projection_of(tiny, seed=5, masks=None, spaces=("w_plus",)):
    """Random codes as chunks; the target is what they draw, so that nothing but the edit is to be seen."""
    from chunkygan.spaces import latent_spaces

    specs = tuple({"name": name} for name in spaces)
    rng = torch.Generator().manual_seed(seed)
    codes = tuple(space.sample(1, rng=rng, truncation=0.7)[0] for space in latent_spaces(specs, tiny))
    masks = torch.ones(1, 32, 32) if masks is None else masks
    names = ("left", "right")[: len(codes)] if len(codes) > 1 else ("all",)
    made = Projection(torch.zeros(1, 3, 32, 32), Codes(codes, specs), Segments(masks, names), tiny)
    return replace(made, target=made.render())


def random_direction(tiny, seed):
    """One of W+, a standard deviation long in every coordinate."""
    return torch.randn(tiny.num_ws, 16, generator=torch.Generator().manual_seed(seed)) * WPlus(tiny).scale()


def painted(projection, head, *, box=(slice(10, 22), slice(10, 22)), seed=11):
    """The labels as they are, but inside a box those of the picture some way off: what can be drawn, and is known."""
    direction = random_direction(projection.generator, seed)
    labels, other = labels_of(projection, head), labels_of(projection.edit(direction, 1.0), head)
    labels[box] = other[box]
    return labels


def options(head, pixels, **more):
    return {"head": head, "perceptual": pixels, "settings": QUICK, "trainer": CPU, **more}


def test_labels_of_one_chunk_are_the_heads_own(tiny, head):
    made = projection_of(tiny)
    maps = tiny.feature_stack(WPlus(tiny).to_styles(made.codes.values[0][None]), noise="const")
    assert torch.equal(labels_of(made, head), head.labels(maps, size=(32, 32))[0])


def test_labels_of_chunks_are_each_chunks_where_its_mask_is_hard(tiny, head):
    left = torch.zeros(32, 32)
    left[:, :16] = 1
    made = projection_of(tiny, masks=torch.stack([left, 1 - left]), spaces=("w_plus", "w"))
    maps = [tiny.feature_stack(space.to_styles(c[None])) for space, c in zip(made.spaces, made.codes.values)]
    first, second = (head.labels(m, size=(32, 32))[0] for m in maps)
    assert torch.equal(labels_of(made, head), torch.where(left > 0, first, second))


def test_dilation_reaches_as_far_as_it_says_and_no_further():
    region = torch.zeros(9, 9, dtype=torch.bool)
    region[4, 4] = True
    grown = dilated(region, 2)
    assert int(grown.sum()) == 25 and grown[2:7, 2:7].all() and torch.equal(dilated(region, 0), region)


def test_most_repainted_pixels_take_their_class_and_the_edit_is_exact_at_strength_one(tiny, head, pixels):
    made = projection_of(tiny)
    labels = painted(made, head)
    changed = labels != labels_of(made, head)
    assert 20 < int(changed.sum()) < 144
    done = repaint(made, labels, **options(head, pixels, name="wide"))
    seen = labels_of(done.projection, head)
    assert done.reached == pytest.approx(float((seen == labels)[changed].float().mean()))
    assert done.reached > 0.6
    (edit,) = done.projection.edits
    assert (edit.name, edit.strength, edit.chunks) == ("wide", 1.0, (0,))
    moved = tiny.synthesis(WPlus(tiny).to_styles((made.codes.values[0] + edit.direction)[None]))
    torch.testing.assert_close(done.projection.render(), moved, atol=1e-5, rtol=0)
    assert torch.equal(done.projection.change_edit(0, strength=0.0).render(), made.render())
    assert torch.equal(done.projection.remove_edit(0).render(), made.render())


def test_what_the_fit_saw_is_what_the_projection_draws(tiny, head, pixels, halves):
    """With chunks of unlike spaces, edits before it, among them one that only styles can hold, and a static mask."""
    with torch.no_grad():
        masks = halves()[0]
    made = projection_of(tiny, masks=masks, spaces=("w", "s"))
    static = torch.zeros(32, 32)
    static[:4] = 1
    made = replace(made, segments=replace(made.segments, static=static))
    made = made.edit(channel_direction(tiny, [(3, 2, 1.0)]), 0.5, "left")
    made = made.edit(torch.randn(16, generator=torch.Generator().manual_seed(2)), 0.2, rows=(1, 3))
    pictures = []
    done = repaint(
        made, painted(made, head), **options(head, pixels, listeners=[lambda step: pictures.append(step.preview())])
    )
    assert len(done.projection.edits) == 3 and done.projection.edits[-1].chunks == (0, 1)
    losses = [row["total"] for row in done.history]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert best > 0  # a preview shows where the step has led, and that is what the next one's loss is of
    drawn = done.projection.render().clamp(-1, 1)
    assert min(float((drawn - seen).abs().max()) for seen in (pictures[best - 1], pictures[-1])) < 1e-4
    assert torch.equal(done.projection.render()[..., :4, :], made.target[..., :4, :])


def test_the_outside_changes_less_than_without_its_terms(tiny, head, pixels):
    made = projection_of(tiny)
    labels = painted(made, head)
    held = repaint(made, labels, **options(head, pixels))
    free = replace(QUICK, perceptual=0.0, l2=0.0, change=0.0)
    loose = repaint(made, labels, **options(head, pixels, settings=free))
    assert held.outside < 0.5 * loose.outside


def test_the_weight_of_the_change_shortens_the_vector(tiny, head, pixels):
    made = projection_of(tiny)
    labels = painted(made, head)
    lengths = [
        float(repaint(made, labels, **options(head, pixels, settings=replace(QUICK, change=w))).vector.direction.norm())
        for w in (0.0, 10.0)
    ]
    assert lengths[1] < 0.7 * lengths[0]


def test_the_same_painting_gives_the_same_vector(tiny, head, pixels):
    made = projection_of(tiny)
    labels = painted(made, head)
    few = replace(QUICK, steps=5)
    first, second = (repaint(made, labels, **options(head, pixels, settings=few)).vector.direction for _ in range(2))
    assert torch.equal(first, second)


def test_identity_is_held_where_there_is_a_network_for_it(tiny, head, pixels):
    from chunkygan.interfaces import Identity

    class Colour(Identity):
        name = "identity_colour"

        def embed(self, images):
            return torch.nn.functional.normalize(images.mean((2, 3)) + 0.1, dim=1)

    made = projection_of(tiny)
    labels = painted(made, head)
    before, network = made.render(), Colour()
    distances = []
    for weight in (0.0, 30.0):
        settings = replace(QUICK, identity=weight)
        done = repaint(made, labels, **options(head, pixels, identity=network, settings=settings))
        distances.append(float(network(before, done.projection.render())))
    assert distances[1] < 0.5 * distances[0]


def test_the_chunks_that_draw_the_region_move_and_named_ones_instead(tiny, head, pixels):
    left = torch.zeros(32, 32)
    left[:, :16] = 1
    made = projection_of(tiny, masks=torch.stack([left, 1 - left]), spaces=("w_plus", "w_plus"))
    box = (slice(8, 24), slice(1, 14))
    labels = painted(made, head, box=box)
    done = repaint(made, labels, **options(head, pixels))
    assert done.projection.edits[0].chunks == (0,)
    right = (left == 0).expand(1, 3, -1, -1)
    assert torch.equal(done.projection.render()[right], made.render()[right])
    with pytest.raises(ProjectionError, match="next to nothing of what is repainted is drawn by the chunks named"):
        repaint(made, labels, **options(head, pixels, chunk="right"))
    across = painted(made, head, box=(slice(8, 24), slice(0, 20)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        both = repaint(made, across, **options(head, pixels, chunk="right", settings=replace(QUICK, steps=2)))
    assert both.projection.edits[0].chunks == (1,)
    assert any("is drawn by the chunks that move" in str(w.message) for w in caught)


def test_a_vector_is_stored_with_its_region_and_moves_another_picture(tiny, head, pixels, tmp_path):
    made, other = projection_of(tiny), projection_of(tiny, seed=21)
    few = replace(QUICK, steps=5)
    vector = repaint(made, painted(made, head), **options(head, pixels, name="wide", settings=few)).vector
    write_vectors(tmp_path / "wide.safetensors", [vector], generator_sha256="ab" * 32)
    (again,) = read_vectors(tmp_path / "wide.safetensors")
    assert again.name == "wide" and again.classes == vector.classes and torch.equal(again.region, vector.region)
    torch.testing.assert_close(again.direction, vector.direction, atol=1e-6, rtol=1e-5)
    found = read_direction(tmp_path / "wide.safetensors", w_dim=16)
    assert found.generator_sha256 == "ab" * 32
    torch.testing.assert_close(found.vector * found.native_strength, vector.direction, atol=1e-6, rtol=1e-5)
    assert float((other.edit(again.direction, 1.0).render() - other.render()).abs().max()) > 0.01


def test_damaged_regions_and_other_files_are_refused(tiny, tmp_path):
    from chunkygan.editing.direction import unit_direction
    from chunkygan.editing.directions_file import write_directions
    from chunkygan.tensor_files import write_safetensors

    one = unit_direction("a", torch.ones(5, 16), None, "a")
    for region in ("no base64!", "aGVsbG8=", 3):
        write_directions(
            tmp_path / "a.safetensors", [one], generator_sha256=None, repainted={"a": {"region": region, "classes": []}}
        )
        with pytest.raises(WeightsError, match="repainted regions"):
            read_vectors(tmp_path / "a.safetensors")
    write_directions(tmp_path / "b.safetensors", [one], generator_sha256=None)
    assert read_vectors(tmp_path / "b.safetensors") == []
    write_safetensors(tmp_path / "c.safetensors", {"a": torch.ones(3)}, {})
    with pytest.raises(WeightsError, match="no file of directions"):
        read_vectors(tmp_path / "c.safetensors")


def test_a_refined_edit_keeps_its_labels_and_lets_go_of_the_rest(tiny, head, pixels):
    made = projection_of(tiny)
    moved = made.edit(random_direction(tiny, 11), 0.5, name="smile")
    refined = refine(moved, **options(head, pixels, settings=replace(QUICK, change=0.0)))
    (edit,) = refined.edits
    assert (edit.name, edit.strength, edit.rows) == ("smile", 0.5, None) and edit.direction.shape == (5 + 3, 16)
    before, wanted, seen = (labels_of(p, head) for p in (made, moved, refined))
    changed = before != wanted
    region = dilated(changed, 1)
    assert float((seen == wanted)[changed].float().mean()) > 0.6

    def outside(projection):
        return float((projection.render() - made.render()).square().mean((0, 1))[~region].mean())

    assert outside(refined) < 0.6 * outside(moved)
    assert torch.equal(refined.change_edit(0, strength=0.0).render(), made.render())


def test_only_labels_of_the_classes_named_are_wanted(tiny, head, pixels):
    made = projection_of(tiny)
    moved = made.edit(random_direction(tiny, 11), 0.5)
    with pytest.raises(ShapeError, match="no class 'lip'"):
        refine(moved, **options(head, pixels, classes=["lip"]))
    with pytest.raises(ProjectionError, match="moves no label of none"):
        refine(moved, **options(head, pixels, classes=["none"]))
    with pytest.raises(ProjectionError, match="does nothing"):
        refine(moved.change_edit(0, strength=0.0), **options(head, pixels))
    of_s = made.edit(channel_direction(tiny, [(3, 2, 1.0)]), 2.0)
    with pytest.raises(ProjectionError, match="none of W"):
        refine(of_s, **options(head, pixels))


def test_unfit_labels_and_heads_are_refused(tiny, head, pixels):
    made = projection_of(tiny)
    labels = labels_of(made, head)
    with pytest.raises(ProjectionError, match="nothing is repainted"):
        repaint(made, labels, **options(head, pixels))
    with pytest.raises(ProjectionError, match="nothing is repainted"):
        repaint(made, torch.full_like(labels, -1), **options(head, pixels))
    with pytest.raises(ShapeError, match="labels"):
        repaint(made, labels[1:], **options(head, pixels))
    with pytest.raises(ShapeError, match="labels must be 0 to 3"):
        repaint(made, labels + 4, **options(head, pixels))
    with pytest.raises(ShapeError, match="margin"):
        repaint(made, (labels + 1) % 3, **options(head, pixels, margin=-1))

    class Other(type(tiny)):
        def feature_stack(self, styles, *, noise="const"):
            return super().feature_stack(styles, noise=noise)[1:]

    other = Other(32, z_dim=16, w_dim=16, mapping_layers=2, channels=[24, 24, 16, 8])
    with pytest.raises(ComponentError, match="another generator"):
        labels_of(replace(made, generator=other), head)
