"""What img2dataset wrote: tar or Parquet, with what it could not download as dead letters."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.records import Record
from mmkrl.data.readers.registry import listing, plan
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import (
    img2dataset_row,
    png,
    rows,
    tar_bytes,
    told,
    write_img2dataset,
    write_parquet,
)

FAILED = img2dataset_row(1, "failed_to_download", "HTTP Error 404: Not Found")
SHARD = [img2dataset_row(0), FAILED, img2dataset_row(2, robots="noai")]


def crawl(path, **fields) -> SourceConfig:
    return SourceConfig(path=str(path), format="img2dataset", **fields)


def reasons(found) -> list[tuple[str, str]]:
    return [(item.uri, getattr(item, "reason", "")) for item in found]


def test_shards_are_tars_with_a_table_of_all_addresses(folder):
    write_img2dataset(folder / "x", "00000", SHARD)
    write_img2dataset(folder / "x", "00001", [img2dataset_row(3)])
    source = crawl(folder / "x")
    assert len(plan([source], unit_rows=1)) == 2
    assert len(listing([source])) == 4
    first, second, failed, third = rows(source)
    assert first == Record("http://web/0", "web", png(1), (("caption", "words 0"),), "CC0")
    assert second.texts == (("caption", "words 2"), ("robots", "noai"))
    assert (failed.uri, failed.reason) == ("http://web/1", "not_downloaded")
    assert failed.detail == "failed_to_download: HTTP Error 404: Not Found"
    assert third.uri == "http://web/3"


def test_parquet_output_says_the_same(folder):
    write_img2dataset(folder / "tars", "00000", SHARD)
    pictures = [png(1), None, png(3)]
    table = [row | {"jpg": image} for row, image in zip(SHARD, pictures, strict=True)]
    schema = pa.Table.from_pylist([table[2]]).schema  # the last one has all columns
    schema = schema.set(schema.get_field_index("error_message"), pa.field("error_message", "str"))
    write_parquet(folder / "tables/00000.parquet", pa.Table.from_pylist(table, schema))
    one, two = (rows(crawl(folder / name)) for name in ("tars", "tables"))
    assert sorted(map(str, one)) == sorted(map(str, two))
    assert reasons(two)[1] == ("http://web/1", "not_downloaded")


def test_a_damaged_tar_tells_which_samples_are_lost(tmp_path):
    asked = [img2dataset_row(n) for n in range(4)] + [FAILED]
    members = write_img2dataset(locate(tmp_path), "00000", asked)
    data = (tmp_path / "00000.tar").read_bytes()
    (tmp_path / "00000.tar").write_bytes(data[: data.index(members["000000002.jpg"]) + 20])
    assert reasons(rows(crawl(tmp_path))) == [
        ("http://web/0", ""),
        ("http://web/1", ""),
        (f"{tmp_path}/00000.tar", "damaged_tar"),
        ("http://web/2", "not_in_tar"),
        ("http://web/3", "not_in_tar"),
        ("http://web/1", "not_downloaded"),
    ]


def test_a_missing_or_unfinished_part_of_a_shard_is_told(tmp_path):
    write_img2dataset(locate(tmp_path), "00000", SHARD)
    write_img2dataset(locate(tmp_path), "00001", [img2dataset_row(3)])
    write_img2dataset(locate(tmp_path), "00002", [img2dataset_row(4)])
    (tmp_path / "00000.tar").unlink()
    (tmp_path / "00001.parquet").write_bytes(b"cut off")
    (tmp_path / "00002.parquet").unlink()
    assert reasons(rows(crawl(tmp_path))) == [
        (f"{tmp_path}/00000.tar", "no_such_file"),
        ("http://web/0", "not_in_tar"),
        ("http://web/1", "not_downloaded"),
        ("http://web/2", "not_in_tar"),
        ("http://web/3", ""),
        (f"{tmp_path}/00001.parquet", "bad_parquet"),
        ("http://web/4", ""),
    ]


def test_a_table_of_another_program_is_told(tmp_path):
    (tmp_path / "0.tar").write_bytes(tar_bytes({"a.jpg": png()}))
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "0.parquet")
    _, fault = rows(crawl(tmp_path))
    assert fault.detail == "no column ['error_message', 'status', 'url']"
    pq.write_table(pa.table({"jpg": [b"x"]}), tmp_path / "1.parquet")
    assert "no column ['error_message', 'status']; was it written by img2dataset?" in told(
        crawl(tmp_path)
    )
    assert "'img2dataset' needs its output folder" in told(crawl(tmp_path / "0.tar"))
