"""Work shared out by several processes; threads with one store stand for them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch.distributed as dist

from chunkygan.errors import ChunkyGANError, ImageError, RecipeError
from chunkygan.lightning.share import Failure, Outcome, Team, launch
from chunkygan.lightning.trainer import of_one_device, quiet_trainer, trainer_options


def together(parts: list[Callable[[Team], Any]]) -> list[Any]:
    """What each part returned, or the interruption that it raised; each ran in a process of its own, so to speak."""
    store, found = dist.HashStore(), [None] * len(parts)

    def process(rank: int, part: Callable[[Team], Any]) -> None:
        try:
            found[rank] = part(Team({}, rank, len(parts), store))
        except KeyboardInterrupt as error:
            found[rank] = error
        if rank:
            store.add("gone", 1)

    threads = [threading.Thread(target=process, args=pair, daemon=True) for pair in enumerate(parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_alone_every_item_is_done_in_order() -> None:
    done: list[int] = []
    with launch({"devices": 1}) as team:
        outcome = team.share({"a": 1, "b": 2, "c": 3}, lambda n: done.append(n) or n * n)
        again = team.share({"a": 5}, lambda n: n)
    assert done == [1, 2, 3]
    assert outcome == Outcome({"a": 1, "b": 4, "c": 9}) and again.results == {"a": 5}
    assert team.first and team.size == 1 and team.trainer["devices"] == 1


def test_several_do_every_item_once_and_the_first_hears_of_all() -> None:
    items, done = {f"item {i}": i for i in range(40)}, []

    def part(team: Team) -> Outcome[int]:
        def run_one(item: int) -> int:
            done.append((team.rank, item))
            time.sleep(0.001)
            return -item

        return team.share(items, run_one)

    outcomes = together([part] * 3)
    assert sorted(item for _, item in done) == list(range(40))
    assert list(outcomes[0].results.items()) == [(name, -item) for name, item in items.items()]
    for rank in (1, 2):
        assert set(outcomes[rank].results.values()) == {-item for who, item in done if who == rank}


def test_a_failing_item_does_not_stop_the_rest() -> None:
    def run_one(item: str) -> str:
        if item == "bad":
            raise ImageError("is no picture")
        if item == "fault":
            raise ZeroDivisionError("oh")
        return item

    items = {name: name for name in ("x", "bad", "y", "fault", "z")}
    (outcome,) = together([lambda team: team.share(items, run_one)])
    assert list(outcome.results) == ["x", "y", "z"]
    assert outcome.failures["bad"] == Failure("is no picture")
    assert outcome.failures["fault"].message == "ZeroDivisionError: oh"
    assert "run_one" in outcome.failures["fault"].trace


def test_batches_hold_as_many_as_are_left_and_each_item_has_its_own_end() -> None:
    seen: list[list[str]] = []

    def run_batch(batch: Any) -> Any:
        seen.append(list(batch))
        for name, item in batch.items():
            if item == 4:
                raise ImageError("the whole batch stops here")
            yield name, ImageError("is no picture") if item == 1 else 10 * item

    items = {f"item {i}": i for i in range(7)}
    with launch({"devices": 1}) as team:
        outcome = team.share_batches(items, run_batch, size=3)
    assert [len(batch) for batch in seen] == [3, 3, 1]
    assert outcome.results == {f"item {i}": 10 * i for i in (0, 2, 3, 6)}
    assert {name: failure.message for name, failure in outcome.failures.items()} == {
        "item 1": "is no picture", "item 4": "the whole batch stops here", "item 5": "the whole batch stops here",
    }  # fmt: skip


def test_several_share_out_batches() -> None:
    items, taken = {f"item {i}": i for i in range(25)}, []

    def part(team: Team) -> Any:
        def run_batch(batch: Any) -> Any:
            taken.append(len(batch))
            time.sleep(0.002)
            yield from batch.items()

        return team.share_batches(items, run_batch, size=4)

    outcomes = together([part] * 3)
    assert outcomes[0].results == items and sorted(taken) == [1, 4, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("who", [0, 1])
def test_after_an_interruption_nobody_begins_another_item(who: int) -> None:
    begun, interrupted = [], threading.Event()

    def part(team: Team) -> Outcome[None]:
        def run_one(item: int) -> None:
            begun.append(item)
            if team.rank == who:
                interrupted.set()
                raise KeyboardInterrupt
            interrupted.wait(30)
            time.sleep(0.2)  # so that the other one has closed the list

        return team.share({str(i): i for i in range(9)}, run_one)

    found = together([part, part])
    assert len(begun) <= 2
    assert isinstance(found[who], KeyboardInterrupt)
    assert isinstance(found[0], KeyboardInterrupt)  # it hears that not all was done


def test_the_first_ones_list_counts() -> None:
    ready = threading.Event()

    def slow(item: int) -> int:
        ready.wait(30)
        return item

    def other(team: Team) -> Any:
        outcome = team.share({"a": 1, "new": 3}, lambda item: item)
        ready.set()
        return outcome

    mine, others = together([lambda team: team.share({"a": 1, "b": 2}, slow), other])
    taken = set(others.results) | set(others.failures)
    assert set(mine.results) | set(mine.failures) == {"a", "b"} and "new" not in taken
    if "b" in taken:
        assert "was gone" in mine.failures["b"].message


def test_a_process_that_cannot_begin_leaves_the_work_to_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    store, handler = dist.HashStore(), signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as end, Team({}, 1, 2, store):
            raise ChunkyGANError("no weights here")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert end.value.code == 0
    assert "process 1 goes without: no weights here" in capsys.readouterr().err
    with Team({}, 0, 2, store) as team:
        assert team.share({"a": 1}, lambda item: item).results == {"a": 1}


@pytest.mark.parametrize(("devices", "one"), [(1, 1), (4, 1), ("auto", 1), ("2,3", [2]), ("1,", [1])])
def test_a_single_fit_takes_the_first_device(devices: Any, one: Any) -> None:
    options = of_one_device(trainer_options(devices=devices, num_nodes=2, precision="bf16-mixed"))
    assert options == {"accelerator": "auto", "devices": one, "num_nodes": 1, "precision": "bf16-mixed"}


@pytest.mark.parametrize("mistake", [{"accelerator": "nonsense"}, {"accelerator": "cpu", "num_nodes": 0}])
@pytest.mark.parametrize("devices", [1, 2])
def test_what_lightning_does_not_take_is_the_recipes_mistake(mistake: dict[str, Any], devices: int) -> None:
    options = trainer_options(**{"devices": devices, **mistake})
    with pytest.raises(RecipeError, match="trainer: "):
        launch(options) if devices > 1 else quiet_trainer(steps=1, callbacks=[], **options)
