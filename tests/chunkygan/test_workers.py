"""Work by several processes: results in order, errors as they are, nothing else touched."""

from __future__ import annotations

import multiprocessing
import os

import pytest
import torch

from chunkygan.errors import ImageError
from chunkygan.workers import cores, in_order


def squared(item: int) -> tuple[int, int, int]:
    return item * item, os.getpid(), torch.get_num_threads()


def squared_unless_three(item: int) -> int:
    if item == 3:
        raise ImageError("three is no picture")
    return item * item


def test_results_come_in_order_from_other_processes_of_one_thread():
    results = list(in_order(squared, range(7), workers=2))
    assert [number for number, _, _ in results] == [n * n for n in range(7)]
    processes = {process for _, process, _ in results}
    assert len(processes) == 2 and os.getpid() not in processes
    assert {threads for _, _, threads in results} == {1}


def test_one_worker_is_this_process():
    assert {process for _, process, _ in in_order(squared, range(3), workers=1)} == {os.getpid()}
    assert list(in_order(squared, [], workers=4)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_as_it_was_raised_after_what_came_before_it(workers):
    results = in_order(squared_unless_three, range(6), workers=workers)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    with pytest.raises(ImageError, match="^three is no picture$"):
        next(results)


def test_processes_end_with_the_iterator():
    results = in_order(squared, range(50), workers=2)
    next(results)
    assert len(multiprocessing.active_children()) >= 2
    before = {child.pid for child in multiprocessing.active_children()}
    results.close()
    assert not before & {child.pid for child in multiprocessing.active_children()}


def test_random_numbers_go_on_as_if_nothing_had_been():
    torch.manual_seed(0)
    list(in_order(squared, range(2), workers=2))
    after = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(3))


def test_there_is_a_core():
    assert 1 <= cores() <= (os.cpu_count() or 1)
