"""Ingest from S3 to S3 over a bad network: the same dataset, and no picture is given up for it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish
from mmkrl.data.ingest import ingest_unit
from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.registry import plan
from mmkrl.errors import UnavailableError
from mmkrl.io.storage import Location, locate
from tests.support.faults import KINDS

pytestmark = pytest.mark.s3

DEMO = Path(__file__).parents[3] / "jobs/demo/emoji-00000.parquet"
ROWS = 210


def shard(rows: list[dict]) -> bytes:
    """A tar in the manner of WebDataset."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number, row in enumerate(rows):
            for ending, data in (("png", row["image"]), ("txt", row["alt"].encode())):
                member = tarfile.TarInfo(f"{number:04d}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


@pytest.fixture
def far(proxy, s3_server, tmp_path) -> Location:
    return locate(f"s3://{s3_server}/{tmp_path.name}")


@pytest.fixture
def config(far) -> IngestConfig:
    """Pictures of the demo as a table, as files and as a shard."""
    table = pq.read_table(DEMO).slice(0, ROWS)
    rows = table.to_pylist()
    third = ROWS // 3
    parquet = io.BytesIO()
    pq.write_table(table.slice(0, third), parquet, row_group_size=20)
    (far / "table/part.parquet").write_bytes(parquet.getvalue())
    captions = []
    for number, row in enumerate(rows[third : 2 * third]):
        (far / f"files/{number}.png").write_bytes(row["image"])
        captions.append(json.dumps({"file": f"{number}.png", "alt": row["alt"]}))
    (far / "files/captions.jsonl").write_bytes("\n".join(captions).encode())
    (far / "shards/0.tar").write_bytes(shard(rows[2 * third :]))
    sources = {"parquet": "table", "folder": "files", "webdataset": "shards"}
    return IngestConfig(
        sources=[
            SourceConfig(path=str(far / folder), format=form, name="web")
            for form, folder in sources.items()
        ],
        unit_rows=30,
    )


def ingest(config: IngestConfig, target: Location) -> Dataset:
    units = plan(config.sources, unit_rows=config.unit_rows)
    records = [ingest_unit(target, number, unit, config) for number, unit in enumerate(units)]
    publish(target, Origin("ingest", "key", {}, {}, ""), records)
    return open_dataset(target)


def test_the_dataset_is_the_same_as_without_faults(proxy, far, config, wait):
    wait(request_s=1.0)
    whole = ingest(config, far / "whole")
    with proxy.breaking(0.25):
        broken = ingest(config, far / "broken")
    assert sum(proxy.seen[kind] for kind in KINDS) >= 50
    assert (broken.manifest.rows_out, broken.manifest.dead_letters) == (ROWS, 0)
    assert broken.digest == whole.digest


def test_an_outage_ends_ingest_and_makes_no_dead_letter(proxy, far, config, wait):
    wait(request_s=1.0, patience_s=0.2)
    first = {unit.source: unit for unit in reversed(plan(config.sources, unit_rows=30))}
    assert len(first) == len(config.sources)
    for number, unit in first.items():
        with proxy.breaking(1.0, "slow_down"), pytest.raises(UnavailableError, match="503"):
            ingest_unit(far / "out", number, unit, config)
    assert list((far / "out").files()) == []
    records = [ingest_unit(far / "out", number, unit, config) for number, unit in first.items()]
    assert [record.dead_letters for record in records] == [0, 0, 0]


def test_a_network_that_fails_within_a_row_group_makes_no_dead_letter(proxy, far, config, wait):
    """The reading of a Parquet file that is open already fails in pyarrow's own threads."""
    wait(request_s=1.0, patience_s=0.2)
    file = pq.ParquetFile((far / "table/part.parquet").open_input())
    with proxy.breaking(1.0, "reset"), pytest.raises(UnavailableError, match="part"):
        file.read_row_group(1)
    assert isinstance(file.read_row_group(1), pa.Table)
