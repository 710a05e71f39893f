"""A unit of any size is several files whose tables belong together; repeated, it is the same."""

from __future__ import annotations

import hashlib
import io
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmkrl.data import writing
from mmkrl.data.dataset import Origin, finished_units, open_dataset, publish
from mmkrl.data.digest import combine, table_digest
from mmkrl.data.schemas import DEAD_LETTERS, IMAGES, TEXTS
from mmkrl.data.writing import UnitWriter
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

ORIGIN = Origin("test", "key", {}, {}, "")


def lot(start: int, stop: int, picture_bytes: int = 1000) -> dict[str, pa.Table]:
    """Pictures of which every other has a text."""
    shared = [{"image_id": f"i{n}", "source": "s", "uri": f"u{n}"} for n in range(start, stop)]
    shape = {"format": "PNG", "width": 1, "height": 1, "license": ""}
    images = [
        {**row, **shape, "image": hashlib.shake_128(row["uri"].encode()).digest(picture_bytes)}
        for row in shared
    ]
    texts = [{**row, "kind": "alt", "text": row["uri"]} for row in shared[::2]]
    return {
        "images": pa.Table.from_pylist(images, IMAGES.arrow),
        "texts": pa.Table.from_pylist(texts, TEXTS.arrow),
        "dead_letters": pa.Table.from_pylist([], DEAD_LETTERS.arrow),
    }


def written(location: Location, lots, unit: int = 3) -> list[str]:
    writer = UnitWriter(location, unit)
    count = 0
    for tables in lots:
        writer.add(tables)
        count += tables["images"].num_rows
    return [entry.path for entry in writer.finish(rows_in=count, rows_out=count).files]


def test_one_part_is_named_after_its_unit(folder):
    assert written(folder, [lot(0, 5)]) == [
        "images/part-000003.parquet",
        "texts/part-000003.parquet",
    ]
    assert written(folder, [], unit=4) == []


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(writing, "PART_BYTES", 10_000)


def test_a_large_unit_is_cut_into_parts(folder, small_parts):
    lots = [lot(n, n + 4) for n in range(0, 20, 4)]  # two of 4 kB fit into a part
    names = [f"part-000003-{k:03d}.parquet" for k in range(3)]
    expected = [f"{table}/{name}" for table in ("images", "texts") for name in names]
    assert written(folder, lots) == expected

    publish(folder, ORIGIN, [finished_units(folder)[3]])
    dataset = open_dataset(folder)
    for table in ("images", "texts"):
        whole = pa.concat_tables([tables[table] for tables in lots])
        assert dataset.table(table).equals(whole)
        digests = [entry.digest for entry in dataset.files(table)]
        assert combine(digests) == table_digest(whole)
    for images, texts in zip(dataset.files("images"), dataset.files("texts"), strict=True):
        assert PurePosixPath(images.path).name == PurePosixPath(texts.path).name
        pictures = dataset.read(images, ["uri"]).column("uri").to_pylist()
        assert set(dataset.read(texts).column("uri").to_pylist()) <= set(pictures)


def test_a_lot_is_a_row_group(tmp_path_location, small_parts):
    written(tmp_path_location, [lot(0, 3), lot(3, 5), lot(5, 20)])
    files = [entry for entry in tmp_path_location.files() if entry.name.startswith("images/")]
    groups = []
    for entry in files:
        metadata = pq.read_metadata(io.BytesIO((tmp_path_location / entry.name).read_bytes()))
        groups.append([metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)])
    assert groups == [[3, 2], [15]]


def test_the_same_lots_give_the_same_bytes(tmp_path_location, small_parts):
    lots = [lot(n, n + 4) for n in range(0, 20, 4)]
    first, second = tmp_path_location / "a", tmp_path_location / "b"
    assert written(first, lots) == written(second, lots)
    for entry in first.files():
        assert (first / entry.name).read_bytes() == (second / entry.name).read_bytes()


def test_a_lot_that_does_not_fit_writes_nothing(tmp_path_location):
    writer = UnitWriter(tmp_path_location, 0)
    with pytest.raises(UserError, match="table 'texts': expected columns"):
        writer.add({**lot(0, 2), "texts": lot(0, 2)["images"]})
    assert not list(tmp_path_location.files())


def test_a_unit_that_loses_rows_has_no_record(tmp_path_location, small_parts):
    writer = UnitWriter(tmp_path_location, 0)
    for start in range(0, 20, 4):
        writer.add(lot(start, start + 4))
    with pytest.raises(UserError, match="21 rows came in, 20 went out and 0 are dead letters"):
        writer.finish(rows_in=21, rows_out=20)
    assert finished_units(tmp_path_location) == {}


@pytest.fixture
def tmp_path_location(tmp_path):
    return Location(str(tmp_path), remote=False)
