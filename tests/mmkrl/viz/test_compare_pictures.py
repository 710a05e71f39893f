"""What spaces rank first among the test images, with what is right marked."""

import pyarrow as pa
import pytest

from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import IMAGES, INSTANCES, RELATIONSHIPS
from mmkrl.io.storage import locate
from mmkrl.viz.compare_pictures import RelevantImages, best_images
from tests.mmkrl.serving.test_pyfunc import small_space

QUERIES = ["cat | eats | fish", "man | rides | horse"]


def published(location, tables, rows):
    unit = write_unit(location, 0, tables, rows_in=rows, rows_out=rows)
    publish(location, Origin("job", "key", {}, {}, ""), [unit])
    return open_dataset(location)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    row = {"uri": "u", "format": "png", "width": 1, "height": 1, "license": ""}
    rows = [
        row | {"image_id": f"i{n}", "source": f"web{n}", "image": f"picture {n}".encode()}
        for n in range(3)
    ]
    folder = locate(tmp_path_factory.mktemp("corpus"))
    return published(folder, {"images": pa.Table.from_pylist(rows, IMAGES.arrow)}, 3)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The cat is in i0, the man in i2 and, in training, in i1."""
    parts = [("cat", "eats", "fish"), ("man", "rides", "horse")]
    relationships = [
        {"relationship_id": f"r{n}", "subject": s, "predicate": p, "object": o, "pair": "x"}
        | {"split": "test", "images": 1, "sources": 1}
        for n, (s, p, o) in enumerate(parts)
    ]
    pairs = [("r0", "i0", "test"), ("r1", "i2", "test"), ("r1", "i1", "train")]
    instances = [
        {"relationship_id": r, "image_id": i, "source": "web", "split": split}
        for r, i, split in pairs
    ]
    tables = {
        "relationships": pa.Table.from_pylist(relationships, RELATIONSHIPS.arrow),
        "instances": pa.Table.from_pylist(instances, INSTANCES.arrow),
    }
    return RelevantImages.of(published(locate(tmp_path_factory.mktemp("mined")), tables, 2))


def test_only_test_images_are_there_and_right(shown):
    assert shown.images == {"i0", "i2"}
    assert shown.right == {QUERIES[0]: {"i0"}, QUERIES[1]: {"i2"}}


def test_each_space_has_a_row_of_pictures_best_first(corpus, shown):
    space = small_space()
    shelves = best_images(QUERIES, {"A": space, "B": space}, shown, corpus)
    assert list(shelves) == QUERIES
    for query in QUERIES:
        assert [shelf.heading for shelf in shelves[query]] == ["A", "B"]
        ((answers,),) = [space.retrieve(space.embed_texts([query]), 8, {"i0", "i2"})]
        assert len(answers) == 2
        for shelf in shelves[query]:
            told = [(picture.image, picture.caption, picture.mark) for picture in shelf.pictures]
            assert told == [
                (
                    f"picture {answer.name[1]}".encode(),
                    f"web{answer.name[1]}",
                    "right" if answer.name in shown.right[query] else "wrong",
                )
                for answer in answers
            ]


def test_a_picture_that_is_not_in_the_corpus_leaves_its_place(shown, tmp_path):
    row = {"image_id": "other", "source": "", "uri": "", "format": "", "width": 1, "height": 1}
    rows = [row | {"license": "", "image": b""}]
    corpus = published(locate(tmp_path), {"images": pa.Table.from_pylist(rows, IMAGES.arrow)}, 1)
    shelves = best_images(QUERIES[:1], {"A": small_space()}, shown, corpus)
    assert [picture.image for picture in shelves[QUERIES[0]][0].pictures] == [b"", b""]
