"""Trials of a sweep under Ray Tune: started where there is room, ended when they are behind.

Tune places trials, takes up again those whose process died, and restores what was running after a
kill of the driver. What is tried and which trial ends is decided by a :class:`Book`, whose memory
outlives a kill. A trial of one worker trains in its own process, which the next trial takes over; a
trial of several is a Ray Train run driven by one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import ray
import torch
from ray import tune
from ray.tune import Callback, Checkpoint, CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from cluster.session import gpus
from cluster.training import (
    POLL_S,
    WORKER_CPUS,
    Journal,
    Member,
    Resources,
    cause,
    fitting,
    trainer,
)
from mmkrl.errors import UserError
from mmkrl.storage import Location
from mmkrl.train.context import TrainContext
from mmkrl.train.learner import Measurement

logger = logging.getLogger(__name__)

_DRIVER_CPUS = 0.05
_EXPERIMENT, _RUNS = "_tune", "_runs"
_STATE = "experiment_state-"

Settings = dict[str, Any]


class Book(Protocol):
    """What is tried, and which trial ends; it remembers all of it by itself."""

    def go_on(self, numbers: Iterable[int]) -> None:
        """Some trials that an earlier process began go on where they were."""
        ...

    def ask(self) -> tuple[int, Settings] | None:
        """The number and the settings of a trial to begin; None if there is none to come."""
        ...

    def judge(self, number: int, *, progress: float, steps: int, best: float) -> bool:
        """Note how far a trial is; whether it ends here."""
        ...

    def finish(self, number: int, error: str = "") -> None:
        """A trial has ended, by itself, by :meth:`judge` or by an error."""
        ...


class Listener(Protocol):
    """Hears of the trials, in the driver."""

    def begun(self, number: int, settings: Settings) -> None:
        """A trial begins, or goes on."""
        ...

    def measured(self, number: int, measurements: list[Measurement]) -> None:
        """A trial measured something."""
        ...

    def ended(self, number: int) -> None:
        """A trial has ended."""
        ...


class TrialContext:
    """The training loop's surroundings in a trial of one worker."""

    def __init__(self, name: str, journal: Any) -> None:
        self._name = name
        self._journal = journal

    rank = 0
    world_size = 1

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
        return Path(kept.to_directory(tempfile.mkdtemp(prefix="mmkrl-"))) if kept else None

    def log(self, measurements: Sequence[Measurement]) -> None:
        """Send to the driver without waiting."""
        self._journal.add.remote(self._name, list(measurements))


def tune_trials(
    location: Location,
    book: Book,
    work: Callable[[Settings, TrainContext], None],
    resources: Resources,
    listener: Listener,
) -> None:
    """Run trials until the book has none to come; after a kill, go on.

    A trial that raises an error is finished with it, and the others go on.

    Args:
        location: Folder for Tune's own state and the checkpoints.
        book: What is tried.
        work: Trains with some settings; run by every worker of a trial.
        resources: Size of a trial and number of trials at a time.
        listener: Told of the trials in this process.
    """
    journal: Any = ray.remote(num_cpus=0)(Journal).remote()
    asking = _Asking(book, resources.concurrent_runs or fitting(resources))
    telling = _Telling(asking, journal, listener)
    needed = {"cpu": WORKER_CPUS, "gpu": 1 if gpus() else 0}
    trainable = tune.with_resources(
        _trainable(location, work, resources, journal),
        needed if resources.workers == 1 else {"cpu": _DRIVER_CPUS},
    )
    where = location / _EXPERIMENT
    filesystem = where.filesystem if where.remote else None
    if _restorable(where):
        tuner = tune.Tuner.restore(
            where.path, trainable, resume_unfinished=True, storage_filesystem=filesystem
        )
        restored: Any = tuner._local_tuner  # its objects are an earlier process's; these live
        restored._tune_config.search_alg = asking
        restored._tune_config.scheduler = _Judging(asking)
        restored._run_config.callbacks = [telling]
    else:
        tuner = tune.Tuner(
            trainable,
            tune_config=TuneConfig(
                search_alg=asking,
                scheduler=_Judging(asking),
                num_samples=-1,
                reuse_actors=resources.workers == 1,
                trial_dirname_creator=_folder,
            ),
            run_config=RunConfig(
                name=_EXPERIMENT,
                storage_path=location.path,
                storage_filesystem=filesystem,
                failure_config=FailureConfig(max_failures=resources.retries),
                checkpoint_config=CheckpointConfig(num_to_keep=1),
                callbacks=[telling],
                verbose=0,
            ),
        )
    tuner.fit()
    telling.poll()


