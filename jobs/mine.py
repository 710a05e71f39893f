"""Mine (subject, predicate, object) relationships with their images, and split them zero-shot."""

from __future__ import annotations

import sys

import pyarrow as pa
import rich
from rich.table import Table

from cluster.units import run_units
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step
from mmkrl.data.dataset import write_unit
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.data.schemas import CANDIDATES
from mmkrl.mining.candidates import mine_part
from mmkrl.mining.registry import make_miner
from mmkrl.mining.relationships import Mined, assemble
from mmkrl.storage import Location
from mmkrl.tracking import Run

_CANDIDATES = "_candidates"  # the first pass's output, beside the dataset it leads to


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Mine the ingested corpus."""

    def work(step: Step, tracked: Run) -> Work:
        corpus = step.inputs["ingest"]
        miner = make_miner(config.mine.miner, corpus.table("texts", ["uri", "kind", "text"]))
        folder = step.location / _CANDIDATES

        def one(number: int, images: FileEntry) -> UnitRecord:
            return mine_part(folder, number, corpus, images, miner)

        parts = run_units(folder, corpus.files("images"), one, label="mine")
        mined = assemble(_read(folder, parts, "candidates"), config.mine)
        unit = _publish(step.location, folder, parts, mined)
        _show(mined)
        leaks = {check.name: check.violations for check in mined.leaks}
        tracked.text(_report(mined), "split.txt")
        metrics = {name: float(count) for name, count in mined.statistics.items()}
        return Work([unit], [], {"leak_checks": leaks}, metrics)

    return recorded(config, "mine", work, force=force)


def _read(folder: Location, parts: list[UnitRecord], table: str) -> pa.Table:
    import pyarrow.parquet as pq

    files = [file for part in parts for file in part.files if file.table == table]
    tables = [pq.read_table((folder / file.path).open_input()) for file in files]
    return pa.concat_tables(tables) if tables else CANDIDATES.arrow.empty_table()


def _publish(
    location: Location, folder: Location, parts: list[UnitRecord], mined: Mined
) -> UnitRecord:
    tables = dict(mined.tables)
    if any(part.dead_letters for part in parts):
        early = _read(folder, parts, "dead_letters")
        tables["dead_letters"] = pa.concat_tables([early, tables["dead_letters"]])
    return write_unit(
        location,
        0,
        tables,
        rows_in=sum(part.rows_in for part in parts),
        rows_out=tables["instances"].num_rows + tables["entities"].num_rows,
    )


def _show(mined: Mined) -> None:
    table = Table("leak check", "violations", title="split")
    for check in mined.leaks:
        table.add_row(check.name, str(check.violations))
    rich.print(table, file=sys.stderr)


def _report(mined: Mined) -> str:
    lines = [f"{name}: {count}" for name, count in mined.statistics.items()]
    checks = [f"{check.name}: {check.violations} violations" for check in mined.leaks]
    return "\n".join([*lines, "", *checks, ""])


app = command("mine", run, __doc__)

if __name__ == "__main__":
    app()
