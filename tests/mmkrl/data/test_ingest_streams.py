"""However a source is cut, the corpus is the same; however large it is, memory is not."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import lmdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmkrl.data import ingest as ingesting
from mmkrl.data import writing
from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Dataset
from mmkrl.data.digest import content_id
from mmkrl.data.readers.config import READERS, SourceConfig
from mmkrl.data.readers.datum import datum_class
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import (
    img2dataset_row,
    ingest,
    png,
    tar_bytes,
    write_img2dataset,
    write_parquet,
)

COUNT = 23


def pictures() -> list[bytes]:
    """Pictures of about 100 kB; one is broken."""
    padding = [hashlib.shake_128(bytes([n])).digest(100_000) for n in range(COUNT)]
    return [png(n + 1) + more for n, more in enumerate(padding[1:])] + [b"broken"]


def write_folder(folder: Path) -> None:
    for number, data in enumerate(pictures()):
        (folder / f"{number:02d}.png").write_bytes(data)
    lines = (json.dumps({"file": f"{n:02d}.png", "alt": f"a {n}"}) for n in range(COUNT + 2))
    (folder / "captions.jsonl").write_text("\n".join(lines))


def write_table(folder: Path) -> None:
    table = pa.table({"image": pictures(), "caption": [[f"c {n}", "x"] for n in range(COUNT)]})
    write_parquet(locate(folder / "a.parquet"), table, row_group_size=2)


def write_tars(folder: Path) -> None:
    members = {}
    for number, data in enumerate(pictures()):
        members |= {f"{number:02d}.png": data, f"{number:02d}.txt": b"words"}
    (folder / "0.tar").write_bytes(tar_bytes(members))


def write_shards(folder: Path) -> None:
    asked = [img2dataset_row(n) for n in range(COUNT)]
    asked[3] = img2dataset_row(3, "failed_to_resize", "too small")
    write_img2dataset(locate(folder), "0", asked)


def write_lmdb(folder: Path) -> None:
    with lmdb.open(str(folder), map_size=1 << 26) as env, env.begin(write=True) as transaction:
        for number, data in enumerate(pictures()):
            datum = datum_class()(data=data, encoded=True, float_data=[number, 0.5])
            transaction.put(f"{number:02d}".encode(), datum.SerializeToString())


def write_coco(folder: Path) -> None:
    images = [{"id": n, "file_name": f"{n:02d}.png"} for n in range(COUNT + 1)]
    notes = [{"image_id": n // 2, "caption": f"c {n}"} for n in range(2 * COUNT)]
    (folder / "notes").write_text(json.dumps({"images": images, "annotations": notes}))


def write_karpathy(folder: Path) -> None:
    images = [
        {"filename": f"{n:02d}.png", "split": "val", "sentences": [{"raw": f"c {n}"}]}
        for n in range(COUNT)
    ]
    (folder / "notes").write_text(json.dumps({"images": images}))


def write_flickr(folder: Path) -> None:
    (folder / "notes").write_text("".join(f"{n:02d}.png#0\tc {n}\n" for n in range(COUNT)))


CRAWLS: dict[str, Callable[[Path], None]] = {
    "folder": write_folder,
    "parquet": write_table,
    "webdataset": write_tars,
    "img2dataset": write_shards,
    "lmdb": write_lmdb,
    "coco": write_coco,
    "karpathy": write_karpathy,
    "flickr": write_flickr,
}


@pytest.fixture(params=READERS.names())
def source(request, tmp_path) -> SourceConfig:
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    CRAWLS[request.param](crawl)
    if request.param not in {"coco", "karpathy", "flickr"}:
        return SourceConfig(path=str(crawl), format=request.param)
    (tmp_path / "pictures").mkdir()
    write_folder(tmp_path / "pictures")
    notes, images = str(crawl / "notes"), str(tmp_path / "pictures")
    return SourceConfig(path=notes, format=request.param, images=images)


def content(dataset: Dataset) -> dict[str, str]:
    return {name: entry.digest for name, entry in dataset.manifest.tables.items()}


def files(dataset: Dataset) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in dataset.manifest.files}


def test_streamed_is_whole(source, tmp_path, monkeypatch):
    whole = ingest(IngestConfig(sources=[source]), tmp_path / "whole")
    assert whole.manifest.rows_out > 15
    assert whole.manifest.dead_letters > 0
    rows_in = whole.manifest.rows_in
    assert rows_in == whole.manifest.rows_out + whole.manifest.dead_letters
    for number, cut in enumerate(({"unit_mb": 1}, {"unit_rows": 1}, {"unit_rows": 5})):
        config = IngestConfig(sources=[source], **cut)
        assert content(ingest(config, tmp_path / f"cut{number}")) == content(whole)
    monkeypatch.setattr(ingesting, "_BATCH_BYTES", 300_000)
    monkeypatch.setattr(writing, "PART_BYTES", 1_000_000)
    parts = ingest(IngestConfig(sources=[source]), tmp_path / "parts")
    assert content(parts) == content(whole)
    assert parts.digest == whole.digest
    again = ingest(IngestConfig(sources=[source]), tmp_path / "again")
    assert files(again) == files(parts)


def test_row_groups_hold_little(tmp_path):
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    for number in range(270):
        (crawl / f"{number:03d}.png").write_bytes(png(number + 1, 1))
    large = png() + bytes(5 << 20)
    for number in range(3):
        (crawl / f"x{number}.png").write_bytes(large)
    source = SourceConfig(path=str(crawl), format="folder")
    dataset = ingest(IngestConfig(sources=[source]), tmp_path / "out")
    (entry,) = dataset.files("images")
    metadata = pq.read_metadata(BytesIO(dataset.read_bytes(entry)))
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [256, 15, 1, 1]


def test_targets_are_a_table_of_their_own(tmp_path):
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    write_lmdb(crawl)
    source = SourceConfig(path=str(crawl), format="lmdb")
    dataset = ingest(IngestConfig(sources=[source]), tmp_path / "out")
    rows = dataset.table("targets").to_pylist()
    assert [row["vector"] for row in rows] == [[n, 0.5] for n in range(COUNT - 1)]
    assert rows[0]["name"] == "float_data"
    assert rows[5]["image_id"] == content_id(pictures()[5])


PEAK = """
import sys
from pathlib import Path
from mmkrl.data.config import IngestConfig
from mmkrl.data.ingest import ingest_unit
from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.registry import plan
from mmkrl.io.storage import locate

