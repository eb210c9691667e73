"""Masks that follow an edit: the mask code takes it too, exactly, and comes back exactly."""

from dataclasses import replace

import pytest
import torch

import chunkygan
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.components.mask_generators.seghead import SegHeadMasks
from chunkygan.editing.direction import sounds_geometric
from chunkygan.editing.directions_file import read_own, write_directions
from chunkygan.editing.edit_words import find_direction
from chunkygan.editing.moves import channel_direction
from chunkygan.errors import ProjectionError
from chunkygan.masks import pruned
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments

pytestmark = pytest.mark.filterwarnings("ignore:edit.*standard deviations")


def mask_code(tiny, space="w_plus"):
    ws = tiny.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(8)))
    return (ws[0, 0] if space == "w" else ws[0]).clone()


@pytest.fixture
def projection(tiny, tiny_head):
    """A projection whose masks are those of a mask code, as a fit leaves them."""

    def make(space="w_plus", threshold=0.01, **options):
        spec = {"name": "seghead", "weights": str(tiny_head), "least": 0.0, "space": space, **options}
        own = {key: value for key, value in spec.items() if key != "name"}
        names = ("sky", "rest") if "chunks" in options else ("sky", "sea", "sand", "none")
        masks = SegHeadMasks(tiny, (32, 32), **own, fitted=(names, {"code": mask_code(tiny, space)}))
        codes = WPlus(tiny).sample(len(names), rng=torch.Generator().manual_seed(9), truncation=0.5)
        with torch.no_grad():
            segments = Segments(pruned(masks()[0], threshold), names)
        return Projection(
            torch.zeros(1, 3, 32, 32), Codes(tuple(codes), ({"name": "w_plus"},) * len(names)), segments, tiny,
            mask_state={"code": mask_code(tiny, space)},
            recipe={"mask_generator": spec, "inverter": {"name": "optimization", "mask_threshold": threshold}},
        )  # fmt: skip

    return make


