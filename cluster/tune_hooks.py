"""The searcher, the schedulers and the callback that Ray Tune is given; they keep no state.

What is tried and which trial ends is decided by a :class:`TrialStudy`, which remembers all of it by
itself. Tune pickles its searcher, scheduler and callbacks when a sweep begins and unpickles them
when it is restored after a kill. Ours are pickled as a name, and what is unpickled is the object of
that name that lives in the restoring process: see :func:`alive`.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import ray
from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.search import Searcher

from cluster.ray_internals import without_searcher
from cluster.training import POLL_S
from mmkrl.train.learner import Measurement

Settings: TypeAlias = dict[str, Any]

_ALIVE: dict[str, Any] = {}


class TrialStudy(Protocol):
    """What is tried, and which trial ends; it remembers all of it by itself."""

    def resume(self, numbers: Iterable[int]) -> None:
        """Trials that an earlier process began, by number, go on where they were."""
        ...

    def ask(self) -> tuple[int, Settings] | None:
        """The number and the settings of a trial to begin; None if there is none to come."""
        ...

    def report(self, number: int, *, progress: float, steps: int, best: float) -> bool:
        """Note how far a trial is; whether it ends here."""
        ...

    def change_settings(self, number: int, settings: Settings) -> None:
        """A trial goes on from the weights of a better one, with these settings."""
        ...

    def finish(self, number: int, error: str = "") -> None:
        """A trial has ended, by itself, by :meth:`report` or by an error."""
        ...


@dataclass(frozen=True)
class Population:
    """Trials that change their settings on the way (Jaderberg et al. 2017).

    Attributes:
        size: Number of trials, all begun at once and taking turns.
        ranges: What may change: lowest and highest value by setting, and whether on a logarithmic
            scale.
        interval: Share of the schedule between changes.
    """

    size: int
    ranges: Mapping[str, tuple[float, float, bool]]
    interval: float


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


@contextlib.contextmanager
def alive(*hooks: PickledByName) -> Iterator[None]:
    """Inside the block, what Tune unpickles of an earlier process are these."""
    _ALIVE.update({hook.pickled_as: hook for hook in hooks})
    try:
        yield
    finally:
        _ALIVE.clear()


class PickledByName:
    """Pickled as a name, and unpickled as what is :func:`alive` under that name."""

    pickled_as: ClassVar[str]

    def __reduce__(self) -> tuple[Any, ...]:
        return _alive_as, (self.pickled_as,)


def _alive_as(name: str) -> Any:
    return _ALIVE[name]


class StudySearcher(PickledByName, Searcher):
    """Gives Tune the trials of a study, as long as there is room."""

    pickled_as = "searcher"

    def __init__(self, study: TrialStudy, limit: int) -> None:
        super().__init__()
        self.study = study
        self.number: dict[str, int] = {}
        self._limit = limit
        self._running: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        """The settings of the next trial."""
        if len(self._running) >= self._limit:
            return None
        asked = self.study.ask()
        if asked is None:
            return Searcher.FINISHED
        self.number[trial_id], settings = asked
        self._running.add(trial_id)
        return settings

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study that a trial has ended."""
        self._running.discard(trial_id)
        raised = (result or {}).get("error", "")
        self.study.finish(self.number[trial_id], raised or ("its process died" if error else ""))

    def report(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial ends; a report before the first validation only has a checkpoint."""
        if "error" in result:
            return True
        return "best" in result and self.study.report(
            self.number[trial_id],
            progress=result["progress"],
            steps=int(result["global_step"]),
            best=result["best"],
        )

    def save(self, checkpoint_path: str) -> None:
        """Which trial of Tune is which of the study."""
        Path(checkpoint_path).write_text(json.dumps([self.number, sorted(self._running)]))

    def restore(self, checkpoint_path: str) -> None:
        """The same, after a kill."""
        self.number, running = json.loads(Path(checkpoint_path).read_text())
        self._running = set(running)
        self.study.resume(self.number[trial_id] for trial_id in running)


class StudyScheduler(PickledByName, FIFOScheduler):
    """Ends the trials that the study ends."""

    pickled_as = "scheduler"

    def __init__(self, searcher: StudySearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Ray's
        self._searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002 - Tune's
        """Ask the study."""
        ends = self._searcher.report(trial.trial_id, result)
        return str(TrialScheduler.STOP if ends else TrialScheduler.CONTINUE)


class PBTScheduler(PickledByName, PopulationBasedTraining):
    """The same, and lets trials that are behind go on from better ones."""

    pickled_as = "scheduler"

    def __init__(self, searcher: StudySearcher, population: Population) -> None:
        self._searcher = searcher
        self._population = population
        super().__init__(
            time_attr="progress",
            metric="best",
            mode="max",
            perturbation_interval=population.interval,
            hyperparam_mutations={
                key: tune.loguniform(low, high) if log else tune.uniform(low, high)
                for key, (low, high, log) in population.ranges.items()
            },
            custom_explore_fn=self._within_ranges,
            log_config=False,
            require_attrs=False,
        )

    def _within_ranges(self, settings: Settings) -> Settings:
        for key, (low, high, _) in self._population.ranges.items():
            settings[key] = min(max(settings[key], low), high)
        return settings

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002 - Tune's
        """A trial joins the population."""
        super().on_trial_add(without_searcher(), trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Ask the study, and compare a trial that goes on with the others."""
        # Tune changes a trial's configuration when it copies a better one (exploit and explore) and
        # tells nobody; what it trains with is known at its next report.
        number = self._searcher.number[trial.trial_id]
        self._searcher.study.change_settings(number, dict(trial.config))
        if self._searcher.report(trial.trial_id, result):
            return str(TrialScheduler.STOP)
        return str(super().on_trial_result(tune_controller, trial, result))


class ProgressCallback(PickledByName, Callback):
    """Tells the listener, in the driver."""

    pickled_as = "callback"

    def __init__(self, searcher: StudySearcher, journal: Any, listener: Listener) -> None:
        self._searcher = searcher
        self._journal = journal
        self._listener = listener
        self._polled = 0.0

    def poll(self) -> None:
        """Pass on what was measured since the last time."""
        self._polled = time.monotonic()
        for name, measurements in ray.get(self._journal.take.remote()):
            self._listener.measured(self._searcher.number[name], measurements)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002 - Tune's
        """Called by Tune's loop, several times a second."""
        if time.monotonic() - self._polled > POLL_S:
            self.poll()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002 - Tune's
        """A trial begins, or goes on after a kill."""
        self._listener.begun(self._searcher.number[trial.trial_id], trial.config)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002 - Tune's
        """A trial ended, or was ended."""
        self.poll()
        self._listener.ended(self._searcher.number[trial.trial_id])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002 - Tune's
        """A trial's process died too often."""
        self.on_trial_complete(iteration, trials, trial)
