"""Train the configured models with their seeds under Ray Train, resumably."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from cluster.training import Member, train_members
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step, sources
from mmkrl.models import training
from mmkrl.models.family import family_of
from mmkrl.serving.publish import publish_space
from mmkrl.tracking.runs import Run as TrackedRun
from mmkrl.tracking.runs import run as tracked_run
from mmkrl.train.learner import Measurement
from mmkrl.viz.curves import loss_curve


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Train every model with every seed."""

    def work(step: Step, tracked: TrackedRun) -> Work:
        given = sources(config, step.inputs)
        runs = [training.Member(given, *member) for member in config.train.members]
        members = [Member(run.name, run) for run in runs]
        curve: list[Measurement] = []
        with _member_runs(config, step, tracked, members) as records:

            def record(name: str, measurements: list[Measurement]) -> None:
                kept = [m for m in measurements if m.name != "progress"]
                records[name].metrics(kept)
                if name == members[0].name:
                    tracked.metrics(kept)
                    curve.extend(kept)

            folder, resources = step.location / "_runs", config.cluster.training
            checkpoints = train_members(folder, members, training.train, resources, record)
        tracked.image(loss_curve(curve, members[0].name), "loss.png")
        files, notes = training.collect(step.location, checkpoints)
        files += training.families_files(given, step.location)
        data = family_of(runs[0].config.family).load(given)
        space = training.trained_space(given, step.location, data)
        digests = {kind: dataset.digest for kind, dataset in given.datasets.items()}
        files += publish_space(step.location, space, tracked, digests)
        metrics = {f"{name}_validation": note["best_metric"] for name, note in notes.items()}
        return Work([], files, {"members": notes}, metrics)

    return recorded(config, "train", work, force=force)


@contextlib.contextmanager
def _member_runs(
    config: PipelineConfig, step: Step, parent: TrackedRun, members: list[Member[Any]]
) -> Iterator[dict[str, TrackedRun]]:
    """An MLflow run a member, under the job's own."""
    identity = {"job": "train", "key": step.origin.key, "version": str(step.version)}
    params = config.train.model_dump(mode="json")
    with contextlib.ExitStack() as stack:
        runs = {}
        for name in (member.name for member in members):
            own = {"member": name}
            opened = tracked_run(
                config.tracking, name, identity=identity | own, params=params | own, parent=parent
            )
            runs[name] = stack.enter_context(opened)
        yield runs


app = command("train", run, __doc__)

if __name__ == "__main__":
    app()
