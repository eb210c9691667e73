"""Runs fits through Lightning's Trainer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from chunkygan.errors import ChunkyGANError, ProjectionError
from chunkygan.lightning.batch_fit import BatchFit
from chunkygan.lightning.batch_members import Attend, Member
from chunkygan.lightning.batch_state import load_state
from chunkygan.lightning.fit_callbacks import SaveState, Tell
from chunkygan.lightning.trainer import quiet_trainer, ticks
from chunkygan.lightning.tuning import Tuning
from chunkygan.types import Listener

if TYPE_CHECKING:
    from chunkygan.lightning.cohering import Cohering
    from chunkygan.lightning.repainting import Repainting


def run_batch(
    members: Sequence[Member], *, trainer: Mapping[str, Any] | None = None
) -> Iterator[tuple[int, Exception | None]]:
    """Fits pictures in place, all at once, and says of each when it is over: its place, and what went wrong, if so.

    They take their steps in rounds; a round ends when a picture leaves, and the next one goes on without it.

    Args:
        members: of one generator, perceptual distance and settings. One whose state is in a file goes on from there.
        trainer: options of Lightning's Trainer.

    Raises:
        KeyboardInterrupt: the user interrupted; the states are saved.
    """
    for member in members:
        _restore(member)
    left = dict(enumerate(members))
    while left:
        for place in [place for place, member in left.items() if member.is_over]:
            yield place, left.pop(place).error
        if left:
            _round([*left.values()], trainer or {})


def run(
    fit: Tuning | Repainting | Cohering,
    *,
    listeners: Sequence[Listener] = (),
    state: Path | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> None:
    """Fits what goes alone, in place.

    Args:
        listeners: called after every step.
        state: file in which an unfinished fit is kept, and from which it goes on.
        trainer: options of Lightning's Trainer.

    Raises:
        KeyboardInterrupt: the user interrupted; the state is saved.
        ProjectionError: the loss is no number any more.
    """
    callbacks = [Tell(listeners), *([] if state is None else [SaveState(state)])]
    resume = state if state is not None and state.exists() else None
    with _interruptible():
        runner = quiet_trainer(steps=fit.settings.steps, callbacks=callbacks, **(trainer or {}))
        runner.fit(fit, ticks(), ckpt_path=resume, weights_only=True)


def _restore(member: Member) -> None:
    if member.state is None or not member.state.exists():
        return
    try:
        member.stopped = load_state(member.state, member.fit)
    except ChunkyGANError as error:
        member.error = error


def _round(members: Sequence[Member], trainer: Mapping[str, Any]) -> None:
    """Steps until one of the members is over; a fault of what they share makes all of them leave."""
    steps = min(member.fit.steps_left for member in members)
    try:
        with _interruptible():
            runner = quiet_trainer(steps=steps, callbacks=[Attend(members)], **trainer)
            runner.fit(BatchFit([member.fit for member in members]), ticks())
    except Exception as error:
        for member in members:
            member.error = member.error or _shared(error, len(members))


def _shared(error: Exception, pictures: int) -> Exception:
    """What one of several pictures is told of a fault in their batch."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        fewer = f"{pictures} pictures in one fit are too many: a smaller batch, or" if pictures > 1 else "try"
        return ProjectionError(f"the device's memory is full; {fewer} inverter.memory=frugal")
    return error


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Makes a KeyboardInterrupt again of what Lightning makes of Ctrl-C."""
    try:
        yield
    except SystemExit as interrupted:
        raise KeyboardInterrupt from interrupted
