"""A graph is the same graph in every layout; lists and texts say what they say."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mmkrl.config import check
from mmkrl.data.graphs.config import LAYOUTS, GraphConfig
from mmkrl.data.graphs.layouts import graph_listing
from mmkrl.data.views.graph import load_graph
from mmkrl.errors import UsageError
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import write_parquet
from tests.mmkrl.data.graphs.made import (
    SMALL,
    WRITERS,
    build,
    names,
    triples_of,
    write_ikrl,
    write_lines,
    write_openke,
    write_parquets,
    write_tsv,
)


def texts(dataset) -> list[tuple[str, str, str]]:
    rows = dataset.table("entity_texts").to_pylist()
    return [(row["entity"], row["kind"], row["text"]) for row in rows]


@pytest.mark.parametrize("layout", ["ikrl", "openke", "parquet", "tsv"])
def test_every_layout_gives_the_same_graph(folder, tmp_path, layout):
    dataset, built = build(WRITERS[layout](folder, SMALL), tmp_path / "graph")
    graph = load_graph(dataset)
    entities, relations = names(SMALL)
    assert graph.entities == sorted(entities)
    assert graph.relations == sorted(relations)
    assert triples_of(graph) == SMALL
    assert graph.known().shape == (9, 3)
    assert dataset.manifest.dead_letters == 0
    assert built.remarks == []


def test_every_layout_is_written_by_a_test():
    assert sorted(WRITERS) == LAYOUTS.names()


def test_line_ends_marks_and_blank_lines_are_no_content(tmp_path):
    config = write_tsv(locate(tmp_path), SMALL)
    plain = load_graph(build(config, tmp_path / "plain")[0])
    for name in ("train", "valid", "test"):
        path = tmp_path / f"{name}.tsv"
        data = path.read_bytes().replace(b"\n", b"\r\n\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + data.removesuffix(b"\r\n\r\n"))
    dataset, _ = build(config, tmp_path / "dressed")
    assert triples_of(load_graph(dataset)) == triples_of(plain)
    assert dataset.manifest.dead_letters == 0


def test_what_is_listed_but_in_no_triple_is_an_entity(tmp_path):
    config = write_openke(locate(tmp_path), SMALL)
    lines = (tmp_path / "entity2id.txt").read_text().splitlines()
    more = [str(int(lines[0]) + 1), *lines[1:], "a stone  of the field\t77"]
    (tmp_path / "entity2id.txt").write_text("\n".join(more))
    dataset, built = build(config, tmp_path / "graph")
    assert load_graph(dataset).entities == sorted([*names(SMALL)[0], "a stone  of the field"])
    assert built.notes["graph"]["entities_without_triples"] == 1


def test_texts_of_a_folder(tmp_path):
    config = write_tsv(locate(tmp_path), SMALL)
    write_lines(locate(tmp_path / "entity2text.txt"), [("élan", "moose"), ("tree", "a tree")])
    write_lines(locate(tmp_path / "entity2textlong.txt"), [("élan", "a large deer, of woods")])
    dataset, _ = build(config, tmp_path / "graph")
    assert texts(dataset) == [
        ("élan", "name", "moose"),
        ("tree", "name", "a tree"),
        ("élan", "description", "a large deer, of woods"),
    ]


def test_ikrl_needs_no_lists(tmp_path):
    config = write_ikrl(locate(tmp_path), SMALL)
    (tmp_path / "entity2id.txt").unlink()
    (tmp_path / "relation2id.txt").unlink()
    assert triples_of(load_graph(build(config, tmp_path / "graph")[0])) == SMALL


def test_openke_fields_may_stand_between_tabs_and_spaces(tmp_path):
    config = write_openke(locate(tmp_path), SMALL)
    for path in tmp_path.glob("*2id.txt"):
        path.write_text(
            path.read_text().replace(" ", " \t") if "valid" in path.name else path.read_text()
        )
    path = tmp_path / "test2id.txt"
    path.write_text("".join(f"  {line} \n" for line in path.read_text().splitlines()))
    assert triples_of(load_graph(build(config, tmp_path / "graph")[0])) == SMALL


def parquet_of_names(tmp_path, **columns) -> GraphConfig:
    """Triples as names, with a list of entities under other names of columns."""
    rows = [
        {"split": split, "head": head, "relation": relation, "tail": tail}
        for split, triples in SMALL.items()
        for head, relation, tail in triples
    ]
    table = pa.Table.from_pylist(rows)
    split = table["split"].dictionary_encode()
    write_parquet(locate(tmp_path / "t.parquet"), table.set_column(0, "split", split))
    entities = names(SMALL)[0]
    listed = {
        "synset": entities,
        "name": [f"the {name}" for name in entities],
        "gloss": [None] * (len(entities) - 1) + ["last"],
        "text": [""] + ["long"] * (len(entities) - 1),
    }
    write_parquet(locate(tmp_path / "e.parquet"), pa.table(listed))
    paths = {"path": f"{tmp_path}/t.parquet", "entities": f"{tmp_path}/e.parquet"}
    return GraphConfig(layout="parquet", **paths, columns=columns)


def test_parquet_of_names_with_texts(tmp_path):
    dataset, _ = build(parquet_of_names(tmp_path, entity="synset"), tmp_path / "graph")
    assert triples_of(load_graph(dataset)) == SMALL
    entities = names(SMALL)[0]
    assert texts(dataset) == [
        *((name, "name", f"the {name}") for name in entities),
        (entities[-1], "gloss", "last"),
        *((name, "description", "long") for name in entities[1:]),
    ]


def test_a_column_is_read_once(tmp_path):
    config = parquet_of_names(tmp_path, entity="synset", gloss="text")
    kinds = {kind for _, kind, _ in texts(build(config, tmp_path / "graph")[0])}
    assert kinds == {"name", "gloss"}


def test_numbers_without_a_list_are_names(tmp_path):
    config = write_parquets(locate(tmp_path), SMALL)
    for path in tmp_path.glob("small_*"):
        path.unlink()
    graph = load_graph(build(config, tmp_path / "graph")[0])
    entities, relations = names(SMALL)
    assert graph.entities == sorted(map(str, range(len(entities))))
    assert [
        (entities[int(h)], relations[int(r)], entities[int(t)])
        for h, r, t in triples_of(graph)["train"]
    ] == SMALL["train"]


def test_the_identity_of_a_graph_is_its_content(tmp_path):
    one, two = (write_tsv(locate(tmp_path / name), SMALL) for name in ("one", "two"))
    assert graph_listing(one) == graph_listing(two)
    write_lines(locate(tmp_path / "two" / "entity2text.txt"), [("tree", "a tree")])
    assert graph_listing(one) != graph_listing(two)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "source 'files' needs path"),
        ({"source": "mined", "path": "x"}, "leave out path, images"),
        ({"path": "x", "columns": {"entity": "e"}}, "are for layout 'parquet', not 'tsv'"),
        ({"path": "x", "images": "image_list"}, "is for layout 'ikrl', not 'tsv'"),
        ({"path": "x", "images": "labels"}, "label"),
        ({"path": "x", "layout": "csv"}, "no graph layout is called 'csv'; known: tsv, ikrl"),
    ],
)
def test_a_wrong_section_is_one_line(values, message):
    with pytest.raises(UsageError) as caught:
        check(values, GraphConfig)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
