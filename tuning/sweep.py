"""Search the settings of a training: many trials, the hopeless ones ended early, resumably."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution

from cluster.sweep_config import SweepConfig
from cluster.tune_hooks import Population
from cluster.tuning import tune_trials
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step, finished, sources
from mmkrl.data.dataset import write_file
from mmkrl.errors import UsageError, UserError
from mmkrl.models.family import family_of
from mmkrl.models.training import Member
from mmkrl.models.training import train as run_member
from mmkrl.tracking.runs import Run
from mmkrl.train.context import TrainContext
from tuning.page import page
from tuning.recording import Recorder
from tuning.spaces import Settings, Space, sweep_space, with_settings
from tuning.trials import OptunaStudy, TrialRecord

logger = logging.getLogger(__name__)

BEST, PAGE, TRIALS = "best.yaml", "sweep.html", "trials.json"
_STUDY = "_study.jsonl"


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Try settings of the first model, with its first seed."""
    section = config.train
    space = sweep_space(section, config.sweep.space)
    _check_validations(config)
    _check_batches(config, space)

    def search(step: Step, tracked: Run) -> Work:
        study = OptunaStudy(step.location / _STUDY, space, config.sweep)
        identity = {"job": "sweep", "key": step.origin.key, "version": str(step.version)}
        recorder = Recorder(tracked, identity, study)
        resources = config.cluster.training
        try:
            work = _trial(config, step)
            population = _population(config.sweep, space)
            tune_trials(step.location, study, work, resources, recorder, population)
        finally:
            recorder.close()
        recorder.settle()
        best = _best(study)
        tuned = config.model_copy(update={"train": with_settings(section, best.settings)})
        texts = {
            BEST: as_yaml(tuned),
            PAGE: page(study.records(), space, best, key=step.origin.key),
            TRIALS: json.dumps([_row(trial) for trial in study.records()], indent=1),
        }
        for path, text in texts.items():
            tracked.text(text, path)
        files = [write_file(step.location, path, text.encode()) for path, text in texts.items()]
        notes = {"best": {"trial": best.number, "settings": best.settings}}
        return Work([], files, notes, _metrics(study, best))

    outcome = recorded(config, "sweep", search, force=force)
    _advise(config)
    return outcome


def as_yaml(config: PipelineConfig) -> str:
    """A configuration as a file that every job takes; what has its default is left out."""
    values = config.model_dump(mode="json", exclude_defaults=True, exclude={"sweep"})
    for name, model in values.get("train", {}).get("models", {}).items():
        model["family"] = config.train.models[name].family  # a default, but it says what is meant
    return yaml.safe_dump(values, sort_keys=False)


def _trial(config: PipelineConfig, step: Step) -> Callable[[Settings, TrainContext], None]:
    """What a trial does: the work of ``jobs.train`` for its first member, with some settings."""

    def train(settings: Settings, context: TrainContext) -> None:
        tuned = config.model_copy(update={"train": with_settings(config.train, settings)})
        run_member(Member(sources(tuned, step.inputs), *tuned.train.served), context)

    return train


def _population(config: SweepConfig, space: Space) -> Population | None:
    """What may change on the way: ranges, not choices, which often decide shapes."""
    if config.scheduler != "pbt":
        return None
    ranges = {
        key: (values.low, values.high, values.log)
        for key, values in space.items()
        if isinstance(values, FloatDistribution)
    }
    if not ranges:
        raise UsageError("sweep.scheduler = 'pbt' changes ranges, and sweep.space has only choices")
    return Population(config.trials, ranges, config.grace)


def _check_validations(config: PipelineConfig) -> None:
    """A trial that is validated at the end of its phases alone cannot be ended early."""
    model = config.train.models[config.train.served[0]]
    own = family_of(model.family).validates_within_phases(model)
    between = own or config.train.loop.validate_steps is not None
    if config.sweep.scheduler != "none" and not between:
        raise UsageError(
            f"sweep.scheduler = {config.sweep.scheduler!r} needs validations within a phase: set "
            "train.loop.validate_steps (40, say), or sweep.scheduler=none"
        )


def _check_batches(config: PipelineConfig, space: Space) -> None:
    """Every batch that is tried can be divided among the workers."""
    workers = config.cluster.training.workers
    for key, values in space.items():
        sizes = values.choices if isinstance(values, CategoricalDistribution) else ()
        for rows in sizes if key.endswith(".batch_size") else ():
            if int(str(rows)) % workers:
                raise UsageError(
                    f"sweep.space.{key} = {rows} cannot be divided among "
                    f"cluster.training.workers = {workers}; make it a multiple"
                )


def _best(study: OptunaStudy) -> TrialRecord:
    trials = study.records()
    if not study.complete():
        raise UserError(
            f"the sweep was interrupted after {len(trials)} trials: run it again, it continues"
        )
    best = study.best()
    if best is None:
        raise UserError(f"all {len(trials)} trials failed, the first with: {trials[0].error}")
    return best


def _metrics(study: OptunaStudy, best: TrialRecord) -> dict[str, float]:
    trials = study.records()
    assert best.value is not None
    return {
        "best": best.value,
        "best_trial": float(best.number),
        "trials": float(len(trials)),
        "failed": float(sum(one.outcome == "failed" for one in trials)),
        "steps": float(study.steps()),
    }


def _row(trial: TrialRecord) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "settings": trial.settings,
        "outcome": trial.outcome,
        "best": trial.value,
        "steps": trial.steps,
        "error": trial.error,
        "curve": trial.curve,
    }


def _advise(config: PipelineConfig) -> None:
    done = finished(config, "sweep")
    best = done.manifest.notes["best"]
    print(
        f"\nThe best settings are those of trial {best['trial']}:\n"
        + "".join(f"    train.{key} = {value}\n" for key, value in best["settings"].items())
        + "Train them on three seeds, measure and register them with\n"
        f"    python -m jobs.pipeline --config {done.location}/{BEST} "
        f"--set 'train.seeds=[0,1,2]' --set registry.name={config.tracking.experiment}\n",
        file=sys.stderr,
    )


app = command("sweep", run, __doc__)

if __name__ == "__main__":
    app()
