"""A projection: what it draws, how it is edited, saved and read."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import chunkygan
from chunkygan.components.latent_spaces.s import S
from chunkygan.components.latent_spaces.w import W
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.compositing import blend
from chunkygan.errors import ChunkyGANError, ProjectionError, ShapeError
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments

W_PLUS_AND_S = ({"name": "w_plus"}, {"name": "s"})


@pytest.fixture
def projection(tiny, halves):
    rng = torch.Generator().manual_seed(2)
    codes = Codes((WPlus(tiny).sample(1, rng=rng)[0], S(tiny).sample(1, rng=rng)[0]), W_PLUS_AND_S)
    static = torch.zeros(32, 32)
    static[:4] = 1
    return Projection(
        target=torch.randint(0, 256, (1, 3, 32, 32), generator=rng) / 127.5 - 1, codes=codes, generator=tiny,
        segments=Segments(halves()[0], ("left", "right"), static), noise=tuple(tiny.noise_maps()),
        metrics={"l2": 0.25}, recipe={"job": "invert"},
    )  # fmt: skip


def test_it_draws_the_blend_of_what_its_codes_draw(projection):
    image = projection.render()
    blended = blend(projection.drawn(), projection.masks)
    torch.testing.assert_close(image[..., 4:, :], blended[..., 4:, :], atol=1e-5, rtol=0)
    assert torch.equal(image[..., :4, :], projection.target[..., :4, :])


def test_zero_strength_is_the_identity_bit_for_bit(projection):
    assert torch.equal(projection.edit(torch.randn(16), 0.0).render(), projection.render())


def test_a_local_edit_changes_its_chunk_alone(projection):
    before, after = projection.render(), projection.edit(torch.randn(16), 1.5, chunk="left").render()
    changed = (before != after).any(1)[0]
    assert changed[4:, :15].any()
    assert not changed[:, projection.masks[0, 0] == 0].any()
    assert not changed[:4].any()  # the static area


def test_edits_add_up_in_order_and_are_kept_apart_from_the_fit(projection, tiny):
    step = torch.randn(16)
    edited = projection.edit(step, 1.0).edit(step, -0.25, chunk=["right"])
    assert len(edited.edits) == 2 and not projection.edits
    moved = edited.edited_codes()
    torch.testing.assert_close(moved[0], projection.codes.values[0] + step)
    expected = projection.codes.values[1] + 0.75 * S(tiny).direction(step)
    torch.testing.assert_close(moved[1], expected, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(edited.codes.values, projection.codes.values))


def test_an_unknown_chunk_or_direction_is_named(projection):
    with pytest.raises(ProjectionError, match="no chunk 'lefd'.*did you mean 'left'"):
        projection.edit(torch.randn(16), 1, chunk="lefd")
    with pytest.raises(ShapeError, match=r"\(16,\), \(8, 16\)"):
        projection.edit(torch.randn(5), 1)


def test_saved_and_read_it_is_the_same(projection, tiny, tmp_path):
    edited = projection.edit(torch.randn(8, 16), 0.5, chunk="left")
    edited.save(tmp_path / "p.safetensors")
    again = chunkygan.load_projection(tmp_path / "p.safetensors", generator=tiny)
    assert torch.equal(again.render(), edited.render())
    assert again.codes.spaces == W_PLUS_AND_S and again.segments.names == ("left", "right")
    assert again.metrics == edited.metrics and again.recipe == edited.recipe
    assert [p.name for p in tmp_path.iterdir()] == ["p.safetensors"]


def test_hard_masks_and_eight_bit_pictures_are_stored_as_bytes(tiny, projection, tmp_path):
    hard = torch.zeros(2, 32, 32)
    hard[0, :, :9] = 1
    hard[1] = 1 - hard[0]
    small = Projection(projection.target, projection.codes, Segments(hard, ("left", "right")), tiny)
    small.save(tmp_path / "p.safetensors")
    with safe_open(tmp_path / "p.safetensors", "pt") as file:
        assert file.get_tensor("labels").dtype == file.get_tensor("target").dtype == torch.uint8
    again = chunkygan.load_projection(tmp_path / "p.safetensors", generator=tiny)
    assert torch.equal(again.masks, hard) and torch.equal(again.target, projection.target)


def test_every_space_survives_the_file(tiny, halves, tmp_path):
    for kind, name in ((W, "w"), (WPlus, "w_plus"), (S, "s")):
        values = tuple(kind(tiny).sample(2, rng=torch.Generator().manual_seed(3)))
        made = Projection(
            torch.zeros(1, 3, 32, 32), Codes(values, ({"name": name},) * 2), Segments(halves()[0], ("a", "b")), tiny
        )
        made.save(tmp_path / "p.safetensors")
        read = chunkygan.load_projection(tmp_path / "p.safetensors", generator=tiny)
        assert all(torch.equal(a, b) for a, b in zip(values, read.codes.values))


def rewritten(path, change, metadata_change=None):
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    change(tensors)
    description = json.loads(metadata["projection"])
    (metadata_change or (lambda d: None))(description)
    save_file(tensors, path, metadata={**metadata, "projection": json.dumps(description)})


def put(name, value):
    return lambda tensors: tensors.__setitem__(name, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop("code.0"),
        put("code.0", torch.zeros(3)),
        put("code.0", torch.full((8, 16), float("nan"))),
        put("masks", torch.full((2, 32, 32), 0.7)),
        put("masks", torch.full((2, 32, 32), float("nan"))),
        put("masks", torch.ones(1, 32, 32)),
        put("target", torch.zeros(1, 3, 16, 16)),
        put("target", torch.zeros(7)),
        put("noise.0", torch.zeros(5, 5)),
        put("static", torch.zeros(3, 3)),
    ],
)
def test_damaged_contents_are_refused(projection, tiny, tmp_path, change):
    path = tmp_path / "p.safetensors"
    projection.save(path)
    rewritten(path, change)
    with pytest.raises(ProjectionError, match=r"p\.safetensors"):
        chunkygan.load_projection(path, generator=tiny)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("chunks"),
        lambda d: d.__setitem__("spaces", ["w_plus"]),
        lambda d: d.__setitem__("spaces", [{"x": 1}, 2]),
        lambda d: d.__setitem__("edits", [{"strength": 1, "chunks": [7]}]),
        lambda d: d.__setitem__("generator", "none"),
        lambda d: d.__setitem__("metrics", 3),
    ],
)
def test_damaged_descriptions_are_refused(projection, tiny, tmp_path, change):
    path = tmp_path / "p.safetensors"
    projection.save(path)
    rewritten(path, lambda t: None, change)
    with pytest.raises(ChunkyGANError):
        chunkygan.load_projection(path, generator=tiny)


def test_other_files_are_no_projections(projection, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ProjectionError, match="no projection"):
        chunkygan.load_projection(tmp_path / "other.safetensors")
    for missing in (tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(ProjectionError, match="no projection .*there is no such file"):
            chunkygan.load_projection(missing)
    projection.save(tmp_path / "cut.safetensors")
    data = (tmp_path / "cut.safetensors").read_bytes()
    for end in range(0, len(data), 1024):
        (tmp_path / "cut.safetensors").write_bytes(data[:end])
        with pytest.raises(ChunkyGANError):
            chunkygan.load_projection(tmp_path / "cut.safetensors")


def test_another_generator_under_the_same_name_is_noticed(tiny_run, tiny):
    from chunkygan.generator_file import write_generator

    made = chunkygan.invert(tiny_run / "face.png", tiny_run / "recipe.yaml")
    made.save(tiny_run / "p.safetensors")
    assert torch.equal(chunkygan.load_projection(tiny_run / "p.safetensors").render(), made.render())
    changed = type(tiny)(**tiny.config)
    write_generator(changed, tiny_run / "generator.safetensors")
    with pytest.raises(ProjectionError, match="another file"):
        chunkygan.load_projection(tiny_run / "p.safetensors")
