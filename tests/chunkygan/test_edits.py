"""Edits of a projection: changed, disabled, reordered, removed; layer ranges and channels; warnings; files."""

import json
import warnings

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import chunkygan
from chunkygan.components.edits.linear import Linear
from chunkygan.components.latent_spaces.s import S
from chunkygan.components.latent_spaces.w import W
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.editing.moves import PLAUSIBLE, Move, channel_direction, standard_deviations
from chunkygan.errors import ProjectionError, ShapeError
from chunkygan.projection import Projection
from chunkygan.types import Codes

SPACES = {"w": W, "w_plus": WPlus, "s": S}

pytestmark = pytest.mark.filterwarnings("ignore:edit.*standard deviations")


@pytest.fixture
def project(tiny, halves):
    def make(*names):
        rng = torch.Generator().manual_seed(2)
        values = tuple(SPACES[name](tiny).sample(1, rng=rng)[0] for name in names)
        with torch.no_grad():
            masks = halves()[0]
        segments = chunkygan.types.Segments(masks, ("left", "right"))
        codes = Codes(values, tuple({"name": name} for name in names))
        return Projection(torch.zeros(1, 3, 32, 32), codes, segments, tiny)

    return make


def direction(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_edits_can_be_changed_disabled_reordered_and_removed(project):
    plain = project("w_plus", "s")
    a, b = direction(16), direction(8, 16, seed=1)
    both = plain.edit(a, 1.0, name="a").edit(b, -0.5, chunk="right")
    assert torch.equal(both.change_edit(0, strength=0.25).render(), plain.edit(a, 0.25).edit(b, -0.5, "right").render())
    assert torch.equal(both.change_edit(0, enabled=False).render(), plain.edit(b, -0.5, "right").render())
    assert torch.equal(
        both.change_edit(0, chunk="left").render(), plain.edit(a, 1, "left").edit(b, -0.5, "right").render()
    )
    assert torch.equal(both.reorder_edits([1, 0]).render(), plain.edit(b, -0.5, "right").edit(a, 1.0).render())
    assert torch.equal(both.remove_edit(-1).remove_edit(0).render(), plain.render())  # exact undo
    assert [edit.name for edit in both.reorder_edits([1, 0]).edits] == ["", "a"]
    for wrong in (
        lambda: both.remove_edit(2),
        lambda: both.change_edit(-3, strength=1),
        lambda: both.reorder_edits([0]),
    ):
        with pytest.raises(ProjectionError):
            wrong()


@pytest.mark.parametrize("space", SPACES)
def test_zero_strength_is_the_identity_for_every_kind_of_direction(project, tiny, space):
    plain = project(space, space)
    for step, rows in ((direction(16), None), (direction(8, 16), (2, 5)), (direction(sum(tiny.style_dims)), None)):
        assert torch.equal(plain.edit(step, 0.0, rows=rows).render(), plain.render())
        assert not torch.equal(plain.edit(step, 1.0, rows=rows).render(), plain.render())


def test_a_range_of_layers_moves_these_rows_alone_in_every_space(project, tiny):
    step = direction(16)
    in_w, in_s = project("w", "w").edit(step, 0.5, rows=(2, 5)), project("s", "s").edit(step, 0.5, rows=(2, 5))
    in_w_plus = project("w_plus", "w_plus")
    moved = in_w_plus.edit(step, 0.5, rows=(2, 5)).edited_codes()[0]
    expected = in_w_plus.codes.values[0].clone()
    expected[2:5] += 0.5 * step
    torch.testing.assert_close(moved, expected)
    ws = in_w.codes.values[0].expand(8, -1).clone()
    ws[2:5] += 0.5 * step
    for found, wanted in zip(in_w.edited_styles()[0], tiny.styles(ws[None])):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    shift = torch.zeros(1, 8, 16)
    shift[:, 2:5] = 0.5 * step
    mean = tiny.w_avg.expand(1, 8, -1)
    shift = torch.cat(tiny.styles(mean + shift), 1) - torch.cat(tiny.styles(mean), 1)
    torch.testing.assert_close(in_s.edited_codes()[0], in_s.codes.values[0] + shift[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_channels_of_s_move_exactly_in_every_space(project, tiny, space):
    plain = project(space, space)
    edited = plain.edit(channel_direction(tiny, [(3, 7, 1.0), (5, 0, -0.5)]), 2.0, chunk="left")
    for k, (before, after) in enumerate(zip(plain.edited_styles()[0], edited.edited_styles()[0])):
        expected = before.clone()
        if k == 3:
            expected[0, 7] += 2
        if k == 5:
            expected[0, 0] -= 1
        torch.testing.assert_close(after, expected)
    assert all(torch.equal(a, b) for a, b in zip(plain.edited_styles()[1], edited.edited_styles()[1]))


def test_what_does_not_fit_is_refused_with_what_would(project, tiny):
    plain = project("w_plus", "w_plus")
    with pytest.raises(ShapeError, match=r"\(16,\), \(8, 16\), .*another generator or space"):
        plain.edit(direction(512), 1)
    with pytest.raises(ShapeError, match="finite"):
        plain.edit(torch.full((16,), float("nan")), 1)
    with pytest.raises(ProjectionError, match="0 to 8"):
        plain.edit(direction(16), 1, rows=(5, 18))
    with pytest.raises(ProjectionError, match="rows are of W"):
        plain.edit(direction(sum(tiny.style_dims)), 1, rows=(0, 2))
    with pytest.raises(ProjectionError, match="layers 0 to"):
        channel_direction(tiny, [(99, 0, 1.0)])
    with pytest.raises(ProjectionError, match="channels 0 to"):
        channel_direction(tiny, [(0, 999, 1.0)])


def test_a_standard_deviation_is_that_of_the_domain(tiny):
    axis = torch.zeros(16)
    axis[4] = 2.0
    spread = float(tiny.mapping(direction(1024, 16, seed=5))[:, 0, 4].std())
    assert standard_deviations(Move(axis, -1.5, ()), tiny) == pytest.approx(3.0 / spread, rel=0.1)
    assert standard_deviations(Move(axis, -1.5, (), rows=(0, 3)), tiny) == pytest.approx(3.0 / spread, rel=0.1)


def test_strengths_beyond_the_plausible_are_warned_of_and_made(project, tiny):
    plain, step = project("w", "w"), direction(16)
    unit = 1 / standard_deviations(Move(step, 1.0, ()), tiny)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain.edit(step, 0.9 * PLAUSIBLE * unit)
    with pytest.warns(UserWarning, match=r"'grin'.*beyond 6"):
        edited = plain.edit(step, 1.1 * PLAUSIBLE * unit, name="grin")
    assert len(edited.edits) == 1


def test_the_linear_edit_does_what_the_projection_does(project, tiny):
    for name in SPACES:
        plain, step = project(name, name), direction(8, 16)
        space = plain.spaces[0]
        moved = Linear(step.tolist()).apply(plain.codes.values[0][None], space, 0.7)
        torch.testing.assert_close(moved[0], plain.edit(step, 0.7).edited_codes()[0])
        assert torch.equal(Linear(step).apply(plain.codes.values[0][None], space, 0.0)[0], plain.codes.values[0])
    code = S(tiny).mean()
    assert Linear(channels=[(0, 1, 2.0)]).apply(code[None], S(tiny), 1.0)[0, 1] == code[1] + 2


def test_rows_names_and_switches_survive_the_file(project, tiny, tmp_path):
    edited = project("w", "s").edit(direction(16), 1.0, rows=(1, 4), name="smile").edit(direction(8, 16), 0.5, "left")
    edited = edited.change_edit(1, enabled=False)
    edited.save(tmp_path / "p.safetensors")
    again = chunkygan.load_projection(tmp_path / "p.safetensors", generator=tiny)
    assert torch.equal(again.render(), edited.render())
    kept = [(e.rows, e.name, e.enabled, e.chunks, e.strength) for e in again.edits]
    assert kept == [((1, 4), "smile", True, (0, 1), 1.0), (None, "", False, (0,), 0.5)]


def test_files_of_version_1_are_read(project, tiny, tmp_path):
    edited = project("w_plus", "s").edit(direction(16), 1.0, chunk="right")
    path = tmp_path / "p.safetensors"
    edited.save(path)
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    description = json.loads(metadata["projection"])
    description["edits"] = [{"strength": 1.0, "chunks": [1]}]
    del description["weight_changes"]
    save_file(tensors, path, {**metadata, "format_version": "1", "projection": json.dumps(description)})
    assert torch.equal(chunkygan.load_projection(path, generator=tiny).render(), edited.render())
