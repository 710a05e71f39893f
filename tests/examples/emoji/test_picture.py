"""The README's picture: held-out relationships, looked for among one vendor's held-out drawings."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from examples.emoji.picture import answers, drawn
from mmkrl.data.schemas import IMAGES, INSTANCES, RELATIONSHIPS
from tests.support.captions import published
from tests.support.spaces import TRIPLES, space, words

__all__ = ["space", "words"]

README_PICTURE = Path(__file__).parents[3] / "docs/unseen.png"
SHOWN = {"image-3": 0, "image-4": 0, "image-8": 1, "image-9": 3}  # of the relationship of a place


def table(schema, rows):
    return pa.Table.from_pylist(rows, schema.arrow)


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """Three held-out relationships have drawings of Noto; another one has none, one is trained."""
    relationships = []
    for n, (subject, predicate, end) in enumerate(TRIPLES):
        row = {"relationship_id": f"r{n}", "subject": subject, "predicate": predicate}
        row |= {"object": end, "pair": f"{subject} + {end}", "images": 1, "sources": 1}
        relationships.append(row | {"split": "train" if n == 4 else "test"})
    rows = [("noto", "test", image, n) for image, n in SHOWN.items()]
    rows += [("openmoji", "test", "image-5", 2), ("noto", "train", "image-6", 4)]
    instances = [
        {"relationship_id": f"r{n}", "image_id": image, "source": source, "split": split}
        for source, split, image, n in rows
    ]
    folder = tmp_path_factory.mktemp("mined")
    tables = {"relationships": table(RELATIONSHIPS, relationships)}
    return published(folder, **tables, instances=table(INSTANCES, instances))


def test_only_drawings_of_the_vendor_are_found_and_the_right_ones_are_known(space, mined):
    found = answers(space, mined)
    assert {row.text for row in found} == {" | ".join(TRIPLES[n]) for n in (0, 1, 3)}
    for row in found:
        assert sorted(row.found) == sorted(SHOWN)  # all four, in some order
        shows = [" | ".join(TRIPLES[SHOWN[name]]) == row.text for name in row.found]
        assert row.right == shows
    assert [row.found for row in answers(space, mined)] == [row.found for row in found]


def test_it_is_drawn_from_the_corpus(space, mined, tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "orange").save(file, "WEBP")
    image = {"image": file.getvalue(), "width": 64, "height": 64, "format": "WEBP"}
    rows = [image | {"image_id": name, "uri": name, "source": "noto"} for name in SHOWN]
    rows = [{field.name: row.get(field.name, "") for field in IMAGES.arrow} for row in rows]
    corpus = published(tmp_path, images=table(IMAGES, rows))
    found = answers(space, mined)
    pixels = np.asarray(Image.open(io.BytesIO(drawn(found, corpus))).convert("RGB")).astype(int)
    green = (np.abs(pixels - (44, 160, 44)) < 8).all(axis=2)
    assert green.sum() > 1000  # frames around what is right


def test_the_readmes_picture_is_small():
    assert README_PICTURE.stat().st_size < 200_000
    assert Image.open(README_PICTURE).format == "PNG"
