"""Images are linked to entities by texts, by a list of pictures, or as mining found them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mmkrl.data.graphs.config import GraphConfig, GraphSplit
from mmkrl.data.graphs.images import images_by_list, images_by_text, images_of_parts
from mmkrl.data.graphs.mined import mined_graph
from mmkrl.data.schemas import IMAGES, RELATIONSHIPS, TEXTS
from mmkrl.errors import UserError
from mmkrl.io.storage import locate
from tests.mmkrl.data.graphs.made import (
    SMALL,
    build,
    linked,
    published,
    triples_of,
    write_ikrl,
    write_tsv,
)


def corpus(folder, *rows):
    """A corpus of pictures: image id, file, kind of text, text."""
    images, texts = [], []
    for image_id, uri, kind, text in rows:
        identity = {"image_id": image_id, "source": "web", "uri": uri}
        more = {"format": "PNG", "width": 1, "height": 1, "license": "", "image": b""}
        images.append(identity | more)
        texts.append(identity | {"kind": kind, "text": text})
    tables = {"images": (images, IMAGES), "texts": (texts, TEXTS)}
    return published(
        folder, **{name: pa.Table.from_pylist(r, s.arrow) for name, (r, s) in tables.items()}
    )


def pairs(links: pa.Table) -> list[tuple[str, str]]:
    return [(row["entity"], row["image_id"]) for row in links.to_pylist()]


def test_texts_of_one_kind_name_entities(tmp_path):
    config = write_tsv(locate(tmp_path), SMALL).model_copy(update={"images": "label"})
    pictures = corpus(
        tmp_path / "corpus",
        ("i3", "c.png", "label", "wolf"),
        ("i1", "a.png", "label", "wolf"),
        ("i1", "a.png", "label", "élan"),  # a picture may show two entities
        ("i1", "copy/a.png", "label", "wolf"),  # and lie there twice
        ("i2", "b.png", "label", "bear"),
        ("i2", "b.png", "alt", "tree"),
        ("i4", "d.png", "label", "Wolf"),
    )
    dataset, built = build(config, tmp_path / "graph", ingest=pictures)
    assert pairs(dataset.table("entities")) == [("wolf", "i1"), ("wolf", "i3"), ("élan", "i1")]
    counts = {"entity_images": 3, "entities_with_images": 2, "unlinked": 2}
    assert built.notes["images"] == counts
    assert counts.items() <= built.metrics.items()


def test_texts_that_name_nothing_are_one_line(tmp_path):
    pictures = corpus(tmp_path, ("i", "a.png", "label", "bear"), ("j", "b.png", "alt", "wolf"))
    with pytest.raises(UserError, match=r"'label': of the 1 texts of this kind in .* none names"):
        images_by_text(pictures, "label", ["wolf"])
    with pytest.raises(UserError, match=r"of the 0 texts"):
        images_by_text(corpus(tmp_path / "empty"), "label", ["wolf"])


def test_a_list_of_pictures(tmp_path):
    config = write_ikrl(locate(tmp_path), SMALL).model_copy(update={"images": "image_list"})
    (tmp_path / "image_list.txt").write_text("wolf_10\nwolf_2\nélan_1\ntree_99\n")
    pictures = corpus(
        tmp_path / "corpus",
        ("i2", "crawl/wolf/wolf_2.JPEG", "alt", "x"),
        ("i10", "wolf_10.png", "alt", "x"),
        ("i100", "wolf_100.png", "alt", "x"),
        ("i1", "s3://bucket/élan_1", "alt", "x"),
    )
    dataset, built = build(config, tmp_path / "graph", ingest=pictures)
    assert pairs(dataset.table("entities")) == [("wolf", "i10"), ("wolf", "i2"), ("élan", "i1")]
    assert built.notes["images"]["unlinked"] == 1
    (tmp_path / "image_list.txt").write_text("wolf_10\nélan_1\n")
    other = corpus(tmp_path / "other", ("i", "x.png", "alt", "x"))
    with pytest.raises(UserError, match="has none of the 2 listed pictures"):
        build(config, tmp_path / "graph", ingest=other)
    (tmp_path / "image_list.txt").unlink()
    with pytest.raises(UserError, match=r"has no image_list\.txt"):
        build(config, tmp_path / "graph", ingest=other)


def test_an_image_listed_for_two_pictures_is_linked_by_both(tmp_path):
    pictures = corpus(tmp_path, ("i", "a_1.png", "alt", "x"), ("i", "b_1.png", "alt", "x"))
    listed = pa.table({"entity": ["a", "b"], "picture": ["a_1", "b_1"]})
    assert pairs(images_by_list(pictures, listed).table) == [("a", "i"), ("b", "i")]


def mined(folder):
    """Relationships of a ring of parts, in which every part occurs in several."""
    rows = [
        (f"p{n}", relation, f"p{(n + step) % 12:d}")
        for n in range(12)
        for relation, step in (("next to", 1), ("two from", 2), ("opposite", 6))
    ]
    table = pa.Table.from_pylist(
        [
            {"relationship_id": f"{n:03d}", "subject": s, "predicate": p, "object": o}
            | {"pair": "", "split": "train", "images": 1, "sources": 1}
            for n, (s, p, o) in enumerate(rows)
        ],
        RELATIONSHIPS.arrow,
    )
    images = [("p3", "i1"), ("p3", "i0"), ("p11", "i1"), ("elsewhere", "i9")]
    return linked(folder, images, relationships=table), rows


def test_mined_relationships_as_a_graph(tmp_path):
    dataset, rows = mined(tmp_path)
    graph = mined_graph(dataset, GraphSplit(test=0.2, validation=0.2))
    by_split = triples_of(graph)
    assert sorted(triple for found in by_split.values() for triple in found) == sorted(rows)
    assert all(len(found) >= 4 for found in by_split.values())
    trained = {part for triple in by_split["train"] for part in triple}
    assert trained == {*graph.entities, *graph.relations}
    train = {frozenset((head, tail)) for head, _, tail in by_split["train"]}
    held = [triple for split in ("validation", "test") for triple in by_split[split]]
    assert not [triple for triple in held if frozenset((triple[0], triple[2])) in train]


def test_images_of_mined_parts(tmp_path):
    dataset, _ = mined(tmp_path)
    links = images_of_parts(dataset, ["p3", "p11"])
    assert pairs(links.table) == [("p11", "i1"), ("p3", "i0"), ("p3", "i1")]
    assert links.counts() == {"entity_images": 3, "entities_with_images": 2, "unlinked": 1}


def test_a_mined_graph_as_a_dataset(tmp_path):
    dataset, rows = mined(tmp_path / "mined")
    config = GraphConfig(source="mined", split=GraphSplit(test=0.2, validation=0.2))
    made, built = build(config, tmp_path / "graph", mine=dataset)
    assert made.manifest.rows_in == made.manifest.rows_out == len(rows)
    assert sum(built.notes["graph"]["triples"].values()) == len(rows)
    assert built.notes["graph"]["test_inverse_in_train"] == 0
    assert pairs(made.table("entities")) == [("p11", "i1"), ("p3", "i0"), ("p3", "i1")]
