"""What ``jobs.mine`` mines, by the configured kind of miner."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import rich
from rich.table import Table

from cluster.units import run_units
from jobs.config import PipelineConfig
from jobs.recorded import Work
from jobs.steps import MADE_BY, Step
from mmkrl.data.dataset import open_dataset
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.splits.zero_shot import LeakCheck
from mmkrl.io.cached_files import local_folder
from mmkrl.io.storage import locate
from mmkrl.mining.config import MINERS
from mmkrl.mining.miner import Miner, MiningInputs
from mmkrl.models.bcdnn.closeness import LearnedSpace
from mmkrl.tracking.runs import Run
from mmkrl.viz.audit import audit


def mining(config: PipelineConfig, step: Step, tracked: Run) -> Work:
    """Mine the corpus with the configured miner."""
    miner: type[Miner] = MINERS.get(config.mine.miner)
    datasets = {kind: step.inputs[MADE_BY[kind]] for kind in miner.needs}
    former = config.mine.captions.trained
    space = LearnedSpace(open_dataset(locate(former))) if former else None
    inputs = MiningInputs(datasets, local_folder("features"), space)
    mined = miner.mine(step.location, inputs, config.mine, run_units)
    evidence = [file for unit in mined.units for file in unit.files if file.table == "evidence"]
    if evidence:
        chosen = config.mine.captions.audited
        tracked.text(audit(step.location, evidence, datasets["corpus"], chosen), "audit.html")
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