def _trainable(
    location: Location,
    work: Callable[[Settings, TrainContext], None],
    resources: Resources,
    journal: Any,
) -> Callable[[Settings], None]:
    """What Tune runs as a trial; an error of the work is reported, so that it is not repeated."""

    def trial(config: Settings) -> None:
        settings = dict(config)
        name = tune.get_context().get_trial_id()
        torch.set_num_threads(resources.threads)
        try:
            if resources.workers == 1:
                work(settings, TrialContext(name, journal))
            else:
                member = Member(name, settings)
                told = TuneReportCallback()
                trainer(location / _RUNS, member, work, resources, journal, told).fit()
        except Exception as error:
            tune.report({"error": cause(error)})

    return trial


class _Asking(Searcher):
    """Gives Tune what the book says, as long as there is room."""

    def __init__(self, book: Book, limit: int) -> None:
        super().__init__()
        self.book = book
        self.number: dict[str, int] = {}
        self._limit = limit
        self._running: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Asking, (None, 0)  # Tune keeps a copy that nobody uses; the state is in `save`

    def suggest(self, trial_id: str) -> Any:
        """The settings of the next trial."""
        if len(self._running) >= self._limit:
            return None
        asked = self.book.ask()
        if asked is None:
            return Searcher.FINISHED
        self.number[trial_id], settings = asked
        self._running.add(trial_id)
        return settings

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the book that a trial has ended."""
        self._running.discard(trial_id)
        told = (result or {}).get("error", "")
        self.book.finish(self.number[trial_id], told or ("its process died" if error else ""))

    def save(self, checkpoint_path: str) -> None:
        """Which trial of Tune is which of the book."""
        Path(checkpoint_path).write_text(json.dumps([self.number, sorted(self._running)]))

    def restore(self, checkpoint_path: str) -> None:
        """The same, after a kill."""
        self.number, running = json.loads(Path(checkpoint_path).read_text())
        self._running = set(running)
        self.book.go_on(self.number[trial_id] for trial_id in running)


class _Judging(FIFOScheduler):
    """Ends the trials that the book ends."""

    def __init__(self, asking: _Asking) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Ray's
        self._asking = asking

    def __reduce__(self) -> tuple[Any, ...]:
        return _Judging, (None,)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002 - Tune's
        """Have a report judged; one before the first validation only carries a checkpoint."""
        stop = "error" in result or (
            "best" in result
            and self._asking.book.judge(
                self._asking.number[trial.trial_id],
                progress=result["progress"],
                steps=int(result["global_step"]),
                best=result["best"],
            )
        )
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)


class _Telling(Callback):
    """Tells the listener, in the driver."""

    def __init__(self, asking: _Asking, journal: Any, listener: Listener) -> None:
        self._asking = asking
        self._journal = journal
        self._listener = listener
        self._polled = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return _Telling, (None, None, None)

    def poll(self) -> None:
        """Pass on what was measured since the last time."""
        self._polled = time.monotonic()
        for name, measurements in ray.get(self._journal.take.remote()):
            self._listener.measured(self._asking.number[name], measurements)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002 - Tune's
        """Called by Tune's loop, several times a second."""
        if time.monotonic() - self._polled > POLL_S:
            self.poll()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002 - Tune's
        """A trial begins, or goes on after a kill."""
        self._listener.begun(self._asking.number[trial.trial_id], trial.config)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002 - Tune's
        """A trial ended, or was ended."""
        self.poll()
        self._listener.ended(self._asking.number[trial.trial_id])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002 - Tune's
        """A trial's process died too often."""
        self.on_trial_complete(iteration, trials, trial)


def _folder(trial: Any) -> str:
    """A trial's folder; Tune's own name would hold all settings."""
    return f"trial-{trial.trial_id}"


def _restorable(where: Location) -> bool:
    """Whether a killed process left a state of Tune in which there are trials."""
    states = [entry.name for entry in where.files() if entry.name.startswith(_STATE)]
    with contextlib.suppress(UserError, ValueError):
        return bool(states) and bool(json.loads((where / states[-1]).read_text())["trial_data"])
    return False
