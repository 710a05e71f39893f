"""Read a corpus: what its texts state, as (subject, predicate, object) with the sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.command import Outcome, command
from jobs.config import PipelineConfig

if TYPE_CHECKING:
    from jobs.recorded import Work
    from jobs.steps import Step
    from mmkrl.data.manifest import FileEntry, UnitRecord
    from mmkrl.tracking.runs import Run


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Parse the texts of the ingested corpus."""
    from cluster.units import run_units
    from jobs.recorded import Work, recorded
    from mmkrl.mining.captions.extract import parse_part
    from mmkrl.mining.captions.parser import versions

    def work(step: Step, tracked: Run) -> Work:  # noqa: ARG001 - every job has these two
        corpus, parser = step.inputs["ingest"], versions()

        def one(number: int, images: FileEntry) -> UnitRecord:
            return parse_part(step.location, number, corpus, images, config.parse)

        units = run_units(step.location, corpus.files("images"), one, label="parse")
        names = sorted({name for unit in units for name in unit.stats})
        counts = {name: sum(unit.stats[name] for unit in units) for name in names}
        return Work(units, [], {"parser": dict(parser)}, counts)

    return recorded(config, "parse", work, force=force)


app = command("parse", run, __doc__)

if __name__ == "__main__":
    app()
