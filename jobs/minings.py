"""What ``jobs.mine`` mines, by the configured kind of miner."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import rich
from rich.table import Table

from cluster.units import run_units
from jobs.config import PipelineConfig
from jobs.recorded import Work
from jobs.steps import Step
from mmkrl.data.dataset import open_dataset
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.data.splits.zero_shot import LeakCheck
from mmkrl.io.cached_files import local_folder
from mmkrl.io.storage import locate
from mmkrl.mining.candidates import CorpusPart, mine_part
from mmkrl.mining.captions.workflow import CaptionInputs, mine_captions
from mmkrl.mining.publish import read_parts, write_mined
from mmkrl.mining.registry import make_miner
from mmkrl.mining.relationships import CAPTIONS, assemble
from mmkrl.models.bcdnn.closeness import LearnedSpace
from mmkrl.tracking.runs import Run
from mmkrl.viz.audit import audit


def mining(config: PipelineConfig, step: Step, tracked: Run) -> Work:
    """Mine the corpus with the configured miner."""
    work = _captions if config.mine.miner == CAPTIONS else _findings
    return work(config, step, tracked)


def _findings(config: PipelineConfig, step: Step, tracked: Run) -> Work:
    """Images of which each shows one relationship."""
    corpus, deduped = step.inputs["ingest"], step.inputs["dedupe"]
    miner = make_miner(config.mine.miner, corpus.table("texts", ["uri", "kind", "text"]))
    folder = step.location / "_candidates"

    def one(number: int, _: FileEntry) -> UnitRecord:
        part, kept_only = CorpusPart(number, corpus, deduped), config.mine.duplicates == "one"
        return mine_part(folder, part, miner, kept_only=kept_only)

    parts = run_units(folder, corpus.files("images"), one, label="mine")
    mined = assemble(read_parts(folder, parts, "candidates"), config.mine)
    unit = write_mined(step.location, folder, parts, mined)
    return _work([unit], mined.leaks, mined.statistics, tracked)


def _captions(config: PipelineConfig, step: Step, tracked: Run) -> Work:
    """Images that show many relationships each."""
    parsed, deduped, extracted = (step.inputs[job] for job in ("parse", "dedupe", "extract"))
    former = config.mine.captions.trained
    space = LearnedSpace(open_dataset(locate(former))) if former else None
    inputs = CaptionInputs(parsed, deduped, extracted, local_folder("features"), space)
    mined = mine_captions(step.location, inputs, config.mine, run_units)
    files = [file for unit in mined.units for file in unit.files if file.table == "evidence"]
    corpus, chosen = step.inputs["ingest"], config.mine.captions.audited
    tracked.text(audit(step.location, files, corpus, chosen), "audit.html")
    return _work(mined.units, mined.leaks, mined.statistics, tracked)


def _work(
    units: list[UnitRecord],
    leaks: Sequence[LeakCheck],
    statistics: Mapping[str, float],
    tracked: Run,
) -> Work:
    table = Table("leak check", "violations", title="zero-shot split")
    for check in leaks:
        table.add_row(check.name, str(check.violations))
    rich.print(table, file=sys.stderr)
    violations = {check.name: check.violations for check in leaks}
    report = "".join(f"{name}: {n}\n" for name, n in {**violations, **statistics}.items())
    tracked.text(report, "split.txt")
    counts = {name: float(count) for name, count in statistics.items()}
    return Work(units, [], {"leak_checks": violations}, counts)
