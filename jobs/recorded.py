"""A job's step, done once and recorded in MLflow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.command import Outcome
from jobs.config import PipelineConfig
from jobs.steps import Step, step
from mmkrl.data.dataset import Dataset, open_dataset, publish
from mmkrl.data.manifest import FileEntry, Manifest, UnitRecord
from mmkrl.tracking.runs import Run, run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What a job produced: units of tables, other files, and what it noticed."""

    units: list[UnitRecord]
    files: list[FileEntry]
    notes: dict[str, Any]
    metrics: dict[str, float]


def recorded(
    config: PipelineConfig, job: str, work: Callable[[Step, Run], Work], *, force: bool
) -> Outcome:
    """Do a job's work unless it is already done, publish it, and keep its record.

    Args:
        config: The whole configuration.
        job: Name of the job.
        work: Writes into the step's location and says what it wrote.
        force: Make a new version of finished work.
    """
    this = step(config, job, force=force)
    if this.finished:
        logger.info("%s is already done: %s", job, this.location)
        return _outcome(this.finished.manifest, str(this.location), "skipped")
    logger.info("%s -> %s", job, this.location)
    identity = {
        "job": job,
        "key": this.origin.key,
        "version": str(this.version),
    }
    with run(config.tracking, job, identity=identity, params=this.origin.config) as tracked:
        for name, dataset in this.inputs.items():
            tracked.dataset(name, dataset, "input")
        done = work(this, tracked)
        notes = done.notes | {"metrics": done.metrics, "mlflow_run": tracked.id}
        publish(this.location, this.origin, done.units, files=done.files, notes=notes)
        output = open_dataset(this.location)
        _record(tracked, job, output, done)
    return _outcome(output.manifest, str(this.location), "done")


def _record(tracked: Run, job: str, output: Dataset, done: Work) -> None:
    tracked.dataset(job, output, "output")
    rows = {
        "rows_in": output.manifest.rows_in,
        "rows_out": output.manifest.rows_out,
        "dead_letters": output.manifest.dead_letters,
    }
    tracked.summary(rows | done.metrics)


def _outcome(manifest: Manifest, output: str, status: str) -> Outcome:
    return Outcome(
        output=output,
        rows_in=manifest.rows_in,
        rows_out=manifest.rows_out,
        dead_letters=manifest.dead_letters,
        metrics=manifest.notes.get("metrics", {}),
        status=status,
    )
