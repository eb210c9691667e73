"""The benchmark measures what it says: the same loss both ways, memory of a known size, parts of a known step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from chunkygan.bench import memory as peaks
from chunkygan.bench import plot, profile, startup, steps, tables
from chunkygan.bench import report as reports
from chunkygan.bench.cases import FACE, Bench, Case, bench_of, chunk_fit, masks_of, our_step, plain_step, standard
from chunkygan.errors import ChunkyGANError, RecipeError
from chunkygan.memory import step_bytes

CASE = Case(32, 4)


@pytest.fixture
def small(tiny: Any, pixels: Any) -> Bench:
    with torch.no_grad():
        ws = tiny.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(5)))
        return Bench(tiny, pixels, tiny.synthesis(tiny.styles(ws)).clamp(-1, 1))


@pytest.fixture
def quick(small: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case is measured with the tiny generator."""
    monkeypatch.setattr(steps, "bench_of", lambda *_: small)
    monkeypatch.setattr(profile, "bench_of", lambda *_: small)


@pytest.mark.parametrize("masks", ["face", "small", "soft"])
@pytest.mark.parametrize("memory", ["joint", "frugal"])
def test_both_ways_take_the_same_step(
    small: Bench, masks: str, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss at the mean codes agrees; without latent noise, of which the plain way has none."""
    from chunkygan.lightning.chunk_fit import ChunkFit

    monkeypatch.setattr(ChunkFit, "_latent_noise", lambda self: [torch.zeros(())] * len(self.offsets))
    case = Case(32, 4, masks, memory=memory)
    assert our_step(case, small)() == pytest.approx(plain_step(case, small)(), rel=1e-5)


def test_steps_go_down(small: Bench) -> None:
    for step in (our_step(CASE, small), plain_step(CASE, small)):
        first, *_, last = (step() for _ in range(6))
        assert last < first


def test_half_precision_is_near(small: Bench) -> None:
    whole, half = (our_step(Case(32, 4, precision=p), small)() for p in ("32-true", "bf16-mixed"))
    assert half != whole and half == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("chunks", FACE)
def test_masks_have_their_number_of_chunks_and_cover_all(chunks: int) -> None:
    face, soft = (masks_of(Case(64, chunks, kind))()[0] for kind in ("face", "soft"))
    assert len(face) == len(soft) == chunks
    torch.testing.assert_close(face.sum(0), torch.ones(64, 64))
    assert bool((soft > 0).all()) and bool((face.amax((1, 2)) == 1).all())


def test_small_chunks_have_a_twentieth_of_the_area() -> None:
    masks = masks_of(Case(256, 4, "small"))
    static = masks.static()
    assert static is not None
    drawn = (masks()[0] * (1 - static[0])).mean((1, 2))
    assert drawn.tolist() == pytest.approx([0.05] * 4, rel=0.03)


def test_face_chunks_that_nobody_listed_are_refused() -> None:
    with pytest.raises(RecipeError, match="face .with 1, 4, 8, 12 chunks., small or soft"):
        masks_of(Case(32, 5))


def test_the_standard_cases_hold_the_targets() -> None:
    cases = standard("cpu")
    assert {case.resolution for case in cases} == {128, 256, 1024}
    assert {Case(1024, 8), Case(1024, 1, "small")} <= set(cases) and len(cases) == len(set(cases))


@pytest.mark.usefixtures("quick")
def test_a_row_holds_seconds_and_ratios() -> None:
    row = steps.measure(CASE, {}, rounds=1, peak=False).row()
    assert row["to_plain"] == row["ours"] / row["plain"] and row["to_global"] == row["ours"] / row["ours_global"]
    assert (row["plain_chunks"], row["ours_memory"]) == (4, None)


@pytest.mark.usefixtures("quick")
def test_where_memory_is_short_the_plain_way_draws_one_and_two_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.memory, "free_bytes", lambda _: 1000)
    assert steps.measure(CASE, {}, rounds=1, peak=False).plain_chunks == 2


@pytest.mark.usefixtures("quick")
def test_lightning_adds_something_to_a_step() -> None:
    overhead = steps.lightning_overhead(CASE, {}, steps=4)
    assert overhead.added > 0 and overhead.row()["share"] == overhead.added / overhead.step


SIZE = 200 * 2**20


def test_a_peak_is_what_was_taken_even_below_an_earlier_one() -> None:
    torch.ones(SIZE // 2, dtype=torch.float32)  # higher, and gone
    peak = peaks.peak_of(lambda: torch.ones(SIZE, dtype=torch.uint8))
    assert peak.added == pytest.approx(SIZE, rel=0.05)
    assert peak.process is not None and peak.process > SIZE


def test_peaks_of_one_after_the_other_are_not_added() -> None:
    peak = peaks.peak_of(lambda: [torch.ones(SIZE // 4).sum() for _ in range(3)])
    assert peak.added == pytest.approx(SIZE, rel=0.05)


def test_a_process_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "sys", SimpleNamespace(executable=shutil.which("false")))
    with pytest.raises(ChunkyGANError, match="memory of ours, 1024 px, 12 face, w_plus, cpu frugal, failed: it ended"):
        peaks.peak_of_steps("ours", Case(1024, 12, memory="frugal"), {})


@pytest.mark.slow
def test_steps_in_a_process_of_their_own_take_what_is_foreseen() -> None:
    """Half to twice of what `chunkygan.memory` foresees of eight chunks at 256, and frugal ones less."""
    perceptual = {"name": "lpips", "net": "procfaces", "weights": "procfaces_128_perceptual"}
    taken = {}
    for mode in ("joint", "frugal"):
        case = Case(256, 8, memory=mode)
        made = bench_of(case, perceptual)
        fit = chunk_fit(case, made)
        need = step_bytes(made.generator, fit.cover(fit.segments()), perceptual=made.perceptual)
        taken[mode] = peaks.peak_of_steps("ours", case, perceptual).added or 0
        assert 0.5 < taken[mode] / getattr(need, mode) < 2
    assert taken["frugal"] < taken["joint"]


@pytest.mark.usefixtures("quick")
def test_a_profile_has_every_part_and_sums_to_one() -> None:
    shares = profile.profile_step(CASE, {}, operators=3)
    assert set(shares.parts) == {*profile.GROUPS, profile.REST}
    assert sum(shares.parts.values()) == pytest.approx(1) and sum(shares.operators.values()) == pytest.approx(1)
    assert min(shares.parts.values()) > 0
    assert len(shares.operators) == 4 and "others" in shares.operators
    assert "generator" in shares.as_text()


def test_a_profiled_backward_pass_counts_to_its_part() -> None:
    """Two products as two parts: the backward passes of each go where its forward pass went."""
    weights = [torch.randn(40, 40, requires_grad=True) for _ in range(2)]

    def forward(part: str, weight: torch.Tensor) -> torch.Tensor:
        with torch.profiler.record_function(part):
            return (weight @ weight).sum()

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        losses = [forward(part, weight) for part, weight in zip(("perceptual", "generator"), weights)]
        sum(losses).backward()  # type: ignore[union-attr]
    shares = profile.shares_of(list(profiler.events()))
    products = [e for e in profiler.events() if e.name == "aten::mm"]
    assert len(products) == 6  # two forward, two backward of each
    backward = [e for e in products if profile._part_around(e) is None]
    origins = {e.sequence_nr: p for e in profiler.events() if (p := profile._part_around(e))}
    assert sorted(map(str, (profile._origin(e, origins) for e in backward))) == [
        "generator", "generator", "perceptual", "perceptual",
    ]  # fmt: skip
    assert shares.parts["generator"] > 0 and shares.parts["perceptual"] > 0 and shares.parts["optimiser"] == 0


IMPORTED = """import time: self [us] | cumulative | imported package
import time:      1000 |       1000 |     torch._C
import time:      5000 |       6000 |   torch
import time:       200 |       6200 | chunkygan.cli.main
"""


def test_import_times_are_read_and_added_up_by_package() -> None:
    times = startup.parsed(IMPORTED)
    assert times == [("torch._C", 0.001), ("torch", 0.005), ("chunkygan.cli.main", 0.0002)]
    assert startup.costliest(times) == {"torch": 0.006, "chunkygan": 0.0002}


@pytest.fixture
def report() -> dict[str, Any]:
    row = {
        "resolution": 1024, "chunks": 8, "masks": "face", "space": "w_plus", "device": "cpu", "memory": "joint",
        "precision": "32-true", "ours": 10.0, "plain": 40.0, "ours_global": 8.0, "plain_chunks": 2,
        "ours_memory": 2**30, "plain_memory": None, "process_memory": 2**31, "to_plain": 0.25, "to_global": 1.25,
    }  # fmt: skip
    small = {**row, "resolution": 128, "plain_chunks": 8, "to_plain": 0.5, "plain_memory": 2**31}
    light = {**small, "seconds_added": 0.002, "seconds_step": 0.1, "share": 0.02}
    memory = {"resolution": 1024, "chunks": 12, "masks": "face", "memory": "frugal", "added": 2**30, "process": 2**31}
    start = {"what": "chunkygan list", "seconds": 0.2, "own": 0.15, "imports": {"yaml": 0.03, "re": 0.001}}
    profiled = {"case": "128 px", "parts": {"generator": 0.8, "rest": 0.2}, "operators": {"aten::mm": 1.0}}
    return {
        **reports.report_of([row, small], [light], [memory], [start], [profiled]),
        "machine": {"processor": "Some(R) CPU @ 2.00GHz", "cores": "2"},
        "date": "2030-01-02",
    }


def test_tables_tell_what_a_report_holds(report: dict[str, Any]) -> None:
    text = tables.as_tables(report)
    assert "| 1024 | 8 | face | w_plus | joint | 32-true | 10.000 | 0.25 * | 1.25 | 1024 |  | 2048 |" in text
    assert "| 128 | 8 | face | w_plus | joint | 32-true | 10.000 | 0.50 | 1.25 | 1024 | 0.50 | 2048 |" in text
    assert "| 128 | 8 | face | 0.100 | 2.00 ms | 2.0% |" in text and "follows from those of one and two" in text
    assert "| chunkygan list | 0.20 | 0.15 | yaml 0.03 |" in text
    assert "| 128 px | 80.0% | 20.0% |" in text and "| 1024 | 12 | face | frugal | 1024 | 2048 |" in text


def test_a_folder_keeps_one_report_a_machine_and_day(tmp_path: Path, report: dict[str, Any]) -> None:
    reports.keep(tmp_path, report)
    reports.keep(tmp_path, report)
    reports.keep(tmp_path, {**report, "date": "2029-12-31", "results": []})
    names = sorted(file.name for file in tmp_path.iterdir())
    stem = "some-2.00ghz-2-cores"
    assert names == [
        f"2029-12-31_{stem}.json", f"2029-12-31_{stem}.svg", f"2030-01-02_{stem}.json", f"2030-01-02_{stem}.svg",
        "README.md",
    ]  # fmt: skip
    assert json.loads((tmp_path / names[2]).read_text()) == report
    rows = [line for line in (tmp_path / "README.md").read_text().splitlines() if line.startswith("| [")]
    assert rows[0].endswith("| 0.25 | 1.25 |  | 0.50 | 2.0% |") and "2030-01-02" in rows[0] and "2029" in rows[1]


def test_another_file_in_the_folder_is_told(tmp_path: Path, report: dict[str, Any]) -> None:
    (tmp_path / "notes.json").write_text("[1]")
    with pytest.raises(ChunkyGANError, match="notes.json: is no report"):
        reports.keep(tmp_path, report)


def test_the_plot_is_a_picture_with_a_line_a_case(report: dict[str, Any]) -> None:
    root = ElementTree.fromstring(plot.plot(report["results"], "a <machine>"))
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a <machine>", "1024 px, 8 face, w_plus", "128 px, 8 face, w_plus", "0.25", "1.25"} <= set(words)
    rectangles = [element.attrib for element in root.iter("{http://www.w3.org/2000/svg}rect")]
    bars = [float(rect["width"]) for rect in rectangles if rect["fill"] == plot.COLOURS["to_plain"]]
    assert bars[1] == pytest.approx(2 * bars[0], rel=0.01)


def test_networks_of_a_case_have_its_size() -> None:
    perceptual = {"name": "lpips", "net": "procfaces", "weights": "procfaces_128_perceptual"}
    made = bench_of(Case(128, 1), perceptual)
    assert made.generator.resolution == (128, 128) and made.target.shape == (1, 3, 128, 128)
