"""From specs to objects."""

from __future__ import annotations

from typing import Any

import pytest

from chunkygan import registry
from chunkygan.build import create
from chunkygan.errors import ComponentError, ImageError


class Blend:
    def __init__(self, width: int, device: str = "cpu") -> None:
        if width < 0:
            raise ImageError("width must not be negative")
        if width > 9:
            raise ValueError("too wide")
        self.width, self.device = width, device


@pytest.fixture(autouse=True)
def _registered() -> None:
    registry.register("blender", "blend", Blend, origin="package somebody 1.0")


def test_arguments_come_from_the_spec_and_from_what_is_injected() -> None:
    made = create("blender", {"name": "blend", "width": 3}, device="meta", size=(4, 4))
    assert (made.width, made.device) == (3, "meta")


def test_the_spec_is_left_alone() -> None:
    spec = {"name": "blend", "width": 3}
    create("blenders", spec)
    assert spec == {"name": "blend", "width": 3}


def test_a_bare_name_is_a_spec() -> None:
    registry.register("blender", "plain", object)
    assert type(create("blender", "plain")) is object


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "blend"}, "'blend' of package somebody 1.0 lacks width"),
        ({"name": "blend", "width": 1, "hight": 2}, "takes no hight"),
        ({"name": "blend", "width": 1, "device": "x"}, "device may not be set"),
        ({"name": "blend", "width": 10}, "of package somebody 1.0 cannot be made: ValueError: too wide"),
        ({"name": "blnd"}, "did you mean 'blend'"),
    ],
)
def test_misuse_is_explained(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ComponentError, match=message):
        create("blender", spec, device="cpu")


def test_errors_on_purpose_pass_through() -> None:
    with pytest.raises(ImageError, match="negative"):
        create("blender", {"name": "blend", "width": -1})


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    registry._registered["blender", "blend"] = registry.Entry("blender", "blend", Blend, "", registry.BUILT_IN)
    with pytest.raises(ValueError, match="too wide"):
        create("blender", {"name": "blend", "width": 10})
