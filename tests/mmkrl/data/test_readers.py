"""All formats share a registry, a plan, an identity of the input and a configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from mmkrl.config import check
from mmkrl.data.config import IngestConfig
from mmkrl.data.readers.config import READERS, SourceConfig
from mmkrl.data.readers.reader import Reader
from mmkrl.data.readers.records import Record, UnitSize, Unreadable, record
from mmkrl.data.readers.registry import listing
from mmkrl.errors import UsageError
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import rows, told, write_parquet


def parquet(path) -> SourceConfig:
    return SourceConfig(path=str(path), format="parquet")


def files(path) -> SourceConfig:
    return SourceConfig(path=str(path), format="folder")


def write_row(path, uri: str) -> None:
    write_parquet(locate(path), pa.table({"uri": [uri], "image": [b"x"]}))


def test_every_built_in_reader_can_be_imported():
    assert all(issubclass(READERS.get(name), Reader) for name in READERS.names())


def test_sources_that_hold_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    none = pa.table({"image": pa.array([], pa.binary())})
    write_parquet(locate(tmp_path / "rowless/a.parquet"), none)
    assert "no such file or folder" in told(parquet(tmp_path / "absent"))
    assert "no such file or folder" in told(files(tmp_path / "absent"))
    assert "no .parquet files" in told(parquet(tmp_path / "empty"))
    assert "no files in this folder" in told(files(tmp_path / "empty"))
    assert "needs a folder" in told(files(tmp_path / "file"))
    assert "have no rows" in told(parquet(tmp_path / "rowless"))
    assert "ingest.sources is empty" in told()


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"format": "coco"}, "format 'coco' needs images: the folder of the pictures"),
        ({"format": "lmdb", "images": "x"}, "images is for coco, flickr, karpathy, not for 'lmdb'"),
        (
            {"format": "folder", "columns": {"alt": "x"}},
            "columns is for img2dataset, parquet, webdataset, not",
        ),
        ({"format": "parquet", "columns": {"captions": "x"}}, "ingest.sources.0.columns.captions"),
        ({"format": "tfrecord"}, "no reader is called 'tfrecord'; known: "),
    ],
)
def test_a_source_that_does_not_fit_its_format_is_told(source, fault):
    with pytest.raises(UsageError) as caught:
        check({"sources": [{"path": "p", **source}]}, IngestConfig)
    assert fault.removeprefix("ingest.") in str(caught.value)


def test_the_documented_sources_are_valid():
    text = (Path(__file__).parents[3] / "docs/platform.md").read_text()
    section = text.partition("## Reading your crawl")[2].partition("\n## ")[0]
    example = yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0])
    sources = check(example["ingest"], IngestConfig).sources
    assert {source.format for source in sources} == {*READERS.names()}
    for name in READERS.names():
        assert f"`{name}`" in section


def test_the_listing_is_the_content_wherever_and_whenever_it_was_written(tmp_path):
    for folder, uri in (("here", "a"), ("there", "a"), ("changed", "b")):
        write_row(tmp_path / folder / "one.parquet", uri)
    os.utime(tmp_path / "there" / "one.parquet", ns=(1, 1))
    (tmp_path / "there" / "README.md").write_text("not read, so not part of the input")
    here, there, changed = (
        listing([parquet(tmp_path / folder)]) for folder in ("here", "there", "changed")
    )
    assert here == there == listing([parquet(tmp_path / "here" / "one.parquet")])
    assert changed != here


def test_the_listing_of_large_sources_goes_by_time(tmp_path, monkeypatch):
    monkeypatch.setattr("mmkrl.data.readers.registry._HASHED_BYTES", 0)
    path = tmp_path / "one.parquet"
    write_row(path, "a")
    before = listing([parquet(path)])
    os.utime(path, ns=(1, 1))
    assert listing([parquet(path)]) != before


def test_sources_of_several_formats(folder):
    write_row(str(folder / "table/a.parquet"), "u")
    (folder / "files/a.png").write_bytes(b"x")
    sources = [parquet(folder / "table"), files(folder / "files")]
    assert [item.uri for item in rows(*sources)] == ["u", str(folder / "files/a.png")]
    assert len(listing(sources)) == 2


@pytest.mark.parametrize(
    ("parts", "ranges"),
    [
        ([], []),
        ([(9, 999)], [(0, 1)]),
        ([(1, 1)] * 7, [(0, 3), (3, 6), (6, 7)]),
        ([(2, 1), (1, 1), (1, 1)], [(0, 2), (2, 3)]),
        ([(1, 60), (1, 40), (1, 1), (1, 999), (1, 0)], [(0, 2), (2, 3), (3, 4), (4, 5)]),
    ],
)
def test_a_unit_is_as_large_as_rows_and_bytes_allow(parts, ranges):
    assert list(UnitSize(rows=3, bytes=100).ranges(parts)) == ranges


def test_a_record_takes_texts_numbers_and_lists():
    values = {"caption": ["a", None, ""], "label": 7, "alt": "cut \ud83d", "uri": None, "more": {}}
    source = SourceConfig(path="p", format="parquet", name="s")
    captions = (("caption", "a"), ("caption", ""))  # the empty one is kept to be counted
    texts = (("alt", "cut \ufffd"), *captions, ("label", "7"))
    assert record("u\udcff", b"x", values, source) == Record("u\ufffd", "s", b"x", texts, "")


@pytest.mark.parametrize(
    ("role", "value"), [("caption", {"en": "x"}), ("caption", [["x"]]), ("uri", 3), ("source", [])]
)
def test_a_record_with_other_values_is_unreadable(role, value):
    found = record("u", b"x", {role: value}, SourceConfig(path="p", format="parquet"))
    assert found == Unreadable("u", "bad_metadata", f"{role} = {str(value)!r}: expected a text")
