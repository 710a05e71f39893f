"""What a crawl left on disk is read row by row; a wrong source is told before work starts."""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmkrl.data.readers import Record, SourceConfig, Unreadable, listing, plan, read
from mmkrl.errors import UserError

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


def write_parquet(path, rows, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(COLUMNS.items()))), path, **options)


def parquet(path, **fields) -> SourceConfig:
    return SourceConfig(path=str(path), format="parquet", **fields)


def files(path, **fields) -> SourceConfig:
    return SourceConfig(path=str(path), format="folder", **fields)


def rows(*sources, unit_rows=100) -> list[Record | Unreadable]:
    units = plan(list(sources), unit_rows=unit_rows)
    return [item for unit in units for item in read(unit, sources[unit.source])]


def told(*sources) -> str:
    with pytest.raises(UserError) as caught:
        plan(list(sources), unit_rows=10)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_parquet_rows_become_records_a_row_group_at_a_time(tmp_path):
    full = row(source="vendor", alt="a", title="t", keywords=["k", None, "l"], license="MIT")
    write_parquet(tmp_path / "b.parquet", [full, row(uri="v"), row(uri=None)], row_group_size=2)
    write_parquet(tmp_path / "a.parquet", [row(uri="first")])
    (tmp_path / "notes.txt").write_text("not read")
    source = parquet(tmp_path, name="crawl")
    assert len(plan([source], unit_rows=1)) == 3
    first, second, third, fourth = rows(source)
    texts = (("alt", "a"), ("title", "t"), ("keyword", "k"), ("keyword", "l"))
    assert first == Record("first", "crawl", b"bytes", (), "")
    assert second == Record("u", "vendor", b"bytes", texts, "MIT")
    assert third.uri == "v"
    assert fourth.uri == f"{tmp_path}/b.parquet#1:0"


def test_one_parquet_file_is_a_source(tmp_path):
    write_parquet(tmp_path / "one.parquet", [row()])
    assert [item.uri for item in rows(parquet(tmp_path / "one.parquet"))] == ["u"]


def test_a_row_without_image_or_with_broken_text_is_unreadable(tmp_path):
    table = pa.Table.from_pylist(
        [row(image=None), row(), row(uri="fine")], pa.schema(list(COLUMNS.items()))
    )
    broken = pa.array([b"x", b"\xff", b"y"]).view(pa.string())
    table = table.set_column(table.schema.get_field_index("alt"), "alt", broken)
    pq.write_table(table, tmp_path / "a.parquet")
    first, second, third = rows(parquet(tmp_path))
    assert (first.uri, first.reason) == ("u", "no_image")
    assert (second.uri, second.reason) == (f"{tmp_path}/a.parquet#0:1", "not_utf8")
    assert third.uri == "fine"


def test_folder_files_are_read_in_order_with_their_captions(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.png", "sub/c.png"):
        (tmp_path / name).write_bytes(name.encode())
    lines = [
        {"file": "sub/c.png", "alt": "one\u2028two", "keywords": ["k"], "source": "s"},
        {"file": "a.png", "title": "cut off \ud83d", "license": None},
    ]
    text = "\n\n".join(json.dumps(line, ensure_ascii="cut" in str(line)) for line in lines)
    (tmp_path / "captions.jsonl").write_text(text + "\n", encoding="utf-8")
    items = rows(files(tmp_path, name="crawl"), unit_rows=2)
    assert items == [
        Record(f"{tmp_path}/a.png", "crawl", b"a.png", (("title", "cut off \ufffd"),), ""),
        Record(f"{tmp_path}/b.png", "crawl", b"b.png", (), ""),
        Record(
            f"{tmp_path}/sub/c.png",
            "s",
            b"sub/c.png",
            (("alt", "one\u2028two"), ("keyword", "k")),
            "",
        ),
    ]


def test_a_file_that_vanishes_is_unreadable_and_shifts_no_other(tmp_path):
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode())
    source = files(tmp_path)
    units = plan([source], unit_rows=2)
    (tmp_path / "a").unlink()
    first, *others = [item for unit in units for item in read(unit, source)]
    assert isinstance(first, Unreadable)
    assert first.reason == "io"
    assert [item.image for item in others] == [b"b", b"c", b"d"]


