"""Every row of a source becomes an image or a dead letter with a reason."""

from __future__ import annotations

import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

from mmkrl.data.config import IngestConfig
from mmkrl.data.digest import content_id
from mmkrl.data.readers.config import SourceConfig
from tests.mmkrl.data.crawls import ingest, png


def bomb(side: int) -> bytes:
    """A small PNG with the width and height of its header replaced."""
    data = png()
    header = data[12:16] + struct.pack(">II", side, side) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def test_a_folder_of_good_and_bad_files(tmp_path):
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    bad = {
        "zero.jpg": (b"", "empty"),
        "text.png": (b"<html>not found</html>", "not_an_image"),
        "bomb.png": (bomb(20_000), "too_many_pixels"),
        "large.png": (png() + bytes(2000), "too_many_bytes"),
    }
    for name, (data, _) in bad.items():
        (crawl / name).write_bytes(data)
    (crawl / "good.png").write_bytes(png())
    (crawl / "twin.png").write_bytes(png())
    captions = '{"file": "good.png", "alt": "a cat"}\n{"file": "zero.jpg", "alt": "a dog"}\n'
    (crawl / "captions.jsonl").write_text(captions)
    source = SourceConfig(path=str(crawl), format="folder", name="crawl")
    config = IngestConfig(sources=[source], unit_rows=4, max_bytes=1000)

    dataset = ingest(config, tmp_path / "out")

    manifest = dataset.manifest
    assert (manifest.rows_in, manifest.rows_out, manifest.dead_letters) == (6, 2, 4)
    reasons = {row["record"]: row["reason"] for row in dataset.table("dead_letters").to_pylist()}
    assert reasons == {str(crawl / name): reason for name, (_, reason) in bad.items()}
    first, second = dataset.table("images").to_pylist()
    assert first["image_id"] == second["image_id"] == content_id(png())
    assert (first["format"], first["width"], first["height"]) == ("PNG", 4, 3)
    assert first["image"] == png()
    assert dataset.table("texts").to_pylist() == [
        {
            "image_id": first["image_id"],
            "source": "crawl",
            "uri": str(crawl / "good.png"),
            "kind": "alt",
            "text": "a cat",
        }
    ]


def test_null_images_of_a_parquet_source_are_dead_letters(tmp_path):
    columns = {
        "uri": ["a", "b", None],
        "source": ["s"] * 3,
        "image": pa.array([png(), None, None], pa.binary()),
        "alt": ["x"] * 3,
        "title": pa.nulls(3),
        "keywords": pa.nulls(3),
        "license": pa.nulls(3),
    }
    path = tmp_path / "crawl.parquet"
    pq.write_table(pa.table(columns), path)
    config = IngestConfig(sources=[SourceConfig(path=str(path), format="parquet")])
    dataset = ingest(config, tmp_path / "out")
    assert (dataset.manifest.rows_in, dataset.manifest.rows_out) == (3, 1)
    dead = [(row["record"], row["reason"]) for row in dataset.table("dead_letters").to_pylist()]
    assert dead == [("b", "no_image"), (f"{path}#0:2", "no_image")]


def test_units_of_any_size_give_the_same_corpus(tmp_path):
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    for n in range(7):
        (crawl / f"{n}.png").write_bytes(png(n, 2) if n else b"broken")
    source = SourceConfig(path=str(crawl), format="folder")
    digests = {
        ingest(IngestConfig(sources=[source], unit_rows=n), tmp_path / f"out{n}").digest
        for n in (1, 3, 100)
    }
    assert len(digests) == 1
