"""The report: every picture is in it, nothing in a name is taken for HTML, and points lie where they should."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch

from chunkygan.evaluation.html_report import Report, extremes, html
from chunkygan.evaluation.measures import measures_of
from chunkygan.evaluation.rows import Row, budget
from chunkygan.evaluation.scatter import BETTER, SIDE, WORSE, Panel, panel_svg, panels_of, sheet_svg
from chunkygan.evaluation.scores import ScoreFolder, Scores
from chunkygan.evaluation.table import lines
from chunkygan.images import write_image

OPTIMIZATION = {"name": "optimization"}
ODD = "<b>&\"x' #1"
ROWS = [
    Row("W+", {"name": "w_plus"}, inverter=OPTIMIZATION),
    Row("<chunks>", {"name": "w_plus"}, True, OPTIMIZATION, against="W+"),
]


class Reader(HTMLParser):
    """Tags in order, images and links; every opened element must be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.images: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if tag == "img":
            self.images.append(found["src"] or "")
        if tag == "a":
            self.links.append(unquote(found["href"] or ""))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def report(tmp_path: Path, pixels: object) -> Report:
    folder = ScoreFolder(tmp_path, [row.name for row in ROWS])
    scores: Scores = {}
    for i, picture in enumerate(["a", ODD, "c", "d"]):
        write_image(folder.target(picture), torch.zeros(1, 3, 8, 8))
        for row in ROWS:
            scores[picture, row.name] = {"l2": 0.1 * i, "lpips_pixels": 0.1 * i - 0.05 * row.chunks * (i - 1)}
            write_image(folder.reconstruction(picture, row.name), torch.zeros(1, 3, 8, 8))
        write_image(folder.masks(picture, "<chunks>"), torch.zeros(1, 3, 8, 8))
    measures = measures_of(pixels, None, [], (8, 8))  # type: ignore[arg-type]
    table = lines(scores, ROWS, [m.name for m in measures], "W+")
    failed = {("z", "W+"): "<i>no</i>"}
    return Report("On <faces>", ["4 & more"], scores, table, measures, "W+", budget(ROWS)[1], failed, folder)


def test_the_report_has_best_median_and_worst_with_all_their_pictures(report: Report, tmp_path: Path) -> None:
    reader = Reader()
    reader.feed(html(report))
    assert not reader.open
    # two pictures for each of three of one code; target, one code, chunks and masks for each of three of the chunks
    assert len(reader.images) == len(reader.links) == 3 * 2 + 3 * 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in reader.images)
    for link in reader.links:
        assert (tmp_path / link).is_file(), link
    assert any(ODD in link for link in reader.links)


def test_nothing_is_run_or_fetched_and_names_are_no_html(report: Report) -> None:
    text = html(report)
    reader = Reader()
    reader.feed(text)
    assert not {"script", "link", "iframe", "object", "chunks", "faces", "i"} & set(reader.tags)
    assert "<b>&" not in text and "&lt;b&gt;&amp;&quot;x&#x27; #1" in text
    assert not re.search(r"(src|href)=\"(https?:)?//", text)


def test_the_report_says_budget_failures_measures_and_wins(report: Report) -> None:
    text = html(report)
    for said in ("Equal budget", "100 steps", "&lt;i&gt;no&lt;/i&gt;", "[-1, 1]", "no static mask", "× 1.00", "2 of 4"):
        assert said in text, said


def test_a_report_without_a_fit_is_still_a_page(report: Report, tmp_path: Path) -> None:
    table, folder = lines({}, ROWS, ["l2"], "W+"), ScoreFolder(tmp_path, [])
    empty = Report("x", [], {}, table, report.measures[:1], "W+", ["Equal budget"], {}, folder)
    reader = Reader()
    reader.feed(html(empty))
    assert not reader.open and not reader.images


def test_best_median_and_worst_leave_out_what_is_no_number() -> None:
    scores: Scores = {(str(i), "W"): {"x": v} for i, v in enumerate([0.3, 0.1, math.nan, 0.9, 0.5])}
    assert extremes(scores, "W", "x") == [("best", "1"), ("median", "0"), ("worst", "3")]
    assert extremes({("a", "W"): {"x": 1.0}}, "W", "x") == [("best", "a")]
    assert extremes({}, "W", "x") == []


def test_a_point_lies_where_its_two_measures_say() -> None:
    root = ElementTree.fromstring(panel_svg(Panel("l2", "W", "chunks", (("a", 0.2, 0.1), ("b", 0.0, 0.4)))))
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    points = [(float(c.get("cx", "")), float(c.get("cy", "")), c.get("fill")) for c in circles]
    assert points == [(SIDE / 2, 0.75 * SIDE, BETTER), (0.0, 0.0, WORSE)]  # both axes from 0 to 0.4, upwards
    assert "better on 1 of 2" in "".join(root.itertext())


def test_a_panel_pairs_pictures_and_leaves_out_what_is_no_number() -> None:
    scores: Scores = {
        ("1", "W+"): {"l2": 0.2}, ("1", "<chunks>"): {"l2": 0.1}, ("2", "W+"): {"l2": 0.3},
        ("3", "W+"): {"l2": 0.3}, ("3", "<chunks>"): {"l2": math.nan},
    }  # fmt: skip
    (panel,) = panels_of(scores, ROWS, "l2")
    assert panel == Panel("l2", "W+", "<chunks>", (("1", 0.2, 0.1),))


def test_a_sheet_is_one_drawing_whatever_the_names_are() -> None:
    panel = Panel(ODD, ODD, ODD, ((ODD, 1.0, 2.0),))
    root = ElementTree.fromstring(sheet_svg([panel, Panel("t", "x", "y", ())], columns=1))
    assert sum(e.tag.endswith("}svg") for e in root.iter()) == 3 and ODD in "".join(root.itertext())
