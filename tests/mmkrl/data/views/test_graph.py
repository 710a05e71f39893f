"""Every entity finds exactly the vectors of its own images."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmkrl.data.schemas import features
from mmkrl.data.views.graph import SPLITS, Graph, entity_images
from mmkrl.errors import UserError
from tests.mmkrl.data.graphs.made import linked, published

DIMENSION = 3
NOTHING = np.zeros((0, 3), np.int64)
GRAPH = Graph(["bear", "elk", "fox", "wolf"], ["eats"], dict.fromkeys(SPLITS, NOTHING))


def extracted(folder, ids):
    """A vector of each image that its id and its row determine."""
    schema = features({"resnet50": DIMENSION}).arrow
    rows = [[ord(name[0]), number, 0.5] for number, name in enumerate(ids)]
    flat = pa.array(np.array(rows, np.float16).ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, type=schema.field("resnet50").type)
    return published(folder, features=pa.Table.from_arrays([pa.array(ids), column], schema=schema))


def test_ragged_ranges_equal_a_loop(tmp_path):
    pairs = [("wolf", "d"), ("elk", "a"), ("elk", "lost"), ("elk", "c"), ("wolf", "a")]
    ids = ["c", "x", "a", "d", "a"]
    dataset = linked(tmp_path / "g", pairs)
    found = entity_images(GRAPH, dataset, extracted(tmp_path / "x", ids), tmp_path / "cache")
    expected = [
        sorted(ids.index(image) for name, image in pairs if name == entity and image in ids)
        for entity in GRAPH.entities
    ]
    assert [len(rows) for rows in expected] == [0, 2, 0, 2]
    ranges = zip(found.start_E1[:-1], found.start_E1[1:], strict=True)
    assert [found.row_I[start:stop].tolist() for start, stop in ranges] == expected
    assert found.start_E1.dtype == found.row_I.dtype == np.int64
    assert found.feature_MD.dtype == np.float16
    assert found.feature_MD[found.row_I[0], 0] == ord("c")


def test_features_that_do_not_fit_are_one_line(tmp_path):
    dataset = linked(tmp_path / "g", [("elk", "a")])
    vectors, cache = extracted(tmp_path / "x", ["a"]), tmp_path / "cache"
    assert entity_images(GRAPH, dataset, vectors, cache, dimension=3).row_I.tolist() == [0]
    with pytest.raises(UserError, match="vectors of length 3, expected 7: extract with"):
        entity_images(GRAPH, dataset, vectors, cache, dimension=7)
    with pytest.raises(UserError, match="not of 'vgg19'"):
        entity_images(GRAPH, dataset, vectors, cache, backbones=("vgg19",))
    others = extracted(tmp_path / "y", ["b"])
    with pytest.raises(UserError, match=r"none of the 1 images .* made from the same corpus"):
        entity_images(GRAPH, dataset, others, cache)
    with pytest.raises(UserError, match=r"has no images of entities: set graph\.images"):
        entity_images(GRAPH, linked(tmp_path / "n", []), vectors, cache)
