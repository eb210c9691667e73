"""The report holds what it should, for every number of chunks and every shape of picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chunkygan import report as module
from chunkygan.errors import ShapeError
from chunkygan.labels import distinct_colours
from chunkygan.report import report
from chunkygan.sheet import Tile
from chunkygan.types import Segments

METRICS = {"l2": 0.0123, "lpips_procfaces": 0.2, "identity_mobilefacenet": 0.1, "steps": 200, "seconds": 95.25}
BASELINE = {"baseline_l2": 0.0246, "baseline_lpips_procfaces": 0.4, "baseline_identity_mobilefacenet": 0.05}


def scene(n: int = 3, h: int = 32, w: int = 32, static: bool = False) -> tuple[torch.Tensor, ...]:
    """Target, reconstruction, masks, drawn, static."""
    rng = torch.Generator().manual_seed(0)
    target, reconstruction = torch.rand(2, 1, 3, h, w, generator=rng) * 2 - 1
    masks = torch.rand(n, h, w, generator=rng).softmax(0)
    drawn = torch.rand(n, 3, h, w, generator=rng) * 2 - 1
    return target, reconstruction, masks, drawn, torch.ones(h, w) * 0.5 if static else torch.zeros(h, w)


def drawn_report(n: int = 3, h: int = 32, w: int = 32, **options: object) -> np.ndarray:
    target, reconstruction, masks, drawn, static = scene(n, h, w)
    segments = Segments(masks, tuple(f"chunk {i}" for i in range(n)), static if options.pop("static", False) else None)
    baseline = -reconstruction if options.pop("baseline", False) else None
    metrics = options.pop("metrics", METRICS)
    sheet = report(
        target, reconstruction, segments, drawn, distinct_colours(n), metrics=metrics, baseline=baseline, **options
    )  # type: ignore[arg-type]
    assert sheet.mode == "RGB"
    return np.asarray(sheet)


def test_the_target_is_its_first_tile() -> None:
    target = scene()[0]
    tile = drawn_report()[106 : 106 + 256, 40 : 40 + 256]
    small = torch.from_numpy(tile.astype(np.float32)).reshape(32, 8, 32, 8, 3).mean((1, 3))
    assert (small.permute(2, 0, 1) / 127.5 - 1 - target[0]).abs().mean() < 0.15


@pytest.mark.parametrize("n", [1, 5, 13])
@pytest.mark.parametrize("baseline", [False, True])
def test_every_number_of_chunks_fits(n: int, baseline: bool) -> None:
    sheet = drawn_report(n, baseline=baseline)
    assert sheet.shape[1] == 80 + (6 if baseline else 4) * 272 - 16
    for edge in (sheet[:20], sheet[-20:], sheet[:, :20], sheet[:, -20:]):
        assert len(np.unique(edge.reshape(-1, 3), axis=0)) == 1  # nothing runs over the margin


@pytest.mark.parametrize(("h", "w"), [(8, 8), (64, 32), (32, 64), (100, 130), (300, 300), (4, 200), (200, 4)])
def test_every_shape_of_picture_fits(h: int, w: int) -> None:
    sheet = drawn_report(3, h, w, baseline=True, metrics={**METRICS, **BASELINE})
    assert len(np.unique(sheet[:, -20:].reshape(-1, 3), axis=0)) == 1  # nothing runs over the margin


@pytest.mark.parametrize(("n", "most", "columns"), [(1, 4, 4), (6, 4, 6), (7, 4, 4), (9, 4, 5), (7, 6, 7), (19, 6, 7)])
def test_rows_of_chunks_come_out_even(n: int, most: int, columns: int) -> None:
    assert module._columns(n, most) == columns


def test_numbers_without_a_baseline_have_one_column() -> None:
    table = module._table(METRICS)
    assert table[0] == ("", "chunks") and table[1] == ("L2, mean squared difference", "0.01230") and len(table) == 4


def test_numbers_with_a_baseline_have_its_value_and_the_ratio() -> None:
    table = module._table({**METRICS, **BASELINE})
    assert table[0][1:] == ("one code", "chunks", "ratio")
    assert table[2] == ("LPIPS (procfaces)", "0.4000", "0.2000", "0.50")
    assert table[3] == ("identity, 1 - cosine (mobilefacenet)", "0.05000", "0.1000", "2.00")


def test_a_measure_that_the_baseline_lacks_has_no_ratio() -> None:
    assert module._table({"l2": 0.5, "lpips_x": 0.1, "baseline_l2": 0.0})[1:] == [
        ("L2, mean squared difference", "0.000", "0.5000", "-"), ("LPIPS (x)", "-", "0.1000", "-"),
    ]  # fmt: skip


@pytest.mark.parametrize("metrics", [{}, {"l2": math.nan, "lpips_x": math.inf}])
def test_odd_numbers_do_no_harm(metrics: dict[str, float]) -> None:
    drawn_report(metrics=metrics)


@pytest.mark.parametrize(
    ("value", "scale"),
    [(0, 0.01), (0.0101, 0.015), (0.02, 0.02), (0.04, 0.05), (0.5, 0.5), (0.71, 1), (1.9, 2), (math.nan, 0.01)],
)
def test_the_scale_of_errors_is_a_round_number(value: float, scale: float) -> None:
    assert module._round_up(value) == pytest.approx(scale)


def test_areas_are_what_the_chunks_contribute() -> None:
    _, _, masks, drawn, static = scene(static=True)
    tiles = module._chunks(Segments(masks, ("a", "b", "c"), static), drawn, distinct_colours(3), (50, 50))
    shares = [float(tile.note.removesuffix(" %")) for tile in tiles]
    assert sum(shares) == pytest.approx(50, abs=1.5) and all(isinstance(tile, Tile) for tile in tiles)


def test_long_names_and_titles_are_cut() -> None:
    target, reconstruction, masks, drawn, _ = scene(1)
    segments = Segments(masks, ("n" * 300,))
    sheet = np.asarray(
        report(target, reconstruction, segments, drawn, distinct_colours(1), metrics=METRICS, title="t" * 500)
    )
    assert len(np.unique(sheet[:, -20:].reshape(-1, 3), axis=0)) == 1


def test_sizes_must_agree() -> None:
    target, reconstruction, masks, drawn, _ = scene()
    segments, colours = Segments(masks, ("a", "b", "c")), distinct_colours(3)
    with pytest.raises(ShapeError, match="reconstruction"):
        report(target, reconstruction[..., :9], segments, drawn, colours, metrics={})
    with pytest.raises(ShapeError, match="drawn"):
        report(target, reconstruction, segments, drawn[:2], colours, metrics={})
    with pytest.raises(ShapeError, match="masks"):
        report(target, reconstruction, Segments(masks[:, :9], ("a",)), drawn, colours, metrics={})
