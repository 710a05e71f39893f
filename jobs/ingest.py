"""Read a web crawl (images with their texts) into a corpus of checked, content-addressed rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.command import Outcome, command
from jobs.config import PipelineConfig

if TYPE_CHECKING:
    from jobs.recorded import Work
    from jobs.steps import Step
    from mmkrl.data.manifest import UnitRecord
    from mmkrl.data.readers.records import ReadUnit
    from mmkrl.tracking.runs import Run


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Ingest all configured sources."""
    from cluster.units import run_units
    from jobs.recorded import Work, recorded
    from mmkrl.data.ingest import ingest_unit
    from mmkrl.data.readers.registry import plan

    def work(step: Step, tracked: Run) -> Work:  # noqa: ARG001 - every job has these two
        section = config.ingest
        location = step.location
        units = plan(section.sources, unit_rows=section.unit_rows, unit_mb=section.unit_mb)

        def one(number: int, unit: ReadUnit) -> UnitRecord:
            return ingest_unit(location, number, unit, section)

        return Work(run_units(location, units, one, label="ingest"), [], {}, {})

    return recorded(config, "ingest", work, force=force)


app = command("ingest", run, __doc__)

if __name__ == "__main__":
    app()
