"""The pictures in `examples/` are those that the renderer draws now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chunkygan.components.datasets.procfaces_examples import SHOWN, write_examples
from chunkygan.labels import read_label_map

SHIPPED = Path(__file__).resolve().parents[3] / "examples"
NAMES = [f"{name}_{i + 1:02d}" for name, (_, items) in SHOWN.items() for i in range(len(items))]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    assert [path.stem for path in write_examples(folder)] == NAMES
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_example_is_what_is_drawn_now(name, drawn):
    new, shipped = (np.asarray(Image.open(folder / f"{name}.png")).astype(int) for folder in (drawn, SHIPPED))
    assert np.abs(new - shipped).max() <= 1
    new_labels, labels = (read_label_map(folder / f"{name}_masks.png").labels for folder in (drawn, SHIPPED))
    assert (new_labels != labels).float().mean() < 1e-3  # rounding may decide where two parts share a pixel equally


def test_shipped_names_of_the_chunks_are_current(drawn):
    assert (drawn / "classes.yaml").read_text() == (SHIPPED / "classes.yaml").read_text()
