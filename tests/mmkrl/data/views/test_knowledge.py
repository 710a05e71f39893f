"""What models learn from is what the tables say, whatever the order of their rows."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import INSTANCES, RELATIONSHIPS, features
from mmkrl.data.views.knowledge import load_knowledge
from mmkrl.data.views.mapped_features import joined, map_features
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError
from mmkrl.io.storage import locate

DIMENSION = 5
WORDS = WordVectors(
    {word: i for i, word in enumerate(("cat", "dog", "chases", "ball"))},
    np.arange(8, dtype=np.float32).reshape(4, 2),
)


def published(folder, units) -> Dataset:
    location = locate(folder)
    records = [
        write_unit(location, n, tables, rows_in=1, rows_out=1) for n, tables in enumerate(units)
    ]
    publish(location, Origin("test", "key", {}, {}, ""), records)
    return open_dataset(location)


def table(ids) -> pa.Table:
    """A vector of each image that its id determines, except for the place of its row."""
    schema = features({"resnet50": DIMENSION}).arrow
    rows = [np.arange(DIMENSION) + 10 * ord(name[0]) + 0.5 * len(name) for name in ids]
    flat = pa.array(np.concatenate(rows).astype(np.float16))
    column = pa.FixedSizeListArray.from_arrays(flat, type=schema.field("resnet50").type)
    return pa.Table.from_arrays([pa.array(ids), column], schema=schema)


def extracted(folder, ids, cuts) -> Dataset:
    whole = table(ids)
    units = [{"features": whole[a:b]} for a, b in itertools.pairwise(cuts)]
    return published(folder, units)


def mined(folder, instances, split="train") -> Dataset:
    texts = {"r2": ("cat", "chases", "dog"), "r1": ("dog", "chases", "red ball")}
    relationships = [
        dict(zip(("subject", "predicate", "object"), text, strict=True))
        | {"relationship_id": key, "pair": key, "split": split, "images": 1, "sources": 1}
        for key, text in texts.items()
    ]
    rows = [
        {"relationship_id": key, "image_id": image, "source": "web", "split": split}
        for key, image in instances
    ]
    unit = {
        "relationships": pa.Table.from_pylist(relationships, RELATIONSHIPS.arrow),
        "instances": pa.Table.from_pylist(rows, INSTANCES.arrow),
    }
    return published(folder, [unit])


@pytest.mark.parametrize("cuts", [(0, 6), (0, 1, 4, 6)])
def test_mapped_features_equal_the_table(tmp_path, cuts):
    ids = ["a", "b", "c", "d", "e", "f"]
    found, feature_MD = map_features(extracted(tmp_path / "x", ids, cuts), tmp_path / "cache")
    assert found == ids
    assert feature_MD.dtype == np.float16
    np.testing.assert_array_equal(feature_MD, np.stack(table(ids).column("resnet50").to_pylist()))
    assert isinstance(feature_MD, np.memmap)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"]


def test_the_same_rows_in_another_order_are_not_mixed_up(tmp_path):
    """Both datasets have one digest: it does not see the order, but the mapped file does."""
    first = extracted(tmp_path / "x", ["a", "b", "c"], (0, 3))
    second = extracted(tmp_path / "y", ["c", "a", "b"], (0, 1, 3))
    assert first.digest == second.digest
    for dataset in (first, second):
        ids, feature_MD = map_features(dataset, tmp_path / "cache")
        assert feature_MD[ids.index("c"), 0] == 10 * ord("c") + 0.5


def test_a_dataset_without_features_is_told(tmp_path):
    with pytest.raises(UserError, match="has no features"):
        map_features(mined(tmp_path / "x", [("r1", "a")]), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_features_of_a_backbone_are_asked_for_by_name(tmp_path):
    dataset = extracted(tmp_path / "x", ["a", "b"], (0, 2))
    _, first = map_features(dataset, tmp_path / "cache")
    _, named = map_features(dataset, tmp_path / "cache", ("resnet50",))
    np.testing.assert_array_equal(first, named)
    with pytest.raises(UserError, match="has features of resnet50, not of 'vgg19'"):
        map_features(dataset, tmp_path / "cache", ("vgg19",))


def test_several_backbones_stand_side_by_side_as_unit_vectors(tmp_path):
    one = np.array([[3, 4], [0, 0], [5, 12]], np.float16)
    other = np.array([[0, 2, 0], [1, 0, 0], [0, 0, 9]], np.float16)
    columns = {"resnet50": one, "vgg19": other}
    schema = features({"resnet50": 2, "vgg19": 3}).arrow
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), type=schema.field(name).type)
        for name, block in columns.items()
    ]
    whole = pa.Table.from_arrays([pa.array(["a", "b", "c"]), *arrays], schema=schema)
    dataset = published(tmp_path / "x", [{"features": whole[:2]}, {"features": whole[2:]}])
    _, both = map_features(dataset, tmp_path / "cache", ("vgg19", "resnet50"))
    wanted = [[0, 1, 0, 0.6, 0.8], [1, 0, 0, 0, 0], [0, 0, 1, 5 / 13, 12 / 13]]
    np.testing.assert_allclose(both, wanted, atol=5e-4)
    _, alone = map_features(dataset, tmp_path / "cache", ("vgg19",))
    np.testing.assert_array_equal(alone, other)
    np.testing.assert_array_equal(joined([one]), one)


def test_knowledge_joins_instances_with_features(tmp_path):
    instances = [("r2", "c"), ("r1", "b"), ("r2", "a"), ("r2", "c"), ("r1", "not extracted")]
    knowledge = load_knowledge(
        mined(tmp_path / "m", instances),
        extracted(tmp_path / "x", ["c", "a", "b", "c", "z"], (0, 2, 5)),
        WORDS,
        tmp_path / "cache",
    )
    relationships, images = knowledge.relationships, knowledge.images
    assert relationships.ids == ["r1", "r2"]
    assert relationships.texts == [("dog", "chases", "red ball"), ("cat", "chases", "dog")]
    for text, parts in zip(relationships.texts, relationships.part_R3, strict=True):
        assert tuple(relationships.parts[i] for i in parts) == text
    np.testing.assert_allclose(
        relationships.word_R3W,
        [[WORDS.phrase(part) for part in text] for text in relationships.texts],
    )
    assert images.ids == ["b", "a", "c"]
    assert images.label_N.tolist() == [0, 1, 1]
    assert images.row_N.tolist() == [2, 1, 0]  # the first of the two rows of c
    expected = [10 * ord(name) + 0.5 for name in "bac"]
    assert images.features(images.index("train"))[:, 0].tolist() == expected


def test_features_of_another_corpus_are_refused(tmp_path):
    with pytest.raises(UserError, match="were they made from the same corpus"):
        load_knowledge(
            mined(tmp_path / "m", [("r1", "a")]),
            extracted(tmp_path / "x", ["b"], (0, 1)),
            WORDS,
            tmp_path / "cache",
        )


def test_knowledge_without_training_images_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no training images"):
        load_knowledge(
            mined(tmp_path / "m", [("r1", "a")], split="test"),
            extracted(tmp_path / "x", ["a"], (0, 1)),
            WORDS,
            tmp_path / "cache",
        )
