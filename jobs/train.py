"""Train the configured model, its ablations and seeds under Ray Train, resumably."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.training import Member, Resources, local_folder, train_members
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step
from mmkrl.data.dataset import write_file
from mmkrl.data.knowledge import load_knowledge
from mmkrl.data.manifest import FileEntry
from mmkrl.data.words import load_words
from mmkrl.index.build import build_space
from mmkrl.serving.log import log_space
from mmkrl.tracking import Run as TrackedRun
from mmkrl.tracking import run as tracked_run
from mmkrl.train.learner import Measurement
from mmkrl.train.members import SPACE_FOLDER, collect, load_weights, member_name, restore
from mmkrl.train.run import Run, train
from mmkrl.viz.curves import loss_curve


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Train every (variant, seed)."""

    def work(step: Step, tracked: TrackedRun) -> Work:
        section = config.train
        members = [
            Member(member_name(variant, seed), _run(config, step, variant, seed))
            for variant, seed in section.members
        ]
        resources = Resources(
            section.workers, section.threads, section.concurrent_runs, section.retries
        )
        curve: list[Measurement] = []
        with _member_runs(config, step, tracked.id, members) as runs:

            def record(name: str, measurements: list[Measurement]) -> None:
                kept = [m for m in measurements if m.name != "progress"]
                runs[name].metrics(kept)
                if name == members[0].name:
                    tracked.metrics(kept)
                    curve.extend(kept)

            folder = step.location / "_runs"
            checkpoints = train_members(folder, members, train, resources, record)
        tracked.image(loss_curve(curve, members[0].name), "loss.png")
        files, notes = collect(step.location, checkpoints)
        files += _serve(config, step, tracked)
        metrics = {f"{name}_validation": note["best_metric"] for name, note in notes.items()}
        return Work([], files, {"members": notes}, metrics)

    return recorded(config, "train", work, force=force)


def _run(config: PipelineConfig, step: Step, variant: str, seed: int) -> Run:
    inputs = step.inputs["mine"], step.inputs["extract"]
    return Run(config.train, *inputs, variant, seed, local_folder("features"))


@contextlib.contextmanager
def _member_runs(
    config: PipelineConfig, step: Step, parent: str, members: list[Member]
) -> Iterator[dict[str, TrackedRun]]:
    """An MLflow run a member, under the job's own."""
    identity = {"job": "train", "key": step.origin.key, "version": str(step.version)}
    params = config.train.model_dump(mode="json")
    with contextlib.ExitStack() as stack:
        runs = {}
        for member in members:
            own: dict[str, Any] = {"member": member.name}
            opened = tracked_run(
                config.tracking,
                member.name,
                identity=identity | own,
                params=params | own,
                parent=parent,
            )
            runs[member.name] = stack.enter_context(opened)
        yield runs


def _serve(config: PipelineConfig, step: Step, tracked: TrackedRun) -> list[FileEntry]:
    """Make the first member a space that can be asked; keep it here and in MLflow."""
    mined, extracted = step.inputs["mine"], step.inputs["extract"]
    words = load_words(config.train.words)
    knowledge = load_knowledge(mined, extracted, words, local_folder("features"))
    variant, seed = config.train.members[0]
    weights = load_weights(step.location, member_name(variant, seed))
    learner = restore(weights, config.train, knowledge, variant)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / SPACE_FOLDER
        build_space(learner, knowledge, words, config.extract).save(folder)
        log_space(folder, tracked.id, {"mined": mined.digest, "extracted": extracted.digest})
        return [
            write_file(step.location, f"{SPACE_FOLDER}/{file.name}", file.read_bytes())
            for file in sorted(folder.iterdir())
        ]


app = command("train", run, __doc__)

if __name__ == "__main__":
    app()
