"""Small crawls for tests: pictures, shards, LMDBs, and reading all of a source."""

from __future__ import annotations

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish
from mmkrl.data.ingest import ingest_unit
from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.records import Record, Unreadable
from mmkrl.data.readers.registry import plan, read
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate


def png(width: int = 4, height: int = 3, colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def tar_bytes(members: dict[str, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tarfile.GNU_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def img2dataset_row(number: int, status: str = "success", message: str | None = None, **more):
    row = {"url": f"http://web/{number}", "key": f"{number:09d}", "caption": f"words {number}"}
    return row | {"status": status, "error_message": message, "license": "CC0"} | more


def write_img2dataset(folder: Location, shard: str, rows: list[dict]) -> dict[str, bytes]:
    """A shard as img2dataset writes it: tar, Parquet and statistics; gives the tar's members."""
    members = {}
    for number, row in enumerate(rows):
        if row["status"] == "success":
            members[f"{row['key']}.jpg"] = png(number + 1)
            members[f"{row['key']}.txt"] = row["caption"].encode()
            members[f"{row['key']}.json"] = json.dumps(row, indent=4).encode()
    (folder / f"{shard}.tar").write_bytes(tar_bytes(members))
    write_parquet(folder / f"{shard}.parquet", pa.Table.from_pylist(rows))
    (folder / f"{shard}_stats.json").write_bytes(b"{}")
    return members


def write_parquet(location: Location, table: pa.Table, **options) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    location.write_bytes(sink.getvalue())


def rows(*sources: SourceConfig, unit_rows: int = 100, unit_mb: int = 64, **options):
    """Everything that is read from sources."""
    units = plan(list(sources), unit_rows=unit_rows, unit_mb=unit_mb)
    found: list[Record | Unreadable] = []
    for unit in units:
        found += read(unit, sources[unit.source], **options)
    return found


def told(*sources: SourceConfig) -> str:
    """What a user is told of sources that cannot be read."""
    with pytest.raises(UserError) as caught:
        rows(*sources)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def ingest(config: IngestConfig, out) -> Dataset:
    """The corpus of sources."""
    location = locate(out)
    units = plan(config.sources, unit_rows=config.unit_rows, unit_mb=config.unit_mb)
    records = [ingest_unit(location, n, unit, config) for n, unit in enumerate(units)]
    publish(location, Origin("ingest", "key", {}, {}, ""), records)
    return open_dataset(location)