def step(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("space", ["w", "w_plus"])
@pytest.mark.parametrize("kind", ["w", "rows", "s"])
def test_the_masks_are_those_of_the_edited_mask_code(projection, tiny, tiny_head, space, kind):
    plain = projection(space)
    direction, rows = step(16), (2, 5) if kind == "rows" else None
    code = mask_code(tiny, space).expand(8, 16).clone()
    if kind == "s":
        direction = channel_direction(tiny, [(3, 1, 8.0), (6, 0, -4.0)])
        styles = tiny.styles(code[None])
        styles[3][:, 1] += 8.0 * 1.5
        styles[6][:, 0] -= 4.0 * 1.5
    else:
        code[slice(*rows) if rows else slice(None)] += 1.5 * direction
        styles = tiny.styles(code[None])
    edited = plain.edit(direction, 1.5, rows=rows, masks=True)
    own = SegHeadMasks(tiny, (32, 32), weights=tiny_head, least=0.0, start="mean")
    with torch.no_grad():
        expected = own.head(tiny.feature_stack(styles), size=(32, 32)).mean(0).softmax(1)[0]
    torch.testing.assert_close(edited.masks, pruned(expected, 0.01), atol=1e-5, rtol=1e-4)
    assert float((edited.masks - plain.masks).abs().max()) > 0.05
    torch.testing.assert_close(edited.masks.sum(0), torch.ones(32, 32))


def test_without_strength_or_when_disabled_or_removed_no_bit_changes(projection):
    plain = projection()
    edited = plain.edit(step(16), 1.0, masks=True)
    assert not torch.equal(edited.masks, plain.masks)
    for same in (
        plain.edit(step(16), 0.0, masks=True),
        edited.change_edit(0, enabled=False),
        edited.change_edit(0, strength=0.0),
        edited.remove_edit(0),
    ):
        assert torch.equal(same.masks, plain.masks) and torch.equal(same.render(), plain.render())


def test_masks_begin_to_move_from_where_they_rest(projection):
    plain = projection()
    torch.testing.assert_close(plain.edit(step(16), 1e-6, masks=True).masks, plain.masks, atol=2e-4, rtol=0)


def test_the_codes_move_as_they_do_with_resting_masks(projection):
    plain = projection()
    moving, resting = plain.edit(step(16), 1.0, masks=True), plain.edit(step(16), 1.0)
    assert torch.equal(resting.masks, plain.masks)
    assert all(torch.equal(a, b) for a, b in zip(moving.edited_codes(), resting.edited_codes()))
    assert torch.equal(moving.change_edit(0, masks=False).render(), resting.render())
    assert not torch.equal(moving.render(), resting.render())


def test_moved_masks_survive_the_file(projection, tiny, tmp_path):
    edited = projection().edit(step(16), 1.0, masks=True).edit(step(16, seed=2), 0.5)
    edited.save(tmp_path / "face.safetensors")
    read = chunkygan.load_projection(tmp_path / "face.safetensors", generator=tiny)
    assert [edit.masks for edit in read.edits] == [True, False]
    assert torch.equal(read.masks, edited.masks) and torch.equal(read.render(), edited.render())
    assert torch.equal(read.remove_edit(0).masks, edited.segments.masks)


def test_chunks_that_were_merged_stay_merged(projection):
    plain = projection(chunks={"sky": ["sky"], "gone": ["none"]}, small="merge")
    edited = plain.edit(step(16), 1.0, masks=True)
    assert edited.masks.shape == (2, 32, 32) and not torch.equal(edited.masks, plain.masks)
    dropped = replace(plain, segments=replace(plain.segments, names=("sky", "other")))
    with pytest.raises(ProjectionError, match="make the chunks sky, rest, not sky, other"):
        _ = dropped.edit(step(16), 1.0, masks=True).masks


def test_masks_without_a_code_are_told(tiny, halves, projection):
    codes = WPlus(tiny).sample(2, rng=torch.Generator().manual_seed(3))
    with torch.no_grad():
        segments = Segments(halves()[0], ("left", "right"))
    painted = Projection(
        torch.zeros(1, 3, 32, 32), Codes(tuple(codes), ({"name": "w_plus"},) * 2), segments, tiny,
        recipe={"mask_generator": {"name": "painted", "path": "masks.png"}},
    )  # fmt: skip
    assert not painted.masks_can_move and projection().masks_can_move
    with pytest.raises(ProjectionError, match="no code"):
        painted.edit(step(16), 1.0, masks=True)


def test_masks_that_were_painted_over_rest(projection):
    edited = projection().edit(step(16), 1.0, masks=True)
    painted = edited.with_masks(torch.full((4, 32, 32), 0.25))
    assert torch.equal(painted.masks, torch.full((4, 32, 32), 0.25))
    assert torch.equal(painted.with_masks(None).masks, edited.masks)


def test_a_lost_head_is_told_and_the_edit_can_still_be_taken_back(projection, tmp_path):
    edited = projection().edit(step(16), 1.0, masks=True)
    recipe = {**edited.recipe, "mask_generator": {**edited.recipe["mask_generator"], "weights": str(tmp_path / "no")}}
    lost = replace(edited, recipe=recipe)
    with pytest.raises(ProjectionError, match="the masks cannot be moved"):
        lost.render()
    assert torch.equal(lost.remove_edit(0).masks, edited.segments.masks)


def test_a_direction_says_in_its_file_whether_it_is_geometric(tiny, tmp_path):
    from chunkygan.editing.direction import Direction

    unit = torch.zeros(16)
    unit[0] = 1
    path = tmp_path / "directions.safetensors"
    write_directions(
        path, [Direction("yaw", "w", unit, geometric=True), Direction("smile", "w", unit)], generator_sha256=None
    )
    assert [direction.geometric for direction in read_own(path)] == [True, False]
    assert find_direction("yaw", tiny, [str(tmp_path)]).geometric
    assert not find_direction("smile", tiny, [str(tmp_path)]).geometric


@pytest.mark.parametrize("name, geometric", [("yaw", True), ("pose_w", True), ("head-roll", True), ("nose_tip", False),
                                             ("rollicking", False)])  # fmt: skip
def test_other_files_are_told_by_their_names(tiny, tmp_path, name, geometric):
    import numpy as np

    np.save(tmp_path / f"{name}.npy", np.ones(16))
    assert sounds_geometric(name) == geometric == find_direction(name, tiny, [str(tmp_path)]).geometric
