"""The benchmark of segmentation heads: its yardstick gives the same answers, and its numbers are told in a table."""

import torch

from chunkygan.bench import head as bench_head


def test_the_yardstick_says_the_same_whole_and_in_bands():
    maps, head = bench_head._case(32, 2, "cpu")
    with torch.no_grad():
        ours = head(maps, size=(32, 32))
        whole, cut = (bench_head.plain(head, maps, (32, 32), bands) for bands in (1, 3))
    torch.testing.assert_close(whole, ours, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(cut, whole, atol=1e-5, rtol=1e-5)


def test_maps_are_those_of_config_f():
    maps, _ = bench_head._case(64, 1, "cpu")
    assert [m.shape[1] for m in maps] == [512] * 10
    assert [m.shape[2] for m in maps] == [4, 4, 8, 8, 16, 16, 32, 32, 64, 64]


def test_a_measurement_and_its_row():
    result = bench_head.measure_head(16, rounds=1, memory=False)
    assert result.channels == 6 * 512 and result.bands == 1 and result.stack == 4 * result.channels * 16 * 16
    assert result.row()["to_plain"] == result.ours / result.plain
    assert "| 16 | 3072 | 1 |" in bench_head.as_table([result])


def test_the_plain_way_needs_room_for_the_stack_and_ours_does_not():
    result = bench_head.measure_head(128, rounds=1)
    assert result.plain_memory > result.stack > 3 * result.ours_memory
