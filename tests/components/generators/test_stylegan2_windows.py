"""Windows that are drawn together against the same windows one by one, and how they are grouped."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkygan.components.generators import stylegan2
from chunkygan.components.generators.stylegan2 import StyleGAN2
from chunkygan.components.generators.stylegan2_costs import CPU, SHARE, SPARE, Costs, Group, arranged
from chunkygan.components.generators.stylegan2_regions import extents_together, plan, plan_together
from chunkygan.components.generators.stylegan2_windows import group_drawing
from chunkygan.types import Window
from chunkygan.windows import cover_of

EXACT = dict(atol=1e-5, rtol=0)


@st.composite
def windows(draw: Any, height: int = 32, width: int = 32) -> Window:
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(top, left, draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width)))


def styles_of(generator: StyleGAN2, n: int) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return generator.styles(generator.mapping(torch.randn(n, generator.z_dim, generator=rng)))


def part_of(batch: list[torch.Tensor], sample: int) -> list[torch.Tensor]:
    return [value[sample : sample + 1] for value in batch]


@pytest.fixture
def one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """All windows are drawn together from the second block on, whatever it costs."""
    monkeypatch.setattr(
        stylegan2, "arranged", lambda costs, windows, owners, thrifty: (Group(1, tuple(range(len(windows)))),)
    )


@settings(max_examples=40, deadline=None)
@given(
    areas=st.lists(windows(), min_size=2, max_size=5),
    begins=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    cut=st.integers(0, 5),
)
def test_groups_of_any_windows_are_each_window_alone(
    tiny: StyleGAN2, areas: list[Window], begins: tuple[int, int], cut: int
) -> None:
    """From any block on, in any group; the last two windows are of the first sample."""
    styles, owners = styles_of(tiny, len(areas) - 1), [*range(len(areas) - 1), 0]
    members = tuple(range(len(areas)))
    groups = [Group(begin, part) for begin, part in zip(begins, (members[:cut], members[cut:])) if part]
    draw = group_drawing(tiny.synthesis_network, tiny._inputs(styles, "const", 4), areas, owners, groups)
    for group in groups:
        for number, crop in zip(group.windows, draw(group)):
            alone = tiny.synthesis(part_of(styles, owners[number]), window=areas[number])
            torch.testing.assert_close(crop, alone, **EXACT)


@settings(max_examples=25, deadline=None)
@given(areas=st.lists(windows(), min_size=1, max_size=4), frugal=st.booleans())
def test_a_batch_of_windows_is_each_sample_in_its_own(tiny: StyleGAN2, areas: list[Window], frugal: bool) -> None:
    styles, owners = styles_of(tiny, len(areas)), [*range(len(areas)), 0]
    areas = [*areas, areas[-1]]  # the first sample has two windows
    for i, window, crop in zip(owners, areas, tiny.synthesis_windows(styles, areas, owners, frugal=frugal)):
        torch.testing.assert_close(crop, tiny.synthesis(part_of(styles, i), window=window), **EXACT)


@settings(max_examples=20, deadline=None)
@given(areas=st.lists(windows(16, 32), min_size=2, max_size=3))
def test_groups_of_pictures_that_are_not_square(areas: list[Window]) -> None:
    torch.manual_seed(0)
    generator = StyleGAN2(16, z_dim=8, w_dim=8, mapping_layers=1, channels=[8, 8, 8], const_size=(4, 8))
    styles, group = styles_of(generator, len(areas)), Group(1, tuple(range(len(areas))))
    draw = group_drawing(
        generator.synthesis_network, generator._inputs(styles, "const", 3), areas, group.windows, [group]
    )
    for number, crop in enumerate(draw(group)):
        torch.testing.assert_close(
            crop, generator.synthesis(part_of(styles, number), window=areas[number]), **EXACT
        )


@pytest.mark.parametrize("frugal", [False, True])
@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("batched", [False, True])
def test_gradients_of_a_group_are_those_of_its_windows(
    tiny: StyleGAN2, one_group: None, frugal: bool, size: int, batched: bool
) -> None:
    """To styles and to noise maps, shared or one a sample; at the borders, inside, and of a sample with two windows."""
    areas = [Window(0, 0, 5, 7), Window(3, 4, 10, 9), Window(9, 8, 16, 16), Window(size - 6, 1, size, 8)]
    owners, rng = [0, 1, 2, 1], torch.Generator().manual_seed(4)
    styles = [style.detach().requires_grad_() for style in styles_of(tiny, 3)]
    maps = [value.expand(3, 1, *value.shape) if batched else value for value in tiny.noise_maps()]
    maps = [torch.randn(value.shape, generator=rng).requires_grad_() for value in maps]
    wanted = [torch.randn(1, 3, *area.size, generator=rng) for area in areas]

    def loss(crops: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([(crop * value).sum() for crop, value in zip(crops, wanted)]).sum()

    together = tiny.synthesis_windows(styles, areas, owners, noise=maps, frugal=frugal, size=size)
    alone = [
        tiny.synthesis(part_of(styles, i), noise=part_of(maps, i) if batched else maps, size=size, window=area)
        for i, area in zip(owners, areas)
    ]
    found, expected = (
        torch.autograd.grad(loss(crops), [*styles, *maps], allow_unused=True, materialize_grads=True)
        for crops in (together, alone)
    )
    assert sum(bool(value.any()) for value in expected) > 10
    for got, value in zip(found, expected):
        torch.testing.assert_close(got, value, atol=1e-4, rtol=1e-4)


def test_autocast_draws_groups(tiny: StyleGAN2, one_group: None) -> None:
    styles, areas = styles_of(tiny, 2), [Window(0, 3, 9, 20), Window(20, 20, 32, 32)]
    exact = tiny.synthesis_windows(styles, areas, [0, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = tiny.synthesis_windows(styles, areas, [0, 1])
    for crop, value in zip(mixed, exact):
        assert crop.dtype == torch.float32 and float((crop - value).abs().max() / value.abs().max()) < 0.03


def test_windows_of_like_size_take_the_convolutions_of_one(tiny: StyleGAN2) -> None:
    areas = [Window(0, 0, 6, 7), Window(5, 20, 11, 26), Window(25, 3, 30, 10), Window(13, 13, 20, 19)]
    calls: list[int] = []
    handles = [conv.register_forward_hook(lambda _, args, out: calls.append(len(out))) for conv in tiny._convs()]
    tiny.synthesis_windows(styles_of(tiny, 4), areas, [0, 1, 2, 3])
    for handle in handles:
        handle.remove()
    assert calls == [4] * len(tiny._convs())


def test_nothing_waits_for_the_device(tiny: StyleGAN2) -> None:
    """A tensor without numbers cannot be read: whoever tries raises."""
    generator = copy.deepcopy(tiny).to("meta")
    styles = [torch.ones(3, c, device="meta", requires_grad=True) for c in generator.style_dims]
    areas = [Window(0, 0, 6, 7), Window(5, 20, 12, 26), Window(0, 0, 32, 32)]
    crops = generator.synthesis_windows(styles, areas, [0, 1, 2])
    torch.cat([crop.flatten() for crop in crops]).sum().backward()
    assert [tuple(crop.shape[2:]) for crop in crops] == [area.size for area in areas]


LENGTHS = (4, 8, 16, 32, 64)


@settings(max_examples=200, deadline=None)
@given(
    ends=st.lists(st.tuples(st.integers(0, 63), st.integers(1, 40)), min_size=1, max_size=4), begin=st.integers(1, 4)
)
def test_rectangles_of_a_group_hold_what_each_stretch_needs(ends: list[tuple[int, int]], begin: int) -> None:
    outs = tuple((first, min(first + n, 64)) for first, n in ends)
    blocks = plan_together(LENGTHS, outs, begin)
    most = extents_together(LENGTHS, max(end - first + first % 2 for first, end in outs), begin)
    for i, out in enumerate(outs):
        for alone, together, (inputs, features) in zip(plan(LENGTHS, out)[begin:], blocks, most):
            begins, ends_ = together.features[i]
            assert begins % 2 == 0 and begins <= alone.features[0] and alone.features[1] <= ends_
            low, high = together.inputs[i]
            assert low <= alone.inputs[0] and alone.inputs[1] <= high
            assert ends_ - begins <= features and high - low <= inputs  # what the costs are told from


def costs(resolution: int = 128, base: int = 2048, most: int = 64) -> Costs:
    """Of a network with so many channels; as published: 1024, 32768, 512."""
    sides = tuple(4 << level for level in range(resolution.bit_length() - 2))
    channels = tuple(min(most, base // side) for side in sides)
    below = (0, *channels)  # the lowest block has no upsampling convolution
    weights = tuple((9 * c * before, 9 * c * c) for before, c in zip(below, channels))
    return Costs(sides, sides, channels, weights)


def sizes(groups: tuple[Group, ...]) -> list[int]:
    return sorted(len(group.windows) for group in groups)


PUBLISHED, SHIPPED, NARROW = costs(1024, 32768, 512), costs(128, 2048, 192), costs(256, 2048, 128)

MEASURED = [
    (PUBLISHED, 64, 4, 12.1), (PUBLISHED, 64, 32, 145.0), (PUBLISHED, 64, 64, 456.0), (PUBLISHED, 128, 16, 19.2),
    (PUBLISHED, 128, 128, 577.0), (PUBLISHED, 256, 32, 14.9), (PUBLISHED, 512, 128, 62.9),
    (PUBLISHED, 1024, 256, 102.0), (SHIPPED, 16, 8, 3.10), (SHIPPED, 32, 32, 4.94), (SHIPPED, 128, 32, 2.49),
    (SHIPPED, 128, 128, 10.2), (NARROW, 256, 8, 1.65),
]  # fmt: skip
"""Costs of the network, resolution of a block, side of a square in its middle, milliseconds there and back."""


@pytest.mark.parametrize(("known", "size", "side", "ms"), MEASURED)
def test_a_block_costs_what_was_measured(known: Costs, size: int, side: int, ms: float) -> None:
    level = known.heights.index(size)
    first, last = (size - side) // 2, (size + side) // 2
    upto = Costs(*(values[: level + 1] for values in (known.heights, known.widths, known.channels, known.weights)))
    told = upto.window(Window(first, first, last, last), level) + upto.once(range(level, level + 1))
    assert told * 0.035e-6 == pytest.approx(ms, rel=0.28)


def test_wide_blocks_are_cut_into_fewer_windows() -> None:
    """A ring 105 pixels wide: eight bars; were weights free, and numbers as dear as once, twelve."""
    y, x = torch.meshgrid(torch.arange(1024) - 511.5, torch.arange(1024) - 511.5, indexing="ij")
    radius = (x.square() + y.square()).sqrt()
    ring = ((radius >= 400) & (radius < 505)).float()
    assert len(cover_of(ring[None], PUBLISHED.among_others).windows) == 8


def partitions(members: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    """All ways to divide them."""
    if not members:
        return [[]]
    first, *others = members
    found = [[(first,), *rest] for rest in partitions(tuple(others))]
    for rest in partitions(tuple(others)):
        found += [[*rest[:i], (first, *part), *rest[i + 1 :]] for i, part in enumerate(rest)]
    return found


@pytest.mark.parametrize(
    ("known", "groups"), [(PUBLISHED, [1, 1, 1, 1]), (SHIPPED, [1, 1, 2]), (NARROW, [1, 1, 2])]
)
def test_windows_of_a_face_are_drawn_the_cheapest_way_there_is(known: Costs, groups: list[int]) -> None:
    """Eyes, mouth and the top of the hair, a sample each, against all ways to group them and to begin."""
    parts = [(412, 332, 520, 476), (416, 544, 520, 704), (704, 420, 792, 608), (60, 258, 301, 817)]
    areas = [Window(*(edge * known.heights[-1] // 1024 for edge in part)) for part in parts]
    blocks = len(known.heights)

    def price(group: Group) -> float:
        begin, members = group
        whole = SHARE * sum(map(known.whole, range(begin))) + known.once(range(begin)) / len(areas)
        alone, own = [known.window(area, begin) for area in areas], known.once(range(begin, blocks))
        if len(members) == 1:
            return whole + own + alone[members[0]]
        tall = max(areas[i].bottom - areas[i].top + areas[i].top % 2 for i in members)
        wide = max(areas[i].right - areas[i].left + areas[i].left % 2 for i in members)
        each = known.together(tall, wide, begin)
        if len(members) * each > sum(alone[i] for i in members) + SPARE * max(alone):
            return float("inf")
        each = each * known.overheads.batch + (blocks - begin) * known.overheads.window
        return own + len(members) * (whole + each)

    ways = [
        [min((Group(begin, part) for begin in (2, 3, 4)), key=price) for part in division]
        for division in partitions((0, 1, 2, 3))
    ]
    found = arranged(known, tuple(areas), (0, 1, 2, 3))
    assert sum(map(price, found)) == pytest.approx(min(sum(map(price, way)) for way in ways))
    assert sizes(found) == groups


def test_a_window_alone_shares_nothing() -> None:
    assert arranged(costs(), (Window(0, 0, 9, 9),), (0,)) == (Group(0, (0,)),)
    assert arranged(costs(), (), ()) == ()


def test_small_windows_go_together_and_large_ones_alone() -> None:
    small = tuple(Window(10 * i, 7 * i, 10 * i + 9 + i % 3, 7 * i + 12) for i in range(6))
    large = Window(0, 0, 128, 128), Window(3, 5, 100, 120)
    groups = arranged(costs(), (*small, *large), tuple(range(8)))
    assert sizes(groups) == [1, 1, 6]
    together = next(group for group in groups if len(group.windows) == 6)
    assert sorted(together.windows) == [0, 1, 2, 3, 4, 5]
    assert all(group.begin >= together.begin for group in groups)  # large ones share more of the low blocks


def test_dear_overheads_join_what_cheap_ones_leave_apart() -> None:
    areas, owners = (Window(0, 0, 40, 40), Window(50, 50, 90, 89)), (0, 1)
    free, dear = (replace(costs(), overheads=CPU._replace(block=block)) for block in (0.0, 1e9))
    assert sizes(arranged(free, areas, owners)) == [1, 1] and sizes(arranged(dear, areas, owners)) == [2]
    areas = areas[0], Window(50, 50, 58, 58)  # much more memory than the smaller one's
    assert sizes(arranged(dear, areas, owners)) == [1, 1]


@settings(max_examples=40, deadline=None)
@given(areas=st.lists(windows(128, 128), min_size=2, max_size=8), thrifty=st.booleans())
def test_every_window_is_drawn_once_and_groups_take_little_more_memory(areas: list[Window], thrifty: bool) -> None:
    known, owners = costs(), tuple(i // 2 for i in range(len(areas)))
    groups = arranged(known, tuple(areas), owners, thrifty=thrifty)
    assert sorted(number for group in groups for number in group.windows) == [*range(len(areas))]
    for begin, members in groups:
        if len(members) == 1:
            continue
        alone = [known.window(area, begin) for area in areas]
        tall = max(areas[i].bottom - areas[i].top + areas[i].top % 2 for i in members)
        wide = max(areas[i].right - areas[i].left + areas[i].left % 2 for i in members)
        drawn = len(members) * known.together(tall, wide, begin)
        own = sum(alone[i] for i in members)
        assert drawn <= (max(alone) if thrifty else own + SPARE * max(alone)) + 1


def test_a_window_costs_more_the_larger_it_is(tiny: StyleGAN2) -> None:
    prices = [tiny.window_cost(Window(4, 4, 4 + side, 28)) for side in (1, 8, 16, 24)]
    assert prices == sorted(prices) and prices[0] > 0
    assert tiny.window_cost(Window(0, 0, 32, 32)) == 1
