"""The page and the text of a comparison hold its figures, escaped, and say when it is none."""

import html.parser
import math

import numpy as np
import pytest
from PIL import Image

from mmkrl.evaluate.metrics.intervals import Interval
from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.metrics.registry import metric
from mmkrl.evaluate.report.compare import Difference, Number, Side, compare
from mmkrl.evaluate.report.evaluation import Evaluation
from mmkrl.evaluate.report.report import interval_text
from mmkrl.viz.compare import (
    ComparisonContext,
    Setting,
    Source,
    difference_text,
    judged,
    page,
    surprise,
    text,
)
from mmkrl.viz.gallery import Picture, Shelf
from tests.support.browser import browse
from tests.support.evaluations import CONFIG, QUERIES, evaluation

BASE = np.linspace(0.2, 0.6, len(QUERIES))[None]
GAINS = np.where(np.arange(len(QUERIES)) % 4, 0.2, -0.1)


class Cells(html.parser.HTMLParser):
    """The rows of a page's tables, and its other elements."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.tags, self.words, self._cell = [], [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = self.rows[-1]

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        self.words.append(data.strip())
        if self._cell is not None:
            self._cell[-1] += data.strip()


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    first = evaluation(folder, "first", {"ours": BASE, "other <i>": BASE})
    other = evaluation(folder, "other", {"ours": BASE + GAINS})
    sides = [Side(n, Evaluation.of(made), "ours") for n, made in (("A", first), ("B", other))]
    return compare(sides, CONFIG)


@pytest.fixture(scope="module")
def context(compared):
    sources = [
        Source(side.name, side.method, "folder", "run", "c0ffee", {"mine": "d" * 64}, 1)
        for side in compared.sides
    ]
    query = compared.against[0].gained[0].name
    shelves = {"B": {query: [Shelf("A", [Picture(b"\x89PNG", "web", "right")])]}}
    return ComparisonContext(sources, [Setting("train.bcdnn.margin", ["0.1", None])], shelves)


@pytest.fixture(scope="module")
def cells(compared, context):
    return Cells(page(compared, context))


def test_every_number_is_on_the_page_with_its_difference(compared, cells):
    rows = {row[0]: row for row in cells.rows if row}
    for number in compared.numbers:
        row = rows[" ".join(number.headline)]
        metric = number.metric
        assert row[1:3] == [interval_text(value, metric) for value in number.values]
        assert row[3] == difference_text(number.differences[0], metric)
        assert row[5] == surprise(number.differences[0])
    assert [tag for tag, _ in cells.tags].count("svg") == 1  # ranks have no place on the scale


def test_relations_and_queries_are_on_the_page(compared, cells):
    (against,) = compared.against
    rows = {row[0]: row for row in cells.rows if row}
    for one in against.relations:
        counts = [one.queries, "", one.better, one.equal, one.worse, f"{one.mean:+.3f}"]
        assert rows[one.name][1:] == [str(count) for count in counts]
    for query in (*against.gained, *against.lost):
        assert rows[query.name][1:] == [
            f"{query.first:.3f}",
            f"{query.other:.3f}",
            f"{query.difference:+.3f}",
        ]


def test_pictures_and_settings_are_on_the_page(cells):
    assert ("figure", {"class": "right"}) in cells.tags
    assert sum(tag == "img" for tag, _ in cells.tags) == 1
    assert ["train.bcdnn.margin", "0.1", ""] in cells.rows


def test_the_page_needs_nothing_from_elsewhere_and_escapes(compared, context):
    sides = [compared.sides[0], Side("B", compared.sides[0].evaluation, "other <i>")]
    made = page(compare(sides, CONFIG), context)
    assert "http" not in made
    assert "other <i>" not in made
    assert "other &lt;i&gt;" in made


def test_the_verdict_counts_headlines(compared, cells):
    sentence = "B is ahead of A by more than the interval on 1 of 1 headline numbers, behind on 0."
    assert sentence in cells.words
    assert sentence in text(compared, ComparisonContext([], [], {}))


def test_what_is_not_comparable_is_told_loudly(compared, context):
    strange = type(compared)(**vars(compared) | {"problems": ["they differ"]})
    assert "Not comparable, and compared all the same" in Cells(page(strange, context)).words
    assert "**NOT COMPARABLE**" in text(strange, context)
    assert "Not comparable" not in page(compared, context)


def test_the_text_has_the_tables(compared, context):
    lines = text(compared, context).splitlines()
    (number,) = [one for one in compared.numbers if one.headlined]
    (difference,) = number.differences
    values = [interval_text(value, number.metric) for value in number.values]
    signed = difference_text(difference, number.metric)
    cells = [*values, f"{signed} better", surprise(difference)]
    assert f"| **text-image mAP** | {' | '.join(cells)} |" in lines
    query = compared.against[0].gained[0]
    name = query.name.replace("|", "\\|")
    assert f"| {name} | {query.first:.3f} | {query.other:.3f} |" in lines
    assert "| train.bcdnn.margin | 0.1 |  |" in lines


def difference(low, mean, high):
    return Difference(Interval(mean, low, high, 5, 5), 0.5, 5)


@pytest.mark.parametrize(
    ("name", "bounds", "expected"),
    [
        ("mAP", (0.1, 0.2, 0.3), "better"),
        ("mAP", (-0.3, -0.2, -0.1), "worse"),
        ("mAP", (-0.1, 0.2, 0.3), ""),
        ("MR", (-30.0, -20.0, -10.0), "better"),
        ("MR", (10.0, 20.0, 30.0), "worse"),
        ("misses", (-0.3, -0.2, -0.1), "better"),
        ("misses", (0.1, 0.2, 0.3), "worse"),
        ("mAP", (math.nan, 0.2, math.nan), ""),
    ],
)
def test_better_means_beyond_the_interval_and_in_the_right_direction(name, bounds, expected):
    own = {"misses": Metric.from_json("misses", {"higher_is_better": False})}
    number = Number(("task", name), own.get(name) or metric(name), [None], [], True)
    assert judged(number, difference(*bounds)) == expected


def test_a_number_that_is_not_there_leaves_its_cell_empty():
    assert interval_text(None, metric("mAP")) == ""
    assert (difference_text(None, metric("mAP")), surprise(None)) == ("", "")


def test_a_browser_shows_the_page_with_its_figures_and_colours(compared, context, cells, tmp_path):
    elements, picture = browse(page(compared, context), tmp_path)
    rows = [row for row in Cells(elements).rows if row]
    assert rows == [row for row in cells.rows if row]
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    seen = set(map(tuple, np.unique(pixels, axis=0).tolist()))
    assert {(27, 127, 59), (179, 38, 30)} <= seen  # what is better, and what is worse
