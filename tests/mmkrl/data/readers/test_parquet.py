"""Parquet files are read row by row; columns go by role, and damage costs the damaged part."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.records import Record
from mmkrl.data.readers.registry import plan
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import rows, told, write_parquet

COLUMNS = {
    "uri": pa.string(),
    "source": pa.string(),
    "image": pa.binary(),
    "alt": pa.string(),
    "title": pa.string(),
    "keywords": pa.list_(pa.string()),
    "license": pa.string(),
}


def row(**values) -> dict:
    return dict.fromkeys(COLUMNS) | {"uri": "u", "image": b"bytes"} | values


def write_rows(path, rows, **options) -> None:
    table = pa.Table.from_pylist(rows, pa.schema(list(COLUMNS.items())))
    write_parquet(locate(path), table, **options)


def parquet(path, **fields) -> SourceConfig:
    return SourceConfig(path=str(path), format="parquet", **fields)


def test_rows_become_records_a_row_group_at_a_time(folder):
    full = row(source="vendor", alt="a", title="t", keywords=["k", None, "l"], license="MIT")
    write_rows(str(folder / "b.parquet"), [full, row(uri="v"), row(uri=None)], row_group_size=2)
    write_rows(str(folder / "a.parquet"), [row(uri="first")])
    (folder / "notes.txt").write_bytes(b"not read")
    source = parquet(folder, name="crawl")
    assert len(plan([source], unit_rows=1)) == 3
    assert len(plan([source], unit_rows=3)) == 2
    first, second, third, fourth = rows(source)
    texts = (("alt", "a"), ("title", "t"), ("keyword", "k"), ("keyword", "l"))
    assert first == Record("first", "crawl", b"bytes", (), "")
    assert second == Record("u", "vendor", b"bytes", texts, "MIT")
    assert third.uri == "v"
    assert fourth.uri == f"{folder}/b.parquet#1:0"
    assert rows(source, unit_rows=1) == rows(source)


def test_one_file_is_a_source(tmp_path):
    write_rows(tmp_path / "one.parquet", [row()])
    assert [item.uri for item in rows(parquet(tmp_path / "one.parquet"))] == ["u"]


def test_units_are_cut_by_bytes(tmp_path):
    pictures = [row(image=bytes([n]) * 300_000) for n in range(8)]
    write_rows(tmp_path / "a.parquet", pictures, row_group_size=1, use_dictionary=False)
    units = plan([parquet(tmp_path)], unit_rows=100, unit_mb=1)
    assert [(unit.start, unit.stop) for unit in units] == [(0, 3), (3, 6), (6, 8)]


def test_columns_have_other_names(tmp_path):
    table = pa.table(
        {
            "image": ["a.jpg", "b.jpg"],
            "split": pa.array(["train", "dev"]).dictionary_encode(),
            "captions": [["one", "two"], []],
            "title": ["left out", "too"],
            "label": pa.array([3, None], pa.int8()),
            "jpeg": [b"x", b"y"],
        }
    )
    write_parquet(locate(tmp_path / "a.parquet"), table)
    names = {"image": "jpeg", "uri": "image", "caption": "captions", "title": None}
    first, second = rows(parquet(tmp_path, columns=names))
    texts = (("caption", "one"), ("caption", "two"), ("split", "train"), ("label", "3"))
    assert first == Record("a.jpg", "web", b"x", texts, "")
    assert second == Record("b.jpg", "web", b"y", (("split", "dev"),), "")


def test_only_the_image_is_needed(tmp_path):
    write_parquet(locate(tmp_path / "a.parquet"), pa.table({"image": [b"x"]}))
    assert rows(parquet(tmp_path)) == [Record(f"{tmp_path}/a.parquet#0:0", "web", b"x", (), "")]


def test_a_row_without_image_or_with_broken_text_is_unreadable(tmp_path):
    table = pa.Table.from_pylist(
        [row(image=None), row(), row(uri="fine"), row(uri="big", image=b"123456")],
        pa.schema(list(COLUMNS.items())),
    )
    broken = pa.array([b"x", b"\xff", b"y", b"z"]).view(pa.string())
    table = table.set_column(table.schema.get_field_index("alt"), "alt", broken)
    pq.write_table(table, tmp_path / "a.parquet")
    first, second, third, fourth = rows(parquet(tmp_path), max_bytes=5)
    assert (first.uri, first.reason) == ("u", "no_image")
    assert (second.uri, second.reason) == (f"{tmp_path}/a.parquet#0:1", "not_utf8")
    assert third.uri == "fine"
    assert (fourth.uri, fourth.reason) == ("big", "too_many_bytes")


def test_a_damaged_row_group_costs_its_own_rows_only(folder):
    pictures = [row(uri=str(n), image=bytes([n]) * 20_000) for n in range(9)]
    options = {"row_group_size": 3, "use_dictionary": False, "compression": "none"}
    write_rows(str(folder / "a.parquet"), pictures, write_page_checksum=True, **options)
    data = bytearray((folder / "a.parquet").read_bytes())
    data[data.index(bytes([4]) * 100)] ^= 1
    (folder / "a.parquet").write_bytes(bytes(data))
    *first, fault, _, _, _ = found = rows(parquet(folder))
    assert [item.uri for item in found if isinstance(item, Record)] == list("012678")
    assert [item.uri for item in first] == list("012")
    assert (fault.uri, fault.reason) == (f"{folder}/a.parquet#1", "bad_row_group")
    assert fault.detail.startswith("3 of the row group's 3 rows are lost: ")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not really")
    assert told(parquet(tmp_path)).startswith(f"{tmp_path}/a.parquet: not a readable Parquet file")


def test_missing_and_mistyped_columns_are_named_with_the_file(tmp_path):
    path = tmp_path / "sub/a.parquet"
    write_rows(path, [row()])
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["image", "title"]), path)
    assert told(parquet(tmp_path)).startswith(f"{path}: no column ['image']; it has ['uri',")
    pq.write_table(table, path)
    source = parquet(tmp_path, columns={"caption": "words"})
    assert told(source).startswith(f"{path}: no column ['words']; it has")
    image = pa.array([{"bytes": b"x", "path": "p"}])
    pq.write_table(table.set_column(2, "image", image), path)
    assert "column 'image' is struct" in told(parquet(tmp_path))
    pq.write_table(table.set_column(5, "keywords", pa.array(["a, b"])), path)
    assert "column 'keywords' is string, expected list_of_string" in told(parquet(tmp_path))
    pq.write_table(table.set_column(3, "alt", pa.array([["a"]])), path)
    assert [item.texts for item in rows(parquet(tmp_path))] == [(("alt", "a"),)]
    pq.write_table(table.set_column(3, "alt", pa.array([1.5])), path)
    assert "column 'alt' is double, expected string or large_string" in told(parquet(tmp_path))
