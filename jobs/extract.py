"""Extract image features with pretrained backbones, over the whole corpus, resumably."""

from __future__ import annotations

import time
from dataclasses import asdict

from cluster.extraction import extract, workers
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step
from mmkrl.features.backbones import RANDOM
from mmkrl.features.report import extraction_metrics
from mmkrl.tracking import Run


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Extract features of the ingested corpus."""

    def work(step: Step, tracked: Run) -> Work:  # noqa: ARG001 - every job has these two
        section = config.extract
        started = time.monotonic()
        units, choices = extract(step.location, step.inputs["ingest"], section)
        seconds = time.monotonic() - started
        notes = {
            "random_weights": RANDOM in section.weights.values(),
            "engines": {name: asdict(choice) for name, choice in choices.items()},
        }
        metrics = extraction_metrics(step.location, units, seconds, workers(section))
        return Work(units, [], notes, metrics)

    return recorded(config, "extract", work, force=force)


app = command("extract", run, __doc__)

if __name__ == "__main__":
    app()
