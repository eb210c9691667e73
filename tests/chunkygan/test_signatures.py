"""Plain values against annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from chunkygan.signatures import described, fits, problems, signature


@pytest.mark.parametrize(
    ("value", "annotation", "good"),
    [
        (1, int, True),
        (1.5, int, False),
        (True, int, False),
        (1, float, True),
        (True, float, False),
        ("1", float, False),
        (None, Optional[int], True),
        (None, int, False),
        ("a", int | None, False),
        ("alex", Literal["alex", "vgg"], True),
        ("squeze", Literal["alex", "vgg"], False),
        (True, Literal[1], False),
        ([1, 2], list[int], True),
        ([1, "a"], list[int], False),
        ([1, 2], tuple[int, int], True),
        ([1], tuple[int, int], False),
        ([1, 2, 3], tuple[int, ...], True),
        ("ab", Sequence[str], False),
        ({"a": 1}, dict[str, int], True),
        ({"a": "b"}, dict[str, int], False),
        ("x.png", Path, True),
        (3, str | Path, False),
        (3, Any, True),
        (3, None, True),
    ],
)
def test_value_fits_annotation(value: Any, annotation: Any, good: bool) -> None:
    assert fits(value, annotation) is good


def test_annotations_are_described_in_words() -> None:
    assert described(Optional[tuple[int, int]]) == "a list of 2: whole number, whole number or null"


@dataclass
class Options:
    size: int
    mode: Literal["soft", "hard"] = "soft"


def test_a_dataclass_is_checked_like_a_class() -> None:
    assert problems({"mode": "sofd", "sizes": 3}, Options, what="options", path="o") == [
        "o.mode: must be one of 'soft', 'hard'; got 'sofd'; did you mean 'soft'?",
        "o.sizes: options takes no such option; there are mode, size; did you mean 'size'?",
        "o.size: is required by options",
    ]


def test_injected_arguments_may_not_be_set_and_are_not_missed() -> None:
    assert problems({}, Options, what="options", path="o", injected=["size"]) == []
    assert problems({"size": 3}, Options, what="options", path="o", injected=["size"]) == [
        "o.size: is filled in by the framework and may not be set"
    ]


def test_an_open_function_takes_any_key() -> None:
    def open_(**options: Any) -> None: ...

    assert signature(open_).is_open
    assert problems({"x": 1}, open_, what="it", path="o") == []


def test_annotations_that_cannot_be_evaluated_leave_types_unchecked() -> None:
    def odd(a: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert problems({"a": object()}, odd, what="it", path="o") == []
