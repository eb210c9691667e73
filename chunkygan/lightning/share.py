"""A list of work for several processes, started by Lightning on devices and nodes: each item is done once."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any

import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy

from chunkygan.errors import ChunkyGANError
from chunkygan.lightning.trainer import checked, trainer_options
from chunkygan.lightning.work_list import LONG, Failure, Outcome, R, RunBatch, T, WorkList, do_batch, wait_until

__all__ = ["Failure", "Outcome", "Team", "launch"]


def launch(trainer: Mapping[str, Any]) -> Team:
    """The processes that a recipe's `trainer` section asks for: this one alone, or one a device on every node.

    With several devices, Lightning runs the present command again for each but the first; where the processes are
    there already (torchrun, SLURM ...), it only joins them. So a command calls it before anything costly.

    Example:
        with launch(recipe.data["trainer"]) as team:
            inversion = Inversion(recipe, trainer=team.trainer)
            outcome = team.share({path.name: path for path in paths}, run_one)
        if team.first:
            ...  # sum up, and raise what is to be raised

    Raises:
        RecipeError: options that Lightning or this machine does not have.
    """
    options = trainer_options(**trainer)
    if options["devices"] in (1, "1") and options["num_nodes"] == 1:
        return Team(options)
    for name in ("lightning_fabric.utilities", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    strategy = DDPStrategy(process_group_backend="gloo")  # no gradient is shared, so any device will do
    with checked():
        fabric = Fabric(strategy=strategy, **{key: options[key] for key in ("accelerator", "devices", "num_nodes")})
    children: list[subprocess.Popen[bytes]] = getattr(strategy.launcher, "procs", [])
    try:
        fabric.launch()
        store = _common_store(fabric)
    except BaseException:
        for child in children:
            child.kill()
        raise
    return Team(_on_device(options, fabric.device), fabric.global_rank, fabric.world_size, store, children)


class Team:
    """Processes that share out work; a context manager, at whose end the first process waits for the others.

    What the first process raises inside ``with`` interrupts the others; one that is not the first ends there when
    something goes wrong outside an item: it says so, and the others do the work.

    Attributes:
        first: whether this process tells the user and writes what sums up.
        size: how many there are.
        trainer: options of Lightning's Trainer for a fit in this process, on its device alone.
    """

    def __init__(
        self,
        trainer: Mapping[str, Any],
        rank: int = 0,
        size: int = 1,
        store: dist.Store | None = None,
        children: list[subprocess.Popen[bytes]] | None = None,
    ) -> None:
        self.trainer, self.rank, self.size, self.first = dict(trainer), rank, size, rank == 0
        self._store = dist.HashStore() if store is None else store
        self._children = children or []
        self._lists = 0

    def share(self, items: Mapping[str, T], run_one: Callable[[T], R]) -> Outcome[R]:
        """Does every item once, in whichever process is free first.

        Args:
            items: name -> item, in any process; the first process's names count.
            run_one: called with an item; writes itself what has to outlive an interruption, and returns what JSON
                can hold. What it raises makes the item a failure, and the rest goes on.

        Returns:
            Of all items in the first process, of its own ones in another.

        Raises:
            KeyboardInterrupt: here or in another process; nobody begins another item.
        """

        def one_by_one(batch: Mapping[str, T]) -> Iterator[tuple[str, R | Exception]]:
            for name, item in batch.items():
                yield name, run_one(item)

        return self.share_batches(items, one_by_one, size=1)

    def share_batches(self, items: Mapping[str, T], run_batch: RunBatch[T, R], *, size: int) -> Outcome[R]:
        """As `share`, but whoever is free takes several items at once.

        Args:
            run_batch: gets name -> item, and yields each name with its result, or with an exception for a failure, as
                it is done. What it raises makes those failures that it has not told of.
            size: how many items at most.
        """
        self._lists += 1
        work = WorkList(dist.PrefixStore(f"list {self._lists}", self._store))
        names = work.publish(list(items)) if self.first else work.names()
        own: Outcome[R] = Outcome()
        try:
            for taken in work.tickets(names, size):
                for name in do_batch({name: items[name] for name in taken if name in items}, run_batch, own):
                    work.report(name, own)
                for name in (name for name in taken if name not in items):
                    own.failures[name] = Failure("was gone when another process looked for it; give the command again")
                    work.report(name, own)
            if self.first:
                return work.all_reports(names, lambda: self._others_gone())
        except KeyboardInterrupt:
            work.close(len(names))
            raise
        return own

    def __enter__(self) -> Team:
        if not self.first:
            signal.signal(signal.SIGINT, _interrupt_once)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.first:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends by itself
            self._leave(error)
        elif error is not None:
            self._dismiss()
        else:
            wait_until(self._others_gone)

    def _others_gone(self) -> bool:
        return self._store.add("gone", 0) == self.size - 1

    def _leave(self, error: BaseException | None) -> None:
        """Ends a process that is not the first; with 0, since Lightning kills all where one ends otherwise."""
        with contextlib.suppress(dist.DistError):  # the first has gone
            self._store.add("gone", 1)
        if error is None:
            return
        if not isinstance(error, (KeyboardInterrupt, dist.DistError)):
            text = str(error) if isinstance(error, ChunkyGANError) else "".join(traceback.format_exception(error))
            print(f"process {self.rank} goes without: {text}", file=sys.stderr, flush=True)
        raise SystemExit(0)

    def _dismiss(self) -> None:
        """Interrupts the processes that this one started, and waits until they have kept what they had."""
        try:
            for child in self._children:
                with contextlib.suppress(ValueError):  # Windows knows no such signal
                    child.send_signal(signal.SIGINT)
            for child in self._children:
                child.wait()
        finally:
            for child in self._children:
                child.kill()


def _common_store(fabric: Fabric) -> dist.Store:
    """A store that all processes see. The process group is ended: a fit, or a metric in it, is to know of no other."""
    address = fabric.strategy.cluster_environment.main_address  # type: ignore[attr-defined]
    store: dist.Store | None = None
    port = 0
    if fabric.global_rank == 0:
        store = dist.TCPStore(address, 0, is_master=True, wait_for_workers=False, timeout=LONG)
        port = store.port
    port = fabric.broadcast(port)
    if store is None:
        store = dist.TCPStore(address, port, is_master=False, timeout=LONG)
    fabric.barrier()
    dist.destroy_process_group()
    return store


def _on_device(options: Mapping[str, Any], device: Any) -> dict[str, Any]:
    """Trainer options for a process's own device; the plain environment, so that no fit looks for the others."""
    accelerator = {"cuda": "gpu"}.get(device.type, device.type)
    own = {"accelerator": accelerator, "devices": 1 if device.index is None else [device.index], "num_nodes": 1}
    return {**options, **own, "plugins": [LightningEnvironment()]}


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """Ctrl-C comes twice, from the terminal and from the first process; the second must not cut short the first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
