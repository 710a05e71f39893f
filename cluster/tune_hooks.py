"""How Ray Tune asks for trials, has them judged, and tells of them: thin, and without a memory.

What is tried and which trial ends is decided by a :class:`Book`, which remembers all of it by
itself. Tune pickles its searcher, scheduler and callbacks when a sweep begins and unpickles them
after a kill; ours become empty ones then, and :func:`cluster.tuning.tune_trials` puts those that
live in their place.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, TypeAlias

import ray
from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.search import Searcher

from cluster.training import POLL_S
from mmkrl.train.learner import Measurement

Settings: TypeAlias = dict[str, Any]


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

    def change(self, number: int, settings: Settings) -> None:
        """A trial goes on from the weights of a better one, with these settings."""
        ...

    def finish(self, number: int, error: str = "") -> None:
        """A trial has ended, by itself, by :meth:`judge` or by an error."""
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


class Asking(Searcher):
    """Gives Tune what the book says, as long as there is room."""

    def __init__(self, book: Book, limit: int) -> None:
        super().__init__()
        self.book = book
        self.number: dict[str, int] = {}
        self._limit = limit
        self._running: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        return Asking, (None, 0)  # Tune keeps a copy that nobody uses; the state is in `save`

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

    def judge(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial ends; a report before the first validation only has a checkpoint."""
        if "error" in result:
            return True
        return "best" in result and self.book.judge(
            self.number[trial_id],
            progress=result["progress"],
            steps=int(result["global_step"]),
            best=result["best"],
        )

    def save(self, checkpoint_path: str) -> None:
        """Which trial of Tune is which of the book."""
        Path(checkpoint_path).write_text(json.dumps([self.number, sorted(self._running)]))

    def restore(self, checkpoint_path: str) -> None:
        """The same, after a kill."""
        self.number, running = json.loads(Path(checkpoint_path).read_text())
        self._running = set(running)
        self.book.go_on(self.number[trial_id] for trial_id in running)


class Judging(FIFOScheduler):
    """Ends the trials that the book ends."""

    def __init__(self, asking: Asking) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Ray's
        self._asking = asking

    def __reduce__(self) -> tuple[Any, ...]:
        return Judging, (None,)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002 - Tune's
        """Have a report judged."""
        ends = self._asking.judge(trial.trial_id, result)
        return str(TrialScheduler.STOP if ends else TrialScheduler.CONTINUE)


class Changing(PopulationBasedTraining):
    """The same, and lets trials that are behind go on from better ones.

    Tune itself allows no searcher beside it, since settings change behind a searcher's back; the
    book is told.
    """

    def __init__(self, asking: Asking, population: Population) -> None:
        self._asking = asking
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
            custom_explore_fn=self._within,
            log_config=False,
            require_attrs=False,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Judging, (None,)

    def _within(self, settings: Settings) -> Settings:
        for key, (low, high, _) in self._population.ranges.items():
            settings[key] = min(max(settings[key], low), high)
        return settings

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002 - Tune's
        """A trial joins the population."""
        without: Any = SimpleNamespace(search_alg=None)
        super().on_trial_add(without, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Have a report judged, and a trial that goes on compared."""
        self._asking.book.change(self._asking.number[trial.trial_id], dict(trial.config))
        if self._asking.judge(trial.trial_id, result):
            return str(TrialScheduler.STOP)
        return str(super().on_trial_result(tune_controller, trial, result))


class Telling(Callback):
    """Tells the listener, in the driver."""

    def __init__(self, asking: Asking, journal: Any, listener: Listener) -> None:
        self._asking = asking
        self._journal = journal
        self._listener = listener
        self._polled = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return Telling, (None, None, None)

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
