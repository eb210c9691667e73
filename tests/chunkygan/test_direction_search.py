"""Directions found where the truth is known: a generator and a classifier that are a few lines of algebra."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from chunkygan.build import create
from chunkygan.direction_search.attribute import best_rows, measured, on_rows, row_ranges
from chunkygan.direction_search.job import train, true_responses
from chunkygan.direction_search.linear import closed_form, conditioned, decoupled, principal, separating
from chunkygan.direction_search.response import Responder, most_specific, responder
from chunkygan.domain import load_domain
from chunkygan.editing.direction import Direction
from chunkygan.editing.directions import read_directions
from chunkygan.editing.directions_file import write_directions
from chunkygan.editing.edit_words import find_direction
from chunkygan.errors import ProjectionError, RecipeError, WeightsError
from chunkygan.generator_file import write_generator
from chunkygan.loading import load_generator
from chunkygan.registry import register
from chunkygan.sampling import sample_ws, sample_z
from chunkygan.tensor_files import read_safetensors, write_safetensors
from chunkygan.weights import find, sha256


class Algebra:
    """Three numbers a picture, its channels: row 0 of the code gives the first two, row 1 the third."""

    resolution, w_dim, num_ws = (4, 4), 3, 2
    style_dims, style_rows = (3, 3), (0, 1)
    w_avg = torch.zeros(3)

    def __init__(self) -> None:
        self.coarse = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
        self.fine = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.2, 0.0, 1.0]])

    def styles(self, ws: Tensor) -> list[Tensor]:
        return [ws[:, 0] @ self.coarse.T, ws[:, 1] @ self.fine.T]

    def synthesis(self, styles: list[Tensor], noise: str = "const") -> Tensor:
        return (0.1 * (styles[0] + styles[1]))[:, :, None, None].expand(-1, -1, 4, 4)


class Channels:
    """Tells the three numbers, the first doubled."""

    names = ("first", "second", "third")

    def __call__(self, images: Tensor) -> Tensor:
        return 10 * images.mean((2, 3)) * torch.tensor([2.0, 1.0, 1.0])


def codes(n: int = 600) -> Tensor:
    return torch.randn(n, 1, 3, generator=torch.Generator().manual_seed(0)).mul(0.3).expand(-1, 2, -1)


@pytest.fixture
def found() -> tuple[Responder, Tensor, Tensor]:
    ws = codes()
    reader, responses = responder(Algebra(), Channels(), ws)
    return reader, ws, responses


def test_normals_are_those_of_the_linear_truth(found) -> None:
    reader, ws, responses = found
    normals = separating(ws[:, 0], responses, ridge=1e-9)
    truth = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.0, 1.0]]) / reader.spread[:, None]
    assert torch.allclose(normals, truth, atol=1e-4)


def test_a_conditioned_direction_changes_its_attribute_and_no_kept_one(found) -> None:
    reader, ws, responses = found
    normals = separating(ws[:, 0], responses, ridge=1e-9)
    covariance = ws[:, 0].T.cov()
    vector = conditioned(normals, covariance, 0, [1, 2])
    slopes = reader.slopes(ws, on_rows(vector, (0, 2), 2), (-1.0, 1.0))
    assert torch.allclose(slopes, torch.tensor([1.0, 0.0, 0.0]), atol=1e-4)


def test_of_all_directions_that_do_it_the_likeliest_is_found() -> None:
    normals, covariance = torch.tensor([[1.0, 1.0]]), torch.diag(torch.tensor([4.0, 1.0]))
    vector = conditioned(normals, covariance, 0, [])
    assert torch.allclose(vector, torch.tensor([0.8, 0.2]))
    angles = torch.linspace(-1.2, 1.2, 200) + math.pi / 4
    others = torch.stack([angles.cos(), angles.sin()], 1)
    others = others / (others @ normals[0])[:, None]
    lengths = (others @ covariance.inverse() * others).sum(1)
    assert lengths.min() >= vector @ covariance.inverse() @ vector - 1e-6


def test_with_the_identity_it_is_the_projected_normal() -> None:
    normals = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert torch.allclose(conditioned(normals, torch.eye(3), 0, [1]), torch.tensor([1.0, 0.0, 0.0]))


def test_attributes_that_leave_nothing_are_told() -> None:
    normals = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    with pytest.raises(ProjectionError, match="keep fewer"):
        conditioned(normals, torch.eye(2), 0, [1])


def test_principal_axes_are_those_of_the_codes() -> None:
    spread = torch.tensor([3.0, 1.0, 0.1])
    codes = torch.randn(4000, 3, generator=torch.Generator().manual_seed(1)) * spread
    axes, deviations = principal(codes, 2)
    assert torch.allclose(axes.abs(), torch.eye(3)[:2], atol=0.05)
    assert torch.allclose(deviations, spread[:2], rtol=0.05)


def test_closed_form_directions_move_the_styles_most() -> None:
    generator = Algebra()
    first = closed_form(generator, 1)[0]
    moved = [sum(s.square().sum() for s in generator.styles(v.expand(1, 2, 3))) for v in (first, *torch.eye(3))]
    assert max(moved[1:]) <= moved[0] + 1e-6
    only_fine = closed_form(generator, 1, rows=(1, 2))[0]
    assert torch.allclose(only_fine.abs(), torch.tensor([0.2, 0.0, 1.0]) / 1.04**0.5, atol=1e-6)


def test_rows_that_serve_an_attribute_are_found(found) -> None:
    reader, ws, _ = found
    assert row_ranges(2) == [(0, 2), (0, 1), (1, 2)]
    both = torch.tensor([0.0, 0.3, 0.3])  # row 0 changes the second number, row 1 the third
    assert best_rows(reader, ws, both, 1, row_ranges(2)) == (0, 1)
    assert best_rows(reader, ws, both, 2, row_ranges(2)) == (1, 2)


def test_strength_one_is_a_standard_deviation_of_the_response(found) -> None:
    reader, ws, responses = found
    m = measured(reader, ws, "second", torch.tensor([-0.5, 1.0, 0.0]) * 0.01, (0, 1), 1)
    step = on_rows(m.direction.vector * m.direction.native_strength, (0, 1), 2)
    risen = reader.responses(ws + step).mean(0) - responses.mean(0)
    assert torch.allclose(risen, torch.tensor([0.0, 1.0, 0.0]), atol=1e-4)
    assert m.own == pytest.approx(1.0, abs=1e-3) and m.direction.rows == (0, 1)
    along = ws[:, 0] @ m.direction.vector
    assert m.length == pytest.approx(m.direction.native_strength / float(along.std()), rel=1e-5)


def test_channels_of_s_are_told_by_their_effect(found) -> None:
    reader, ws, _ = found
    slopes = reader.channel_slopes(ws[:64])
    spread = torch.cat(Algebra().styles(ws[:64]), 1).std(0)
    truth = torch.zeros(3, 6)
    for channel in range(3):
        truth[channel, channel] = truth[channel, 3 + channel] = (2.0, 1.0, 1.0)[channel]
    assert torch.allclose(slopes, truth * spread / reader.spread[:, None], atol=1e-4)
    assert most_specific(slopes, 1, 1) == [1] and most_specific(slopes, 2, 1) == [5]


def test_the_job_writes_directions_that_edits_find_by_name_and_only_for_their_generator(tmp_path, tiny) -> None:
    weights = tmp_path / "tiny.safetensors"
    write_generator(tiny, weights)
    about = {"names": ["smile", "age"], "size": 32, "widths": [4, 4]}
    train(
        tmp_path / "run", 0, generator={"name": "stylegan2", "weights": str(weights)},
        classifier={"name": "domain", "config": about}, samples=40, tried=4, components=2, channels=2,
    )  # fmt: skip
    run = tmp_path / "run"
    directions = read_directions(run / "directions.safetensors", w_dim=16)
    assert [d.name for d in directions] == ["smile", "age"]
    vector, rows, _ = find_direction("age", tiny, [str(run)], digest=sha256(weights))
    assert torch.allclose(vector, directions[1].vector * directions[1].native_strength) and rows == directions[1].rows
    with pytest.raises(ProjectionError, match="another generator"):
        find_direction("age", tiny, [str(run)], digest="0" * 64)
    with pytest.raises(ProjectionError, match="did you mean 'smile'"):
        find_direction("smiel", tiny, [str(run)], digest=sha256(weights))
    assert "**" in (run / "table.md").read_text() and (run / "strips.png").is_file()
    assert len((run / "channels.csv").read_text().splitlines()) == 1 + 2 * 2
    assert len(read_directions(run / "unsupervised" / "principal.safetensors", w_dim=16)) == 2


def test_directions_are_combined_until_they_leave_each_other_alone() -> None:
    truth = torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.2, -0.3, 1.0]])  # what three directions do
    vectors = torch.randn(3, 7, generator=torch.Generator().manual_seed(3))
    both = decoupled(vectors, truth, 2, [0, 1])
    shares = torch.linalg.lstsq(vectors.T, both[:, None]).solution[:, 0]
    assert torch.allclose(shares @ truth, torch.tensor([0.0, 0.0, 1.0]), atol=1e-5)
    alone = torch.linalg.lstsq(vectors.T, decoupled(vectors, truth, 2, [1])[:, None]).solution[:, 0]
    assert torch.allclose(alone @ truth, torch.tensor([0.35, 0.0, 1.0]), atol=1e-5)  # the first is free to change
    with pytest.raises(ProjectionError, match="keep fewer"):
        decoupled(vectors, torch.ones(3, 3), 0, [1, 2])


class Knows:
    """A data set that knows three numbers of a latent, one of which the classifier of the next test never tells."""

    parameter_names = ("smile", "age", "backdrop")

    def parameters_of(self, z: Tensor) -> Tensor:
        return 5 * z[:, :3]


def test_what_only_the_truth_knows_is_kept_too(tmp_path, tiny) -> None:
    weights = tmp_path / "tiny.safetensors"
    write_generator(tiny, weights)
    register("dataset", "knows", Knows)
    about = {"names": ["smile", "age"], "size": 32, "widths": [4, 4]}
    train(
        tmp_path / "run", 0, generator={"name": "stylegan2", "weights": str(weights)}, rows=[0, tiny.num_ws],
        classifier={"name": "domain", "config": about}, truth={"name": "knows"}, along={"age": ["backdrop"]},
        samples=400, seen=8, tried=2, components=2, channels=2,
    )  # fmt: skip
    smile, age = read_directions(tmp_path / "run" / "directions.safetensors", w_dim=16)
    ws, z = sample_ws(tiny, 400, seed=0)[:, 0], sample_z(tiny, 400, seed=0)[:, :3]
    normals = separating(ws, z)
    for direction, wanted, kept in ((smile, 0, [1, 2]), (age, 1, [0])):
        told = normals @ direction.vector
        assert told[kept].abs().max() < 1e-3 * told[wanted].abs()
    told = normals @ age.vector
    assert told[2].abs() > 1e-2 * told[1].abs()  # free to change along with it
    with pytest.raises(RecipeError, match="does not know what latents stand for"):
        true_responses({"name": "folder", "path": str(tmp_path)}, z)


def test_an_attribute_that_the_classifier_does_not_know_is_told(tmp_path) -> None:
    about = {"names": ["smile", "age"], "size": 32, "widths": [4, 4]}
    with pytest.raises(RecipeError, match=r"training.attributes: .*no 'smiles'.*did you mean 'smile'"):
        train(
            tmp_path, 0, generator={"name": "stylegan2", "resolution": 16, "channels": [4, 4, 4], "w_dim": 4},
            classifier={"name": "domain", "config": about}, attributes=["smiles"],
        )  # fmt: skip
    with pytest.raises(RecipeError, match=r"training.along.age: .* no 'hair'"):
        train(
            tmp_path, 0, generator={"name": "stylegan2", "resolution": 16, "channels": [4, 4, 4], "w_dim": 4},
            classifier={"name": "domain", "config": about}, along={"age": ["hair"]},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [({"format_version": "2"}, "Newer"), ({"directions": "{"}, "no JSON"), ({"directions": "[]"}, "no map"),
     ({"directions": '{"other": {}}'}, "other directions"),
     ({"directions": '{"smile": {"space": "s+", "rows": null}}'}, "space 's"),
     ({"directions": '{"smile": {"space": "w", "rows": [1]}}'}, "rows")],
)  # fmt: skip
def test_damaged_files_of_directions_are_told(tmp_path, change, said) -> None:
    path = tmp_path / "directions.safetensors"
    write_directions(path, [Direction("smile", "w", torch.eye(4)[0], (1, 2), 2.0)], generator_sha256=None)
    metadata, tensors = read_safetensors(path)
    (whole,) = read_directions(path, w_dim=4)
    assert (whole.name, whole.rows, whole.native_strength) == ("smile", (1, 2), 2.0)
    write_safetensors(path, tensors, {**metadata, **change})
    with pytest.raises(WeightsError, match=said):
        read_directions(path, w_dim=4)


def test_the_shipped_directions_are_found_by_name_for_the_shipped_generator_and_no_other() -> None:
    generator = load_generator("procfaces_128")
    digest = sha256(find("procfaces_128_generator"))
    names = create("classifier", load_domain("procfaces_128").classifier).names
    found = {name: find_direction(name, generator, digest=digest) for name in names}
    assert all(one.direction.shape == (generator.w_dim,) for one in found.values())
    assert {name for name, one in found.items() if one.geometric} == {"yaw", "pitch"}
    with pytest.raises(ProjectionError, match="no direction 'smile'"):
        find_direction("smile", generator)


def test_shipped_directions_move_their_attribute_more_than_any_other() -> None:
    """Four of them, at least twice as much, on codes that no search has seen."""
    generator, domain = load_generator("procfaces_128"), load_domain("procfaces_128")
    classifier = create("classifier", domain.classifier)
    reader, _ = responder(generator, classifier, sample_ws(generator, 64, seed=77))
    ws = sample_ws(generator, 12, seed=78)
    for name in ("smile", "glasses", "yaw", "light_x"):
        vector, rows, _ = find_direction(name, generator, digest=sha256(find("procfaces_128_generator")))
        slopes = reader.slopes(ws, on_rows(vector, rows or (0, generator.num_ws), generator.num_ws), (-1.0, 1.0))
        own = slopes[classifier.names.index(name)]
        assert 0.6 < own < 1.6 and own > 2 * slopes.abs().topk(2).values[1]
