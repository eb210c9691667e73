"""The table of overlap against annotated samples: every row once, whatever interrupts it, and what is refused."""

import pytest
import torch

from chunkygan._torchvision import ensure_importable

ensure_importable()

from chunkygan import recipe as recipes  # noqa: E402
from chunkygan.annotating.folder import write_annotations  # noqa: E402
from chunkygan.annotating.table import Result, as_plot, as_table  # noqa: E402
from chunkygan.domain import LabelClass  # noqa: E402
from chunkygan.errors import RecipeError  # noqa: E402
from chunkygan.generator_file import write_generator  # noqa: E402
from chunkygan.labels import colour_labels  # noqa: E402
from chunkygan.lightning import seghead_evaluation  # noqa: E402
from chunkygan.sampling import sample_ws  # noqa: E402

CLASSES = (LabelClass("left", (0, 0, 0)), LabelClass("right", (255, 255, 255)))
RESULTS = [
    Result("annotated", 1, 0, 0.4, None, 2.0), Result("annotated", 1, 1, 0.6, None, 2.0),
    Result("annotated", 30, 0, 0.8, None, 3.0), Result("exemplar", 30, 0, 0.55, 0.7, 3.0),
]  # fmt: skip


@pytest.fixture
def options(tiny, tmp_path):
    ws = sample_ws(tiny, 8, seed=3, truncation=0.7)
    pictures = tiny.synthesis(tiny.styles(ws)).detach().clamp(-1, 1)
    folder = write_annotations(tmp_path / "faces", pictures, ws, CLASSES)
    for i in range(8):
        labels = (torch.arange(32) >= 16).long().expand(32, 32)
        colour_labels(labels, [c.colour for c in CLASSES]).save(folder / "labels" / f"{i:04d}.png")
    write_generator(tiny, tmp_path / "generator.safetensors")
    return {
        "generator": {"name": "stylegan2", "weights": str(tmp_path / "generator.safetensors")},
        "seg_head": {"name": "datasetgan_mlp", "models": 1}, "annotations": str(folder),
        "counts": [1, 2], "draws": 2, "carried": 2, "steps": 3, "batch": 8, "pixels": 64,
        "trainer": {"accelerator": "cpu"},
    }  # fmt: skip


def test_every_row_is_measured_once_and_an_interrupted_table_goes_on(options, tmp_path, capsys):
    table = seghead_evaluation.train(tmp_path / "run", 0, **options)
    scores = tmp_path / "run" / "scores.csv"
    lines = scores.read_text().splitlines()
    assert len(lines) == 1 + 2 * (2 + 1) and table.read_text().count("carried to 2 more") == 1
    scores.write_text("\n".join(lines[:3]) + "\n")  # as if it had been stopped
    capsys.readouterr()
    seghead_evaluation.train(tmp_path / "run", 0, **options)
    assert capsys.readouterr().out.count(" draw ") == 4

    def values(rows):
        return [row.rsplit(",", 1)[0] for row in rows]  # without seconds

    assert values(scores.read_text().splitlines()) == values(lines)


def test_more_samples_than_there_are_is_refused(options, tmp_path):
    with pytest.raises(RecipeError, match="counts must be 1 to 6"):
        seghead_evaluation.train(tmp_path / "run", 0, **{**options, "counts": [1, 7]})


def test_nobody_who_labels_is_refused(options, tmp_path):
    with pytest.raises(RecipeError, match=r"training\.annotations"):
        seghead_evaluation.train(tmp_path / "run", 0, **{**options, "annotations": None})


def test_the_table_has_mean_and_spread_of_the_draws():
    table = as_table(RESULTS)
    assert "| 1 | 0.500 | 0.141 | 0.400 | 0.600 | 2 |" in table and "| 30 | 0.800 | 0.000 |" in table
    assert "| 1, its labels carried to 30 more | 0.550 |" in table and "mIoU 0.700" in table


def test_the_plot_has_a_dot_for_every_draw_and_is_xml():
    from xml.etree import ElementTree

    picture = ElementTree.fromstring(as_plot(RESULTS))
    assert len(picture.findall("{*}circle")) == 4
    (line,) = picture.findall("{*}polyline")
    first, last = (tuple(map(float, point.split(","))) for point in line.get("points").split())
    assert first[0] < last[0] and first[1] > last[1]  # more samples to the right, more overlap above


def test_the_recipe_is_good():
    assert recipes.load("evaluate_annotations", []).job == "evaluate_annotations"
