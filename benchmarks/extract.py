"""Extraction end to end, beside plain and tuned loops and the machine's limit.

``python -m benchmarks.extract [--quick]`` needs MMKRL_DATA. The limit is the pipeline of
1 / (1 / forward + 1 / decode) on every core, with the fastest forward pass whose vectors agree
with float32 torch. Ours is measured from the first inferred picture to the last written one; what
comes before is the start-up, told in a line of its own.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.extract_loops import LOOPS, measure, weights_of
from benchmarks.line import Line
from cluster.config import ClusterConfig, ExtractionResources
from cluster.decoding import plan_units
from cluster.extraction import extract, workers
from cluster.session import session
from cluster.units import run_units
from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish
from mmkrl.data.ingest import ingest_unit
from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.registry import plan
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.report import extraction_metrics
from mmkrl.io.storage import Location, locate

CORPORA = {"flickr8k": 8091, "corel1k": 1000}
QUICK_ROWS = 2048


def ingest(place: Location, name: str, path: str, column: str) -> Dataset:
    """Pictures in a column of Parquet files as a corpus."""
    source = SourceConfig(path=path, format="parquet", columns={"image": column})
    config = IngestConfig(sources=[source])
    units = run_units(
        place,
        plan([source], unit_rows=config.unit_rows, unit_mb=config.unit_mb),
        lambda number, unit: ingest_unit(place, number, unit, config),
        label=f"ingest {name}",
    )
    publish(place, Origin("ingest", "benchmark", {}, {}, ""), units)
    return open_dataset(place)


def ours(folder: Path, corpus: Dataset, backbone: str, rows: int) -> tuple[float, float, float]:
    """Images per second, seconds of start-up, and the largest private memory of a worker."""
    config = ExtractConfig(backbones=(backbone,), weights=weights_of(backbone))
    planned = plan_units(corpus, config.unit_rows)
    enough = [u for i, u in enumerate(planned) if sum(v.stop - v.start for v in planned[:i]) < rows]
    began = time.time()
    units, choices = extract(locate(folder), enough, config, ExtractionResources())
    print(f"{backbone}: {choices}", file=sys.stderr)
    figures = extraction_metrics(locate(folder), units, began, workers(ExtractionResources()))
    memory = figures["peak_infer_mb"] + figures["peak_decode_mb"]
    return figures["images_per_s"], figures["start_up_s"], memory


def main(quick: bool) -> None:
    """Measure both backbones on both corpora; quickly, one on a part of one."""
    cases = [
        (backbone, name) for backbone in ("efficientnet_lite0", "resnet50") for name in CORPORA
    ]
    for backbone, name in cases[:1] if quick else cases:
        with tempfile.TemporaryDirectory() as temporary:
            rows = QUICK_ROWS if quick else CORPORA[name]
            compare(Path(temporary), name, backbone, rows)


def compare(folder: Path, name: str, backbone: str, rows: int) -> None:
    """Ours between two measurements of the limit and of the loops, which are averaged."""
    cores = os.cpu_count() or 1
    with session(ClusterConfig()):
        path = f"{os.environ['MMKRL_DATA']}/{name}"
        corpus = ingest(locate(folder / "corpus"), name, path, "jpeg")
    sample = folder / "sample.parquet"
    first = corpus.files("images")[0]
    pq.write_table(corpus.read(first, ["image"]).slice(0, 512), sample)
    before = {loop: measure(loop, backbone, sample, cores) for loop in LOOPS}
    with session(ClusterConfig()):
        found, start, memory = ours(folder / "features", corpus, backbone, rows)
    after = {loop: measure(loop, backbone, sample, cores) for loop in LOOPS}
    figures = {loop: statistics.mean((before[loop], after[loop])) for loop in LOOPS}
    limit = 1 / (1 / figures["forward"] + 1 / figures["decode"])
    case = f"{backbone} {name}"
    note = f"{rows} photos, 224 px; limit and loops measured before and after, averaged"
    for peer, meaning in (("plain", "plain DataLoader loop, float32"), ("tuned", "tuned loop")):
        peer_name = f"{meaning}, {cores} processes"
        Line(
            "extract", case, "images/s", found, peer_name, figures[peer], limit, cores, note
        ).show()
    others = {"start-up": ("s", start), "memory": ("MiB, decoding and inference worker", memory)}
    for bench, (unit, value) in others.items():
        Line(f"extract {bench}", case, unit, value, None, None, None, cores, note).show()


if __name__ == "__main__":
    main("--quick" in sys.argv)
