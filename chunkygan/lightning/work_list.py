"""Work as a list in a store that several processes see: who does what, and what became of it."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, Union

import torch.distributed as dist

from chunkygan.errors import ChunkyGANError

T = TypeVar("T")
R = TypeVar("R")

RunBatch = Callable[[Mapping[str, T]], Iterator[tuple[str, Union[R, Exception]]]]
"""Does a batch of items, name -> item; tells of each when it is done: its name, and its result or what went wrong."""

LONG = datetime.timedelta(days=365)  # another process may be loading, or busy with a picture, for long


@dataclass(frozen=True)
class Failure:
    """Why an item was not done.

    Args:
        message: for the user.
        trace: of a fault of ours or of a plugin's; empty where the user can mend it.
    """

    message: str
    trace: str = ""


@dataclass
class Outcome(Generic[R]):
    """What became of the items, by name, in the order of the list."""

    results: dict[str, R] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)


class WorkList:
    """Names in a store that all processes see, a counter that gives each to one of them, and what became of it."""

    def __init__(self, store: dist.Store) -> None:
        self.store = store

    def publish(self, names: list[str]) -> list[str]:
        self.store.set("names", json.dumps(names))
        return names

    def names(self) -> list[str]:
        self.store.wait(["names"], LONG)
        found: list[str] = json.loads(self.store.get("names"))
        return found

    def tickets(self, names: list[str], size: int) -> Iterator[list[str]]:
        """Names that no other process gets, so many at once, fewer at the list's end."""
        while taken := names[(end := self.store.add("next", size)) - size : end]:
            yield taken

    def close(self, count: int) -> None:
        """Leaves no ticket to anybody."""
        with contextlib.suppress(dist.DistError):
            self.store.add("next", count)

    def report(self, name: str, own: Outcome[Any]) -> None:
        failure = own.failures.get(name)
        value = [own.results.get(name), [failure.message, failure.trace] if failure else None]
        self.store.set(f"done {name}", json.dumps(value))

    def all_reports(self, names: list[str], others_gone: Callable[[], bool]) -> Outcome[Any]:
        """What became of all items, when all is known.

        Raises:
            KeyboardInterrupt: some were never begun or not ended, since another process was interrupted.
        """
        found: Outcome[Any] = Outcome()
        waiting = [f"done {name}" for name in names]
        wait_until(lambda: all_there(self.store, waiting) or others_gone())
        for name in names:
            if not self.store.check([f"done {name}"]):
                raise KeyboardInterrupt
            result, failure = json.loads(self.store.get(f"done {name}"))
            if failure is None:
                found.results[name] = result
            else:
                found.failures[name] = Failure(*failure)
        return found


def do_batch(items: Mapping[str, T], run_batch: RunBatch[T, R], own: Outcome[R]) -> Iterator[str]:
    """The names of a batch, each when its result, or what went wrong, is in `own`."""
    left = dict.fromkeys(items)
    try:
        for name, found in run_batch(items):
            left.pop(name)
            if isinstance(found, Exception):
                own.failures[name] = failure_of(found)
            else:
                own.results[name] = found
            yield name
    except Exception as error:
        for name in left:
            own.failures[name] = failure_of(error)
            yield name


def failure_of(error: Exception) -> Failure:
    """What is told of an exception."""
    if isinstance(error, ChunkyGANError):
        return Failure(str(error))
    return Failure(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


def all_there(store: dist.Store, keys: list[str]) -> bool:
    """Whether a store has all keys; takes those that it has from the list's end."""
    while keys and store.check(keys[-1:]):
        keys.pop()
    return not keys


def wait_until(true: Callable[[], bool]) -> None:
    """Waits."""
    while not true():
        time.sleep(0.05)