def memory_mb(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024

out = locate(sys.argv[2])
def ingest(path, number):
    config = IngestConfig(sources=[SourceConfig(path=path, format="webdataset")])
    (unit,) = plan(config.sources, unit_rows=1)
    return ingest_unit(out, number, unit, config)

ingest(sys.argv[1] + "/small.tar", 0)
before = memory_mb("VmRSS")
record = ingest(sys.argv[1] + "/large.tar", 1)
parts = sum(entry.table == "images" for entry in record.files)
print(record.rows_out, parts, memory_mb("VmHWM") - before)
"""


def write_large_tar(path: Path, count: int) -> None:
    """Pictures of 100 kB, all different."""
    random = hashlib.shake_128(b"pictures").digest(100_000)
    head = png()
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(count):
            data = head + number.to_bytes(4, "little") + random
            info = tarfile.TarInfo(f"{number:06d}.png")
            info.size = len(data)
            tar.addfile(info, BytesIO(data))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_a_large_tar_takes_little_memory(tmp_path):
    write_large_tar(tmp_path / "small.tar", 10)
    write_large_tar(tmp_path / "large.tar", 3200)
    command = [sys.executable, "-c", PEAK, str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, parts, peak_mb = done.stdout.split()
    assert (int(rows), int(parts)) == (3200, 5)
    assert float(peak_mb) < 250, f"{peak_mb} MB above the start"
