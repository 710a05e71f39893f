"""Trials of a sweep under Ray Tune (ASHA, PBT): begun where there is room, ended when behind.

Tune places trials, takes up again those whose process died, and restores what was running after a
kill of the driver. What is tried and which trial ends is decided by a
:class:`~cluster.tune_hooks.TrialStudy`, whose memory outlives a kill. A trial of one worker trains
in its own process, which the next trial takes over; a trial of several is a Ray Train run driven by
one.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from ray.tune.integration.ray_train import TuneReportCallback

from cluster.config import TrainingResources
from cluster.session import gpus
from cluster.training import WORKER_CPUS, Journal, Member, at_a_time, cause, gpu_of, trainer
from cluster.tune_hooks import (
    Listener,
    PBTScheduler,
    Population,
    ProgressCallback,
    Settings,
    StudyScheduler,
    StudySearcher,
    TrialStudy,
    alive,
)
from mmkrl.errors import UserError
from mmkrl.io.storage import Location
from mmkrl.train import checkpoint as checkpoints
from mmkrl.train.context import TrainContext
from mmkrl.train.learner import Measurement

_DRIVER_CPUS = 0.05
_CHECKPOINTS = 4  # of each of a population, so that a better one's is there when it is wanted
_EXPERIMENT, _RUNS = "_tune", "_runs"


class TrialContext:
    """The training loop's surroundings in a trial of one worker.

    Args:
        name: Of the trial.
        journal: Gets the measurements.
        changing: Whether settings may change on the way.
    """

    rank = 0
    world_size = 1

    def __init__(self, name: str, journal: Any, *, changing: bool) -> None:
        self._name = name
        self._journal = journal
        self._changing = changing

    @property
    def device(self) -> torch.device:
        """The device Ray assigned."""
        return torch.device("cuda" if gpus() else "cpu")

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """Publish through Tune, and wait until it was judged."""
        kept = Checkpoint.from_directory(str(checkpoint)) if checkpoint else None
        tune.report(metrics, checkpoint=kept)

    def resume_from(self) -> Path | None:
        """A local copy of the last checkpoint."""
        kept = tune.get_checkpoint()
        if kept is None:
            return None
        folder = Path(kept.to_directory(tempfile.mkdtemp(prefix="mmkrl-")))
        if self._changing:
            checkpoints.release(folder)
        return folder

    def log(self, measurements: Sequence[Measurement]) -> None:
        """Send to the driver without waiting."""
        self._journal.add.remote(self._name, list(measurements))


def tune_trials(
    location: Location,
    study: TrialStudy,
    work: Callable[[Settings, TrainContext], None],
    resources: TrainingResources,
    listener: Listener,
    population: Population | None = None,
) -> None:
    """Run trials until the study has none to come; after a kill, go on.

    A trial that raises an error is finished with it, and the others go on.

    Args:
        location: Folder for Tune's own state and the checkpoints.
        study: What is tried.
        work: Trains with given settings; run by every worker of a trial.
        resources: Size of a trial and number of trials at a time.
        listener: Told of the trials in this process.
        population: How settings change on the way, if they do.

    Raises:
        UserError: settings are to change in trials of several workers.
    """
    if population and resources.workers > 1:
        raise UserError(
            "sweep.scheduler = 'pbt' trains with one worker: set cluster.training.workers=1"
        )
    journal: Any = ray.remote(num_cpus=0)(Journal).remote()
    limit = at_a_time(resources)
    searcher = StudySearcher(study, population.size if population else limit)
    scheduler = PBTScheduler(searcher, population) if population else StudyScheduler(searcher)
    callback = ProgressCallback(searcher, journal, listener)
    trainable = tune.with_resources(
        _trainable(location, work, resources, journal, changing=population is not None),
        _needed(resources, limit if population else None),
    )
    tune_config = TuneConfig(
        search_alg=searcher,
        scheduler=scheduler,
        num_samples=-1,  # until the study says that none is to come
        reuse_actors=resources.workers == 1,
        trial_dirname_creator=_folder,
    )
    run_config = RunConfig(
        name=_EXPERIMENT,
        storage_path=location.path,
        storage_filesystem=location.filesystem if location.remote else None,
        failure_config=FailureConfig(max_failures=resources.retries),
        checkpoint_config=CheckpointConfig(num_to_keep=_CHECKPOINTS if population else 1),
        callbacks=[callback],
        verbose=0,
    )
    for noisy in ("analysis.experiment_analysis", "utils.util"):
        logging.getLogger(f"ray.tune.{noisy}").setLevel(logging.ERROR)
    with alive(searcher, scheduler, callback):
        _tuner(location / _EXPERIMENT, trainable, tune_config, run_config).fit()
    callback.poll()


def _tuner(
    where: Location, trainable: Any, tune_config: TuneConfig, run_config: RunConfig
) -> tune.Tuner:
    """A new tuner, or one that goes on where a killed process left Tune's own state."""
    filesystem = run_config.storage_filesystem
    if tune.Tuner.can_restore(where.path, storage_filesystem=filesystem):
        restored = tune.Tuner.restore(
            where.path, trainable, resume_unfinished=True, storage_filesystem=filesystem
        )
        with contextlib.suppress(RuntimeError):  # it was killed before Tune wrote a state
            if len(restored.get_results()):
                return restored
    return tune.Tuner(trainable, tune_config=tune_config, run_config=run_config)


def _trainable(
    location: Location,
    work: Callable[[Settings, TrainContext], None],
    resources: TrainingResources,
    journal: Any,
    *,
    changing: bool,
) -> Callable[[Settings], None]:
    """What Tune runs as a trial; an error of the work is reported, so that it is not repeated."""

    def trial(config: Settings) -> None:
        settings = dict(config)
        name = tune.get_context().get_trial_id()
        torch.set_num_threads(resources.threads)
        try:
            if resources.workers == 1:
                work(settings, TrialContext(name, journal, changing=changing))
            else:
                member = Member(name, settings)
                told = TuneReportCallback()
                trainer(location / _RUNS, member, work, resources, journal, told).fit()
        except Exception as error:  # raised, it would be retried, with the same settings
            tune.report({"error": cause(error)})

    return trial


def _needed(resources: TrainingResources, turns: int | None) -> dict[str, float]:
    """What Tune sets aside for a trial, so that at most so many of a population run at a time."""
    if resources.workers > 1:
        return {"cpu": _DRIVER_CPUS}
    # All of a population exists at a time and takes turns: each asks for so large a share of the
    # CPUs that only ``turns`` of them fit.
    cpus = ray.cluster_resources()["CPU"] / turns if turns else WORKER_CPUS
    return {"cpu": cpus, "gpu": gpu_of(resources)}


def _folder(trial: Any) -> str:
    """A trial's folder; Tune's own name would hold all settings."""
    return f"trial-{trial.trial_id}"
