"""Extract image features with a pretrained backbone, over the whole corpus, resumably."""

from __future__ import annotations

import time

from cluster.extraction import extract
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step
from mmkrl.data.manifest import UnitRecord
from mmkrl.features.backbones import RANDOM
from mmkrl.tracking import Run


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Extract features of the ingested corpus."""

    def work(step: Step, tracked: Run) -> Work:  # noqa: ARG001 - every job has these two
        started = time.monotonic()
        units = extract(step.location, step.inputs["ingest"], config.extract)
        seconds = time.monotonic() - started
        notes = {"random_weights": config.extract.weights == RANDOM}
        return Work(units, [], notes, _metrics(units, seconds))

    return recorded(config, "extract", work, force=force)


def _metrics(units: list[UnitRecord], seconds: float) -> dict[str, float]:
    """Rates, and worker seconds by stage."""
    rows = sum(unit.rows_in for unit in units)
    stages = {name for unit in units for name in unit.stats}
    totals = {name: sum(unit.stats.get(name, 0.0) for unit in units) for name in sorted(stages)}
    return {"wall_s": seconds, "images_per_s": rows / seconds, **totals}


app = command("extract", run, __doc__)

if __name__ == "__main__":
    app()
