"""Public data sets are ingested by configuration alone, row for row."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mmkrl.data.config import IngestConfig
from mmkrl.data.digest import content_id
from mmkrl.data.readers.config import SourceConfig
from tests.mmkrl.data.crawls import ingest


def folder(name: str) -> Path:
    path = Path(os.environ.get("MMKRL_DATA", "")) / name
    if "MMKRL_DATA" not in os.environ or not path.is_dir():
        pytest.skip(f"no {name}: set MMKRL_DATA")
    return path


def kinds(dataset) -> Counter[str]:
    return Counter(dataset.table("texts", ["kind"]).column("kind").to_pylist())


def test_flickr8k(tmp_path):
    path = folder("flickr8k")
    names = {"image": "jpeg", "uri": "image", "caption": "captions"}
    source = SourceConfig(path=str(path), format="parquet", name="flickr", columns=names)
    dataset = ingest(IngestConfig(sources=[source]), tmp_path)
    assert (dataset.manifest.rows_in, dataset.manifest.rows_out) == (8091, 8091)
    assert kinds(dataset) == {"caption": 40455, "split": 8091}
    given = pq.read_table(path, columns=["image", "split", "captions"])
    texts = dataset.table("texts")
    captions = texts.filter(pc.field("kind") == "caption").column("text").to_pylist()
    assert captions == given.column("captions").combine_chunks().flatten().to_pylist()
    split = texts.filter(pc.field("kind") == "split")
    assert split.column("text").to_pylist() == given.column("split").to_pylist()
    assert split.column("uri").to_pylist() == given.column("image").to_pylist()
    jpegs = pq.read_table(path, columns=["jpeg"]).column("jpeg").to_pylist()
    ids = dataset.table("images", ["image_id"]).column("image_id").to_pylist()
    assert ids == [content_id(jpeg) for jpeg in jpegs]


def test_corel1k(tmp_path):
    names = {"image": "jpeg", "label": "label_name"}
    source = SourceConfig(path=str(folder("corel1k")), format="parquet", columns=names)
    dataset = ingest(IngestConfig(sources=[source], unit_mb=1), tmp_path)
    assert (dataset.manifest.rows_in, dataset.manifest.rows_out) == (1000, 1000)
    labels = Counter(dataset.table("texts").column("text").to_pylist())
    assert set(labels.values()) == {100}
    assert len(labels) == 10
