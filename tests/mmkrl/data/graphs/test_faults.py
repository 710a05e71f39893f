"""Bad rows become dead letters that name file, line and value; bad files end in one line."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.views.graph import load_graph
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import write_parquet
from tests.mmkrl.data.graphs.made import (
    SMALL,
    WRITERS,
    build,
    dead,
    told,
    triples_of,
    write_ikrl,
    write_lines,
    write_openke,
    write_parquets,
    write_tsv,
)


def added(path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def test_wrong_fields(tmp_path):
    config = write_tsv(locate(tmp_path), SMALL)
    added(
        tmp_path / "train.tsv", b"wolf\teats\nwolf\teats\ttree\tnow\nwolf\t\ttree\n \nwolf is a\n"
    )
    expected = "expected head, relation, tail"
    assert dead(config, tmp_path / "graph") == [
        ("train.tsv line 7", "wrong_fields", rf"'wolf\teats': {expected}"),
        ("train.tsv line 8", "wrong_fields", rf"'wolf\teats\ttree\tnow': {expected}"),
        ("train.tsv line 9", "wrong_fields", rf"'wolf\t\ttree': {expected}"),
        ("train.tsv line 11", "wrong_fields", f"'wolf is a': {expected}"),
    ]


@pytest.mark.parametrize("layout", ["tsv", "ikrl"])
def test_names_that_are_no_utf8(tmp_path, layout):
    config = WRITERS[layout](locate(tmp_path), SMALL)
    train = next(tmp_path.glob("train.*"))
    train.write_bytes(b"\xe9lan\tis a\tdeer\n" + train.read_bytes() + b"wolf\t\xff\tdeer\n")
    assert dead(config, tmp_path / "graph") == [
        (f"{train.name} line 1", "not_utf8", r"b'\xe9lan\tis a\tdeer': not UTF-8 text"),
        (f"{train.name} line 8", "not_utf8", r"b'wolf\t\xff\tdeer': not UTF-8 text"),
    ]
    graph = load_graph(build(config, tmp_path / "graph")[0])
    assert "deer" not in graph.entities
    assert triples_of(graph) == SMALL


def test_a_listed_name_that_is_no_utf8_takes_its_triples_along(tmp_path):
    config = write_openke(locate(tmp_path), SMALL)
    path = tmp_path / "entity2id.txt"
    path.write_bytes(path.read_bytes().replace("élan".encode(), b"\xe9lan"))
    number = next(
        line.split(b"\t")[1].decode() for line in path.read_bytes().splitlines() if b"\xe9" in line
    )
    found = dead(config, tmp_path / "graph")
    place = "entity2id.txt line 4"
    assert (place, "not_utf8", rf"b'\xe9lan\t{number}': not UTF-8 text") in found
    unknown = [row for row in found if row[1] == "unknown_entity"]
    assert [place for place, _, _ in unknown] == [f"train2id.txt line {n}" for n in (3, 4, 5, 7)]
    assert {detail.partition(" ")[2] for _, _, detail in unknown} == {
        f"'{number}': not in entity2id.txt"
    }
    assert len(found) == 5


@pytest.mark.parametrize(
    ("layout", "line", "details"),
    [
        ("ikrl", "bear\twolf\teats", ["head 'bear': not in entity2id.txt"]),
        ("ikrl", "wolf\tbear\teats", ["tail 'bear': not in entity2id.txt"]),
        ("ikrl", "wolf\twolf\tsees", ["relation 'sees': not in relation2id.txt"]),
        ("openke", "99 0 0", ["head '99': not in entity2id.txt"]),
        ("openke", "0 -1 0", ["tail '-1': not in entity2id.txt"]),
        ("openke", "0 0 x", ["relation 'x': not in relation2id.txt"]),
    ],
)
def test_names_that_are_not_listed(tmp_path, layout, line, details):
    config = WRITERS[layout](locate(tmp_path), SMALL)
    (path,) = tmp_path.glob("test*.txt")
    lines = [*path.read_text().splitlines(), line]
    if layout == "openke":
        lines[0] = str(len(lines) - 1)
    path.write_text("\n".join(lines))
    found = dead(config, tmp_path / "graph")
    assert [detail for _, _, detail in found] == details
    kind = "relation" if details[0].startswith("relation") else "entity"
    assert found[0][:2] == (f"{path.name} line {len(lines)}", f"unknown_{kind}")


def test_rows_of_parquet(tmp_path):
    config = write_parquets(locate(tmp_path), SMALL)
    path = locate(tmp_path / "small.parquet")
    table = pa.table(
        {
            "split": ["train", "train", "trial", None, *["valid", "test"] * 2],
            "head": [0, 99, 0, 0, None, 0, 1, 2],
            "relation": [0, 0, 0, 0, 0, 88, 0, 0],
            "tail": pa.array([1, 1, 1, 1, 1, 1, 0, 1], pa.int16()),
        }
    )
    write_parquet(path, table)
    assert dead(config, tmp_path / "graph") == [
        ("small.parquet row 4", "no_value", "split is null"),
        ("small.parquet row 5", "no_value", "head is null"),
        (
            "small.parquet row 3",
            "unknown_split",
            "split 'trial': expected one of train, valid, validation, dev, test",
        ),
        ("small.parquet row 2", "unknown_entity", "head '99': not in small_entities.parquet"),
        (
            "small.parquet row 6",
            "unknown_relation",
            "relation '88': not in small_relations.parquet",
        ),
    ]


def test_names_of_parquet_that_are_no_utf8(tmp_path):
    raw = pa.array([b"a", b"\xff", b"b", b"c", b"d"]).view(pa.string())
    table = pa.table(
        {
            "split": ["train", "train", "train", "valid", "test"],
            "head": raw,
            "relation": ["r"] * 5,
            "tail": ["a"] * 5,
        }
    )
    write_parquet(locate(tmp_path / "t.parquet"), table)
    config = GraphConfig(layout="parquet", path=f"{tmp_path}/t.parquet")
    detail = r"head b'\xff': not UTF-8 text"
    assert dead(config, tmp_path / "graph") == [("t.parquet row 2", "not_utf8", detail)]


def test_repeated_names_of_a_list(tmp_path):
    config = write_openke(locate(tmp_path), SMALL)
    path = tmp_path / "relation2id.txt"
    path.write_text("4\nis a\t0\neats\t1\nsees\t1\neats\t2\n")
    detail = "an earlier row has this key or name"
    assert dead(config, tmp_path / "graph") == [
        ("relation2id.txt line 4", "duplicate", f"sees: {detail}"),
        ("relation2id.txt line 5", "duplicate", f"eats: {detail}"),
    ]


def repeated(tmp_path, **more) -> GraphConfig:
    """A graph with a duplicate, a validation triple in train and a test triple in validation."""
    config = write_tsv(locate(tmp_path), SMALL)
    added(tmp_path / "train.tsv", "élan\teats\ttree\n".encode())
    added(tmp_path / "valid.tsv", b"wolf\tis a\tanimal\nash tree\tis a\tplant\n")
    return config.model_copy(update=more)


def test_repeated_triples_are_set_aside_in_the_later_place(tmp_path):
    config = repeated(tmp_path)
    assert dead(config, tmp_path / "graph") == [
        ("train.tsv line 7", "duplicate", f"'élan eats tree': also in {tmp_path}/train.tsv line 4"),
        (
            "valid.tsv line 2",
            "in_two_splits",
            f"'wolf is a animal': also in {tmp_path}/train.tsv line 5",
        ),
        (
            "test.tsv line 2",
            "in_two_splits",
            f"'ash tree is a plant': also in {tmp_path}/valid.tsv line 3",
        ),
    ]
    dataset, built = build(config, tmp_path / "graph")
    assert triples_of(load_graph(dataset)) == {
        "train": SMALL["train"],
        "validation": [*SMALL["validation"], ("ash tree", "is a", "plant")],
        "test": SMALL["test"][:1],
    }
    assert built.remarks == [
        f"{tmp_path}: 1 of the validation triples are also in train; set aside (graph.overlap)",
        f"{tmp_path}: 1 of the test triples are also in validation; set aside (graph.overlap)",
    ]
    assert built.notes["set_aside"] == {"duplicate": 1, "in_two_splits": 2}


def test_triples_in_two_splits_can_be_kept(tmp_path):
    dataset, built = build(repeated(tmp_path, overlap="keep"), tmp_path / "graph")
    assert dataset.manifest.dead_letters == 1
    assert triples_of(load_graph(dataset))["test"] == SMALL["test"]
    assert [remark.rpartition("; ")[2] for remark in built.remarks] == ["kept (graph.overlap)"] * 2
    assert [overlap["rows"] for overlap in built.notes["overlaps"]] == [1, 1]


def test_texts_of_nothing(tmp_path):
    config = write_tsv(locate(tmp_path), SMALL)
    write_lines(locate(tmp_path / "entity2text.txt"), [("wolf", "a wolf"), ("bear", "a bear")])
    detail = "entity 'bear': not in any triple"
    assert dead(config, tmp_path / "graph") == [
        ("entity2text.txt line 2", "unknown_entity", detail)
    ]


@pytest.mark.parametrize("layout", ["ikrl", "tsv", "openke", "parquet"])
def test_an_empty_split_is_one_line(tmp_path, layout):
    config = WRITERS[layout](locate(tmp_path), SMALL | {"validation": []})
    message = told(config, tmp_path / "graph")
    assert "the validation split is empty: none of its rows is usable" in message
    assert str(tmp_path) in message


def test_a_split_of_bad_rows_only_says_why(tmp_path):
    config = write_tsv(locate(tmp_path), SMALL)
    (tmp_path / "train.tsv").write_bytes(b"a\tr\n\xff\tr\ta\nb\tr\n")
    message = told(config, tmp_path / "graph")
    assert message.startswith(f"{tmp_path}/train.tsv: the train split is empty")
    assert message.endswith("rows of all files set aside: 1 not_utf8, 2 wrong_fields")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("7\n0 0 0\n", "test2id.txt line 1: the count is 7, but 1 rows follow"),
        ("1\n0 0 0\n1 0 0\n", "test2id.txt line 1: the count is 1, but 2 rows follow"),
        ("0 0 0\n", "test2id.txt line 1: b'0 0 0': expected the number of rows below"),
        ("\n", "test2id.txt: empty; expected the number of its rows in line 1"),
    ],
)
def test_a_wrong_count_is_one_line(tmp_path, change, message):
    config = write_openke(locate(tmp_path), SMALL)
    (tmp_path / "test2id.txt").write_text(change)
    assert message in told(config, tmp_path / "graph")


def test_missing_files_are_one_line(tmp_path):
    out = tmp_path / "graph"
    assert "no such folder" in told(GraphConfig(path=f"{tmp_path}/none"), out)
    config = write_tsv(locate(tmp_path), SMALL)
    (tmp_path / "valid.tsv").rename(tmp_path / "v.tsv")
    assert told(config, out) == (
        f"graph.path {tmp_path}: expected one of valid.tsv, valid.txt, validation.tsv, "
        "validation.txt, dev.tsv, dev.txt with the validation triples, found none"
    )
    for name in ("valid.tsv", "dev.txt"):
        (tmp_path / name).write_text("a\tr\tb\n")
    assert "found valid.tsv and dev.txt" in told(config, out)
    openke = write_openke(locate(tmp_path / "o"), SMALL)
    (tmp_path / "o" / "relation2id.txt").unlink()
    assert told(openke, out) == f"{tmp_path}/o/relation2id.txt: no such file"
    parquet = GraphConfig(layout="parquet", path=f"{tmp_path}/none.parquet")
    assert told(parquet, out) == f"{tmp_path}/none.parquet: no such file"


def test_parquet_of_another_form_is_one_line(tmp_path):
    out, path = tmp_path / "graph", tmp_path / "t.parquet"
    config = GraphConfig(layout="parquet", path=str(path))
    path.write_bytes(b"no parquet")
    assert "not a readable Parquet file" in told(config, out)
    write_parquet(locate(path), pa.table({"split": ["train"], "head": [1], "tail": [2]}))
    assert "no column 'relation'; it has split, head, tail" in told(config, out)
    table = {"split": ["train"], "head": [1.5], "relation": [1], "tail": [2]}
    write_parquet(locate(path), pa.table(table))
    assert "column 'head' is double, expected texts or whole numbers" in told(config, out)


def test_a_list_without_its_columns_is_one_line(tmp_path):
    config = write_parquets(locate(tmp_path), SMALL)
    path = locate(tmp_path / "small_entities.parquet")
    write_parquet(path, pa.table({"id": [1], "synset": ["a"]}))
    message = told(config, tmp_path / "graph")
    assert "no column 'entity'; it has id, synset: say which is the entity" in message
    write_parquet(path, pa.table({"entity": ["a"]}))
    assert "no column 'id'; it has entity" in told(config, tmp_path / "graph")
    named = config.model_copy(update={"columns": {"gloss": "words"}})
    assert "no column 'words'" in told(named, tmp_path / "graph")


def test_a_list_of_pictures_that_name_nothing(tmp_path):
    config = write_ikrl(locate(tmp_path), SMALL)
    (tmp_path / "image_list.txt").write_text("wolf_1\nbear_7\nwolf_2\textra\n")
    assert dead(config, tmp_path / "graph") == [
        ("image_list.txt line 3", "wrong_fields", r"'wolf_2\textra': expected picture"),
        ("image_list.txt line 2", "unknown_entity", "entity 'bear': not in entity2id.txt"),
    ]
