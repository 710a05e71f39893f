"""Train the configured model, its ablations and seeds under Ray Train, resumably."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from cluster.training import Member, RayContext, Resources, local_folder, train_members
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step
from mmkrl.data.dataset import Dataset, write_file
from mmkrl.data.knowledge import load_knowledge
from mmkrl.data.manifest import FileEntry
from mmkrl.data.words import load_words
from mmkrl.models.bcdnn_learner import BCDNNLearner
from mmkrl.storage import Location
from mmkrl.tracking import Run, run as tracked_run
from mmkrl.train.config import TrainConfig
from mmkrl.train.learner import Measurement
from mmkrl.train.loop import fit


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Train every (variant, seed)."""

    def work(step: Step, tracked: Run) -> Work:
        section = config.train
        names = [f"{variant}-{seed}" for variant, seed in section.members]
        members = [
            Member(name, _arguments(section, step, variant, seed))
            for name, (variant, seed) in zip(names, section.members, strict=True)
        ]
        resources = Resources(
            section.workers, section.threads, section.concurrent_runs, section.retries
        )
        with _member_runs(config, step, tracked.id, names) as runs:

            def record(name: str, measurements: list[Measurement]) -> None:
                runs[name].metrics([m for m in measurements if m.name != "progress"])

            folder = step.location / "_runs"
            checkpoints = train_members(folder, members, train, resources, record)
        files, best = _collect(step.location, checkpoints, names)
        metrics = {f"{name}_validation": member["best_metric"] for name, member in best.items()}
        return Work([], files, {"members": best}, metrics)

    return recorded(config, "train", work, force=force)


def _arguments(section: TrainConfig, step: Step, variant: str, seed: int) -> dict[str, Any]:
    return {
        "config": section,
        "mined": step.inputs["mine"],
        "extracted": step.inputs["extract"],
        "variant": variant,
        "seed": seed,
    }


def train(arguments: dict[str, Any], context: RayContext) -> None:
    """What every worker of a run does."""
    section: TrainConfig = arguments["config"]
    mined: Dataset = arguments["mined"]
    extracted: Dataset = arguments["extracted"]
    seed: int = arguments["seed"]
    words = load_words(section.words)
    knowledge = load_knowledge(mined, extracted, words, local_folder("features"))
    torch.manual_seed(seed)
    learner = BCDNNLearner(
        knowledge, section.bcdnn, variant=arguments["variant"], batch_size=section.batch_size
    )
    fit(learner, section.loop, context, seed=seed)


@contextlib.contextmanager
def _member_runs(
    config: PipelineConfig, step: Step, parent: str, names: list[str]
) -> Iterator[dict[str, Run]]:
    """An MLflow run a member, under the job's own."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                tracked_run(
                    config.tracking,
                    name,
                    identity={
                        "job": "train",
                        "key": step.origin.key,
                        "version": str(step.version),
                        "member": name,
                    },
                    params=config.train.model_dump(mode="json") | {"member": name},
                    parent=parent,
                )
            )
            for name in names
        }


def _collect(
    location: Location, checkpoints: Mapping[str, Location], names: list[str]
) -> tuple[list[FileEntry], dict[str, dict[str, Any]]]:
    """Copy each run's best weights and history into the dataset."""
    files, members = [], {}
    for name in names:
        source = checkpoints[name]
        state = json.loads((source / "state.json").read_text())
        weights = (source / "best.safetensors").read_bytes()
        history = json.dumps(state["history"], indent=1).encode()
        files.append(write_file(location, f"models/{name}/weights.safetensors", weights))
        files.append(write_file(location, f"models/{name}/history.json", history))
        members[name] = {key: state[key] for key in ("best_metric", "best_phase", "global_step")}
    return files, members


app = command("train", run, __doc__)

if __name__ == "__main__":
    app()
