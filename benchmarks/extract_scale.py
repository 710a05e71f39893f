"""Extraction of a corpus and of one ten times as large: the same rate, the same memory.

``python -m benchmarks.extract_scale [--quick]`` needs MMKRL_DATA. The larger corpus is the smaller
one repeated, each copy under bytes of its own. Memory is what the job and all its processes hold
at the worst moment beside the shared object store.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.extract import ingest
from benchmarks.line import Line
from cluster.config import ClusterConfig, ExtractionResources
from cluster.decoding import plan_units
from cluster.extraction import extract, workers
from cluster.session import private_mb, session
from mmkrl.data.dataset import Dataset
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.report import extraction_metrics
from mmkrl.io.storage import locate

COPIES = 10
QUICK_ROWS = 512
_BACKBONE = "efficientnet_lite0"
_BETWEEN_SAMPLES_S = 0.5


class PeakMemory:
    """The most memory that this process and its children held, sampled while it is entered."""

    def __init__(self) -> None:
        self.mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_BETWEEN_SAMPLES_S):
            self.mb = max(self.mb, private_mb())


def photos(rows: int | None) -> Iterator[pa.Table]:
    """The pictures of Flickr8k, at most so many, a file at a time."""
    left = rows or sys.maxsize
    for path in sorted(Path(os.environ["MMKRL_DATA"], "flickr8k").glob("*.parquet")):
        table = pq.read_table(path, columns=["jpeg"]).slice(0, left)
        left -= table.num_rows
        if table.num_rows:
            yield table


def repeat(folder: Path, copies: int, rows: int | None) -> None:
    """A Parquet file with every picture so many times; decoders ignore what follows a JPEG."""
    folder.mkdir()
    schema = pa.schema([("image", pa.binary()), ("uri", pa.string())])
    with pq.ParquetWriter(folder / "photos.parquet", schema) as writer:
        for copy in range(copies):
            for part, table in enumerate(photos(rows)):
                mark = copy.to_bytes(4, "big")
                images = [picture + mark for picture in table["jpeg"].to_pylist()]
                names = [f"{copy}/{part}/{i}" for i in range(len(images))]
                writer.write_table(pa.table([images, names], schema), row_group_size=256)


def measure(folder: Path, corpus: Dataset) -> tuple[float, float]:
    """Images per second, and the most memory in MiB."""
    config = ExtractConfig(backbones=(_BACKBONE,))
    planned = plan_units(corpus, config.unit_rows)
    began = time.time()
    with PeakMemory() as peak:
        units, _ = extract(locate(folder), planned, config, ExtractionResources())
    figures = extraction_metrics(locate(folder), units, began, workers(ExtractionResources()))
    return figures["images_per_s"], peak.mb


def spilled_bytes() -> int:
    """What the object store of the embedded Ray has written to disk."""
    temporary = os.environ.get("RAY_TMPDIR", tempfile.gettempdir())
    folder = Path(temporary, "ray", "session_latest")
    return sum(p.stat().st_size for p in folder.glob("ray_spilled_objects*/*") if p.is_file())


def main(quick: bool) -> None:
    """One copy, then ten."""
    cores = os.cpu_count() or 1
    rows = QUICK_ROWS if quick else None
    found = {}
    for copies in (1, COPIES):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            repeat(folder / "photos", copies, rows)
            with session(ClusterConfig()):
                source = folder / "photos"
                corpus = ingest(locate(folder / "corpus"), "photos", str(source), "image")
                found[copies] = (*measure(folder / "features", corpus), spilled_bytes())
                images = corpus.rows("images")
    note = f"{images} photos beside a tenth of them, {_BACKBONE}, 224 px; spilled: " + ", ".join(
        f"{copies} x {spilled} bytes" for copies, (_, _, spilled) in found.items()
    )
    for place, unit in enumerate(("images/s", "MiB, all processes")):
        large, small = found[COPIES][place], found[1][place]
        case = f"{COPIES} times as many photos"
        Line("extract scale", case, unit, large, "one copy", small, None, cores, note).show()


if __name__ == "__main__":
    main("--quick" in sys.argv)
