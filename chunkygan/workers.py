"""Work on many items by several processes, whose results come in the items' order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from chunkygan.errors import ChunkyGANError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(make: Callable[[Item], Result], items: Sequence[Item], *, workers: int | None = None) -> Iterator[Result]:
    """What `make` gives for each item, in order, made ahead by processes that use one thread each.

    They end with the iterator, however it ends. Where one process serves (one worker, one item, or inside a process
    that may start none), the items are made here. The state of PyTorch's random numbers stays as it is.

    Args:
        make: a function that pickles. Systems that start processes afresh also need the usual
            ``if __name__ == "__main__":`` in the script that calls this.
        workers: how many processes; None: one a core.

    Raises:
        ChunkyGANError: as `make` raised it.
    """
    workers = min(cores() if workers is None else workers, len(items))
    if workers <= 1 or multiprocessing.current_process().daemon:
        yield from map(make, items)
        return
    made: DataLoader[Any] = DataLoader(
        _Made(make, items), batch_size=None, num_workers=workers, collate_fn=_as_it_is, generator=torch.Generator()
    )
    for result, error in made:
        if error is not None:
            raise error
        yield result


class _Made(Dataset[tuple[Any, Any]], Generic[Item, Result]):
    """The results as a data set, whose items a `DataLoader` asks its processes for."""

    def __init__(self, make: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self.make, self.items = make, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """The result and None, or None and the error: raised over there, it would come as a traceback in a string."""
        try:
            return self.make(self.items[index]), None
        except ChunkyGANError as error:
            return None, error


def _as_it_is(result: Any) -> Any:
    return result
