"""The showcase frames the images that show the asked relationship, and only those, as right."""

import io
import re

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import IMAGES
from mmkrl.data.views.knowledge import Images, Knowledge, Relationships
from mmkrl.evaluate.tasks.zero_shot import Space
from mmkrl.io.storage import locate
from mmkrl.viz.showcase import showcase

TEXTS = [("cat", "wears", "hat"), ("dog", "wears", "hat"), ("cat", "wears", "<i>bow</i>")]
# id, relationship, split; the second relationship is trained on, the others are held out
SHOWN = [
    ("a", 0, "test"),
    ("b", 1, "train"),
    ("c", 2, "test"),
    ("d", 0, "test"),
    ("e", 0, "unseen_source"),
    ("f", 1, "validation"),
]


def png(shade):
    file = io.BytesIO()
    Image.new("L", (2, 2), shade).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def corpus(tmp_path):
    """All pictures but d."""
    row = {"source": "web", "format": "PNG", "width": 2, "height": 2, "license": ""}
    rows = [
        row | {"image_id": key, "uri": f"web/{key}", "image": png(n)}
        for n, (key, _, _) in enumerate(SHOWN)
        if key != "d"
    ]
    table = pa.Table.from_pylist(rows, IMAGES.arrow)
    location = locate(tmp_path / "corpus")
    unit = write_unit(location, 0, {"images": table}, rows_in=len(rows), rows_out=len(rows))
    publish(location, Origin("ingest", "key", {}, {}, ""), [unit])
    return open_dataset(location)


@pytest.fixture
def knowledge():
    split = np.array(["test", "train", "test"])
    relationships = Relationships(
        ["r0", "r1", "r2"], TEXTS, split, np.zeros((3, 3), int), ["x"], torch.zeros(3, 3, 2)
    )
    ids, labels, splits = zip(*SHOWN, strict=True)
    count = len(ids)
    images = Images(
        list(ids),
        np.array(labels),
        np.array(splits),
        np.array(["vendor & co"] * count),
        np.arange(count),
        np.zeros((count, 2), np.float16),
    )
    return Knowledge(relationships, images)


@pytest.fixture
def space(knowledge):
    """Each test text is nearest to: its own image, then the other relationship's, then its own."""
    angle_R = {0: 0.0, 2: 1.0}
    angle_N = {"a": 0.1, "c": 0.4, "d": -1.2}
    text = [angle_R.get(r, 0.0) for r in range(3)]
    image = [
        angle_N.get(key, 0.0) for key, _, _ in SHOWN
    ]  # the others would win if they were asked
    vectors = [
        torch.stack([torch.tensor(a).cos(), torch.tensor(a).sin()], dim=1) for a in (text, image)
    ]
    return Space(*vectors)


def rows_of(page):
    """Heading and (mark, caption, has a picture) of every row."""
    found = {}
    for part in page.split("<h2>")[1:]:
        figures = re.findall(r'<figure class="(\w*)">(.*?)</figure>', part, re.DOTALL)
        found[part.split("</h2>")[0]] = [
            (mark, re.search("<figcaption>(.*)</figcaption>", body)[1], "<img" in body)
            for mark, body in figures
        ]
    return found


HAT, BOW = "cat | wears | hat", "cat | wears | &lt;i&gt;bow&lt;/i&gt;"


def test_rows_are_held_out_relationships_with_their_best_images(knowledge, space, corpus):
    rows = rows_of(showcase(knowledge, space, corpus, 10))
    hat, bow = f"{HAT} (vendor &amp; co)", f"{BOW} (vendor &amp; co)"
    assert rows == {
        HAT: [("right", hat, True), ("wrong", bow, True), ("right", hat, False)],
        BOW: [("right", bow, True), ("wrong", hat, True), ("wrong", hat, False)],
    }


def test_no_more_rows_than_asked_and_always_the_same(knowledge, space, corpus):
    page = showcase(knowledge, space, corpus, 1)
    assert len(rows_of(page)) == 1
    assert showcase(knowledge, space, corpus, 1) == page
    assert rows_of(showcase(knowledge, space, corpus, 0)) == {}