def test_sources_that_hold_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    write_parquet(tmp_path / "rowless/a.parquet", [])
    assert "no such file or folder" in told(parquet(tmp_path / "absent"))
    assert "no such file or folder" in told(files(tmp_path / "absent"))
    assert "no .parquet files" in told(parquet(tmp_path / "empty"))
    assert "no files in this folder" in told(files(tmp_path / "empty"))
    assert "needs a folder" in told(files(tmp_path / "file"))
    assert "have no rows" in told(parquet(tmp_path / "rowless"))
    assert "ingest.sources is empty" in told()


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not really")
    assert told(parquet(tmp_path)).startswith(f"{tmp_path}/a.parquet: not a readable Parquet file")


def test_missing_and_mistyped_columns_are_named_with_the_file(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, [row()])
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["alt", "title"]), path)
    assert told(parquet(tmp_path)).startswith(f"{path}: no column ['alt', 'title']; expected")
    image = pa.array([{"bytes": b"x", "path": "p"}])
    pq.write_table(table.set_column(2, "image", image), path)
    assert "column 'image' is struct" in told(parquet(tmp_path))
    pq.write_table(table.set_column(5, "keywords", pa.array(["a, b"])), path)
    assert "column 'keywords' is string, expected list" in told(parquet(tmp_path))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{file: a}", "not JSON"),
        ("[1]", "expected a JSON object with 'file'"),
        ('"file"', "expected a JSON object with 'file'"),
        ('{"alt": "x"}', "expected a JSON object with 'file'"),
        ('{"file": "a", "caption": "x"}', "unknown keys ['caption']; valid: ['alt', 'file',"),
        ('{"file": 1}', "file = 1: expected a text"),
        ('{"file": "a", "alt": 3}', "alt = 3: expected a text"),
        ('{"file": "a", "keywords": "b"}', "keywords = 'b': expected a list of texts"),
        ('{"file": "a", "keywords": [1]}', "keywords = [1]: expected a list of texts"),
    ],
)
def test_a_bad_caption_is_named_with_its_line(tmp_path, line, fault):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "captions.jsonl").write_text('{"file": "a"}\n' + line)
    assert told(files(tmp_path)).startswith(f"{tmp_path}/captions.jsonl line 2: {fault}")


def test_the_listing_is_the_content_wherever_and_whenever_it_was_written(tmp_path):
    for folder, uri in (("here", "a"), ("there", "a"), ("changed", "b")):
        (tmp_path / folder).mkdir()
        write_parquet(tmp_path / folder / "one.parquet", [row(uri=uri)])
    os.utime(tmp_path / "there" / "one.parquet", ns=(1, 1))
    (tmp_path / "there" / "README.md").write_text("not read, so not part of the input")
    here, there, changed = (
        listing([parquet(tmp_path / folder)]) for folder in ("here", "there", "changed")
    )
    assert here == there == listing([parquet(tmp_path / "here" / "one.parquet")])
    assert changed != here


def test_the_listing_of_large_sources_goes_by_time(tmp_path, monkeypatch):
    monkeypatch.setattr("mmkrl.data.readers._HASHED_BYTES", 0)
    path = tmp_path / "one.parquet"
    write_parquet(path, [row()])
    before = listing([parquet(path)])
    os.utime(path, ns=(1, 1))
    assert listing([parquet(path)]) != before


def test_sources_in_s3(folder):
    sink = pa.BufferOutputStream()
    write_to = pa.Table.from_pylist([row()], pa.schema(list(COLUMNS.items())))
    pq.write_table(write_to, sink)
    (folder / "table/a.parquet").write_bytes(sink.getvalue())
    (folder / "files/a.png").write_bytes(b"x")
    sources = [
        SourceConfig(path=str(folder / "table"), format="parquet"),
        SourceConfig(path=str(folder / "files"), format="folder"),
    ]
    assert [item.uri for item in rows(*sources)] == ["u", str(folder / "files/a.png")]
