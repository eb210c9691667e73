"""Direction files of others, read into one form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chunkygan.editing.directions import CHUNKMOGRIFY_ROWS, read_direction, read_directions
from chunkygan.errors import ShapeError, WeightsError


@pytest.mark.parametrize("shape", [(512,), (1, 512), (18, 512), (1, 18, 512)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("written", ["npy", "pt", "old pt", "safetensors"])
def test_every_shape_of_one_vector_is_the_same_direction(shape, kind, written, tmp_path) -> None:
    vector = np.random.default_rng(0).normal(size=512).astype(kind)
    array = np.ascontiguousarray(np.broadcast_to(vector, shape))
    path = tmp_path / "smile"
    if written == "npy":
        path = path.with_suffix(".npy")
        np.save(path, array)
    elif written == "safetensors":
        from safetensors.numpy import save_file

        save_file({"direction": array}, path)
    else:
        torch.save(torch.from_numpy(array.copy()), path, _use_new_zipfile_serialization=written == "pt")
    found = read_direction(path)
    assert (found.name, found.space, found.rows) == ("smile", "w", None)
    assert found.native_strength == pytest.approx(float(np.linalg.norm(vector)), rel=1e-6)
    assert torch.allclose(found.vector * found.native_strength, torch.from_numpy(vector).float(), atol=1e-5)


def test_rows_of_their_own_stay_apart(tmp_path) -> None:
    rows = torch.zeros(1, 18, 512)
    rows[0, 2:6] = torch.randn(4, 512)
    torch.save(rows, tmp_path / "vector.pt")
    found = read_direction(tmp_path / "vector.pt")
    assert found.space == "w_plus" and found.vector.shape == (18, 512)
    assert found.vector[2:6].norm(dim=1).square().mean() == pytest.approx(1.0, rel=1e-5)
    assert torch.allclose(found.for_rows(18) * found.native_strength, rows[0], atol=1e-5)
    with pytest.raises(ShapeError, match="18 rows; the generator has 16"):
        found.for_rows(16)


def test_a_direction_moves_only_its_rows(tmp_path) -> None:
    np.save(tmp_path / "age.npy", np.ones((18, 512)))
    found = read_direction(tmp_path / "age.npy")
    assert found.rows == CHUNKMOGRIFY_ROWS["age"] == (0, 8)
    moved = found.for_rows(18)
    assert torch.equal(moved.norm(dim=1).round(), torch.tensor([1.0] * 8 + [0.0] * 10))
    assert read_direction(tmp_path / "age.npy", rows=(3, 4)).for_rows(10)[3].norm() == pytest.approx(1.0)


def test_the_same_name_of_another_origin_moves_all_rows(tmp_path) -> None:
    torch.save(torch.ones(1, 512), tmp_path / "age.pt")
    assert read_direction(tmp_path / "age.pt").rows is None


def test_components_of_ganspace_have_an_origin(tmp_path) -> None:
    rng = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(512, 80, generator=rng))[0].T.reshape(80, 1, 512)
    mean, std = torch.randn(1, 512, generator=rng), torch.rand(80, generator=rng) + 0.5
    torch.save({"mean": mean, "comp": axes, "std": std}, tmp_path / "pca.pt")
    found = read_direction(tmp_path / "pca.pt", name="component_7")
    assert found.native_strength == pytest.approx(float(std[7]), rel=1e-5)
    ws = torch.randn(2, 18, 512, generator=rng)
    wanted = 3.0
    moved = ws + found.strength_to(ws, wanted)[:, None, None] * found.vector
    coordinate = ((moved[:, 0] - mean[0]) @ axes[7, 0]) / std[7]
    assert torch.allclose(coordinate, torch.full((2,), wanted), atol=1e-4)
    with pytest.raises(WeightsError, match="holds several directions; name one: component_0, component_1"):
        read_direction(tmp_path / "pca.pt")
    with pytest.raises(WeightsError, match="did you mean 'component_7'"):
        read_direction(tmp_path / "pca.pt", name="componet_7")


def test_columns_of_a_factorisation_are_directions(tmp_path) -> None:
    torch.save(torch.eye(512)[:, :64], tmp_path / "b64_conv0.pt")
    found = read_directions(tmp_path / "b64_conv0.pt")
    assert len(found) == 64 and torch.equal(found[3].vector, torch.eye(512)[3])


def test_a_direction_of_s(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.full((1, 9088), 2.0))
    found = read_direction(tmp_path / "x.npy", s_dim=9088)
    assert found.space == "s" and float(found.vector.norm()) == pytest.approx(1.0, rel=1e-5)
    with pytest.raises(ShapeError, match="has no rows of W"):
        found.for_rows(18)
    with pytest.raises(WeightsError, match=r"has the shape \(1, 9088\)"):
        read_direction(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((68, 18, 512)), "68 codes or directions"),
        (np.zeros((18, 512)), "it is 0"),
        (np.full(512, np.nan), "not finite"),
        (np.ones(256), r"has the shape \(256,\)"),
        (np.ones(512, np.int64), "no floating numbers"),
        (np.ones((6048, 512)), r"has the shape \(6048, 512\)"),
    ],
)
def test_other_arrays_are_refused(array, message, tmp_path) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(WeightsError, match=message):
        read_direction(tmp_path / "x.npy")


def test_a_pickled_array_is_refused(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(WeightsError, match=r"x\.npy"):
        read_direction(tmp_path / "x.npy")


def test_a_network_is_no_direction(tmp_path) -> None:
    torch.save({"a": torch.ones(512), "b": torch.ones(512)}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="no direction: holds a dict with a"):
        read_direction(tmp_path / "x.pt")


CHUNKMOGRIFY_LENGTHS = {
    "age": 0.7308, "beard": 1.0, "empirical_glasses": 3.3874, "eye_distance": 0.2154, "eye_eyebrow_distance": 0.2255,
    "eye_ratio": 0.2222, "eyes_open": 0.2067, "gender": 0.9716, "light": 1.0, "lip_ratio": 0.3031, "mouth_open": 0.2063,
    "mouth_ratio": 0.2291, "nose_mouth_distance": 0.2265, "nose_ratio": 0.2220, "nose_tip": 0.2289, "pitch": 0.5183,
    "roll": 0.2786, "smile_styleganv2": 1.0073, "yaw": 0.9364,
}  # fmt: skip


@pytest.mark.realdata
def test_chunkmogrifys_files(realdata) -> None:
    folder = realdata / "directions" / "chunkmogrify"
    found = {path.stem: read_direction(path) for path in sorted(folder.glob("*.npy"))}
    assert {name: round(d.native_strength, 4) for name, d in found.items()} == CHUNKMOGRIFY_LENGTHS
    assert all(d.space == "w" and d.rows == CHUNKMOGRIFY_ROWS.get(name) for name, d in found.items())


@pytest.mark.realdata
def test_interfacegans_and_alaes_boundaries(realdata) -> None:
    paths = [*realdata.glob("directions/interfacegan/*.npy"), *realdata.glob("directions/alae/*.npy")]
    assert len(paths) == 23
    for path in paths:
        found = read_direction(path)
        assert found.space == "w" and float(found.vector.norm()) == pytest.approx(1.0, rel=1e-5)
        if "interfacegan" in str(path):
            assert found.native_strength == pytest.approx(1.0, rel=1e-4)


@pytest.mark.realdata
def test_the_files_of_e4e_and_pti(realdata) -> None:
    folder = realdata / "directions" / "e4e"
    for name in ("age", "smile", "pti_rotation", "pose"):
        found = read_direction(folder / f"{name}.pt")
        assert found.rows is None and found.native_strength == pytest.approx(1.0, rel=1e-3)
        assert found.for_rows(18).norm(dim=1).allclose(torch.ones(18), atol=1e-3)
    for name in ("ffhq_pca", "cars_pca"):
        components = read_directions(folder / f"{name}.pt")
        assert len(components) == 80 and all(d.origin is not None for d in components)


@pytest.mark.realdata
def test_codes_are_no_direction(realdata) -> None:
    with pytest.raises(WeightsError, match="68 codes"):
        read_direction(realdata / "directions" / "ffhq_wplus_68x18x512.npy")
