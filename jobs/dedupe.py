"""Find images that show the same picture: the same bytes, or nearly the same look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.command import Outcome, command
from jobs.config import PipelineConfig

if TYPE_CHECKING:
    from jobs.recorded import Work
    from jobs.steps import Step
    from mmkrl.tracking.runs import Run


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Find the duplicates of the ingested corpus."""
    from cluster.units import run_units
    from jobs.recorded import Work, recorded
    from mmkrl.mining.dedupe.workflow import dedupe

    def work(step: Step, tracked: Run) -> Work:  # noqa: ARG001 - every job has these two
        units, figures = dedupe(step.location, step.inputs["ingest"], config.dedupe, run_units)
        return Work(units, [], {}, figures)

    return recorded(config, "dedupe", work, force=force)


app = command("dedupe", run, __doc__)

if __name__ == "__main__":
    app()
