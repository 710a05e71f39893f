"""Mine (subject, predicate, object) relationships with their images, and split them zero-shot."""

from __future__ import annotations

import sys

import rich
from rich.table import Table

from cluster.units import run_units
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.mining.candidates import CorpusPart, mine_part
from mmkrl.mining.publish import read_parts, write_mined
from mmkrl.mining.registry import make_miner
from mmkrl.mining.relationships import Mined, assemble
from mmkrl.tracking import Run

_CANDIDATES = "_candidates"  # the first pass's output, inside the dataset it leads to


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Mine the ingested corpus."""

    def work(step: Step, tracked: Run) -> Work:
        corpus, deduped = step.inputs["ingest"], step.inputs["dedupe"]
        miner = make_miner(config.mine.miner, corpus.table("texts", ["uri", "kind", "text"]))
        folder = step.location / _CANDIDATES
        kept_only = config.mine.duplicates == "one"

        def one(number: int, _: FileEntry) -> UnitRecord:
            part = CorpusPart(number, corpus, deduped)
            return mine_part(folder, part, miner, kept_only=kept_only)

        parts = run_units(folder, corpus.files("images"), one, label="mine")
        mined = assemble(read_parts(folder, parts, "candidates"), config.mine)
        unit = write_mined(step.location, folder, parts, mined)
        _show(mined)
        leaks = {check.name: check.violations for check in mined.leaks}
        counts = {name: float(count) for name, count in mined.statistics.items()}
        tracked.text(_report(leaks | mined.statistics), "split.txt")
        return Work([unit], [], {"leak_checks": leaks}, counts)

    return recorded(config, "mine", work, force=force)


def _show(mined: Mined) -> None:
    table = Table("leak check", "violations", title="zero-shot split")
    for check in mined.leaks:
        table.add_row(check.name, str(check.violations))
    rich.print(table, file=sys.stderr)


def _report(numbers: dict[str, int]) -> str:
    return "".join(f"{name}: {number}\n" for name, number in numbers.items())


app = command("mine", run, __doc__)

if __name__ == "__main__":
    app()
