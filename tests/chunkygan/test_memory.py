"""What a step takes, against what autograd really keeps; what is free, against files that say it; the choice."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from chunkygan import memory
from chunkygan.components.generators.stylegan2 import StyleGAN2
from chunkygan.drawing import cover_of_segments
from chunkygan.interfaces import Generator
from chunkygan.memory import Kept, Need, fitting_mode, free_bytes, saved_bytes, step_bytes
from chunkygan.types import Segments, Window
from chunkygan.windows import Cover


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return StyleGAN2(128, z_dim=16, w_dim=16, mapping_layers=2, channel_base=1024, channel_max=64).requires_grad_(False)


def kept(generator: Generator, cover: Cover, *, frugal: bool = False) -> Kept:
    n = max(cover.owners) + 1
    styles = [torch.ones(n, c, requires_grad=True) for c in generator.style_dims]
    return saved_bytes(lambda: generator.synthesis_windows(styles, cover.windows, cover.owners, frugal=frugal))


def test_saved_bytes_are_those_of_a_graph_by_hand() -> None:
    x = torch.ones(1000, requires_grad=True)
    assert saved_bytes(lambda: x.sin()) == (4000, 4000)  # sin keeps its argument
    assert saved_bytes(lambda: x.exp()) == (4000, 4000)  # exp its result
    assert saved_bytes(lambda: x.sin() + x.cos()) == (4000, 4000)  # the same argument
    assert saved_bytes(lambda: x.exp().sin()) == (4000, 4000)  # the same tensor, as result and as argument
    assert saved_bytes(lambda: x[:500].exp() * 2 + x[:500]) == (2000, 2000)
    assert saved_bytes(lambda: x + 1) == (0, 0)


def test_parameters_are_not_kept_for_a_step() -> None:
    layer = torch.nn.Linear(10, 10, bias=False)
    assert saved_bytes(lambda: layer(torch.ones(3, 10))) == (120, 120)


@pytest.mark.parametrize(
    "cover",
    [
        Cover((Window(0, 0, 128, 128),), (0,)),
        Cover((Window(0, 0, 128, 128), Window(0, 0, 128, 128)), (0, 1)),
        Cover((Window(30, 20, 70, 110), Window(0, 64, 128, 128)), (0, 1)),
    ],
    ids=["whole", "twice", "parts"],
)
def test_the_estimate_is_near_what_is_kept(generator: Generator, cover: Cover) -> None:
    """Half as much again at most: a small picture's lowest layers are shared, which the estimate does not know."""
    beside = step_bytes(generator, Cover((Window(60, 60, 61, 61),), (0,))).joint
    got = step_bytes(generator, cover).joint - beside
    really = kept(generator, cover).total
    assert 0.9 * really < got < 1.5 * really + 2**20


def test_frugal_takes_one_window_and_joint_all(generator: Generator) -> None:
    one, twelve = (Cover((Window(0, 0, 128, 128),) * n, tuple(range(n))) for n in (1, 12))
    first, all_of_them = step_bytes(generator, one), step_bytes(generator, twelve)
    assert first.joint == first.frugal
    assert all_of_them.joint > 8 * first.joint / 1.5 and all_of_them.frugal < 1.5 * first.frugal


def test_the_distance_comes_on_top(generator: Generator, pixels: Any) -> None:
    class Wide(type(pixels)):  # type: ignore[misc]
        def features(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [images.exp(), images.expand(20, -1, -1, -1).exp()]

    cover = Cover((Window(0, 0, 16, 16),), (0,))
    with_distance = step_bytes(generator, cover, perceptual=Wide())
    assert with_distance.joint - step_bytes(generator, cover).joint > 20 * 3 * 128 * 128 * 4


def test_nothing_to_draw_takes_nothing(generator: Generator) -> None:
    assert step_bytes(generator, Cover((), ())) == Need(0, 0)


@pytest.fixture
def choose(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The mode and the warnings where a step takes 4 and 1 GiB, and so much is free."""
    monkeypatch.setattr(memory, "step_bytes", lambda *_, **__: Need(4 * 2**30, 2**30))

    def run(free: float | None) -> tuple[str, list[str]]:
        monkeypatch.setattr(memory, "free_bytes", lambda _: None if free is None else round(free * 2**30))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mode = fitting_mode(generator, Cover((Window(0, 0, 8, 8),), (0,)), "cpu")
        return mode, [str(warning.message) for warning in caught]

    return run


def test_all_at_once_where_it_fits_with_something_to_spare(choose: Any) -> None:
    assert choose(5.1) == ("joint", []) and choose(4.9)[0] == "frugal"
    assert choose(None) == ("joint", [])


def test_frugal_is_told(choose: Any) -> None:
    assert choose(3.0)[1] == [
        "4.0 GiB would hold all chunks at once, 3.0 GiB are free: they are drawn one by one, in 1.0 GiB"
    ]


def test_too_little_for_either_is_told(choose: Any) -> None:
    assert choose(0.5) == ("frugal", ["even one by one the chunks take 1.0 GiB, and 0.5 GiB are free: this may fail"])


def test_chunks_are_taken_as_well_as_their_rectangles(generator: Generator) -> None:
    masks = torch.zeros(2, 128, 128)
    masks[0, :40] = 1
    masks[1, 40:] = 1
    segments = Segments(masks, ("a", "b"))
    cover = cover_of_segments(generator, segments)
    assert fitting_mode(generator, segments, "cpu") == fitting_mode(generator, cover, "cpu")


def test_free_memory_of_this_machine_is_what_an_allocation_takes_from() -> None:
    free = free_bytes("cpu")
    assert free is None or 0 < free < 2**50


def test_what_the_system_says_is_available(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemFree:   5 kB\nMemAvailable:   70 kB\n")
    assert memory._free_in_system(tmp_path / "meminfo") == 70 * 1024
    assert memory._free_in_system(tmp_path / "none") is None


@pytest.mark.parametrize("line", ["0::/box/job\n", "4:memory:/box/job\n1:cpu:/\n"])
def test_the_tightest_group_above_this_process_counts(tmp_path: Path, line: str) -> None:
    (tmp_path / "cgroup").write_text(line)
    top, names = (tmp_path / "v1" / "memory", memory.GROUP_FILES[1]) if "memory" in line else (
        tmp_path / "v2", memory.GROUP_FILES[0])  # fmt: skip
    for folder, limit, used in ((top / "box", "1000", "600"), (top / "box" / "job", "max", "100")):
        folder.mkdir(parents=True)
        (folder / names[0]).write_text(limit)
        (folder / names[1]).write_text(used)
    root = top.parent if "memory" in line else top
    assert memory._free_in_group(root, tmp_path / "cgroup") == 400
    (top / "box" / "memory.stat").write_text("anon 5\ninactive_file 150\n")
    assert memory._free_in_group(root, tmp_path / "cgroup") == 550


def test_no_group_no_limit(tmp_path: Path) -> None:
    assert memory._free_in_group(tmp_path, tmp_path / "none") is None


@pytest.mark.gpu
def test_free_memory_of_a_gpu_falls_by_what_is_taken() -> None:
    torch.cuda.empty_cache()
    before = free_bytes("cuda")
    block = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    assert before is not None and before - (free_bytes("cuda") or 0) == pytest.approx(block.nbytes, rel=0.1)
