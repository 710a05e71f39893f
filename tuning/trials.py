"""The trials of a sweep: an Optuna study that a kill cannot hurt.

What was tried, how far it came, what was decided and what is next is in one journal, a file of
JSON lines, local or ``s3://``, written before anything is done with it. A process that starts
again reads it and goes on: no trial is lost, none has another number, and the rungs of ASHA hold
what they held. (Ray Tune's own restore keeps neither the rungs nor the trials begun since its last
snapshot.) One process writes.

Trials are compared by shares of their schedules, in thousandths: their schedules may differ.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import optuna
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from cluster.sweep_config import SweepConfig
from mmkrl.io.storage import Location
from tuning.spaces import Settings, Space, grid

Outcome: TypeAlias = Literal["running", "done", "pruned", "plateau", "budget", "failed"]

_WHOLE = 1000  # a schedule's length in the study
_STUDY = "sweep"


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial.

    Attributes:
        number: From 0.
        settings: What was tried; at last, if they changed on the way.
        outcome: How it ended.
        curve: Share of the schedule and best validation metric so far, at each validation.
        steps: Optimiser steps done.
        schedule: Optimiser steps of its whole schedule; 0 if it was never validated.
        error: Why it failed, if it did.
    """

    number: int
    settings: Settings
    outcome: Outcome
    curve: tuple[tuple[float, float], ...]
    steps: int
    schedule: int
    error: str

    @property
    def value(self) -> float | None:
        """The best validation metric."""
        return self.curve[-1][1] if self.curve else None


class OptunaStudy:
    """The trials of a sweep, those of earlier processes as well.

    It is the :class:`cluster.tune_hooks.TrialStudy` that Ray Tune is given.

    Args:
        file: The journal.
        space: What is searched.
        config: Sampler, rungs and budget.
    """

    def __init__(self, file: Location, space: Space, config: SweepConfig) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = dict(sorted(space.items()))  # what is drawn depends on the order
        self._config = config
        self._storage = JournalStorage(Journal(file))
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=_STUDY,
            direction="maximize",
            pruner=_pruner(config),
            load_if_exists=True,
        )
        self._study_id = self._storage.get_study_id_from_name(_STUDY)
        self._running: set[int] = set()
        self._since = time.monotonic()
        if config.sampler == "grid" and not self._study.get_trials(deepcopy=False):
            settings = grid(self._space, config.points)
            random.Random(config.seed).shuffle(settings)  # noqa: S311 - no secret
            for one in settings[: config.trials]:
                self._study.enqueue_trial(one)
        for number in self._decided():
            self.finish(number)

    def resume(self, numbers: Iterable[int]) -> None:
        """Trials that an earlier process began, by number, go on where they were."""
        self._running |= {n for n in numbers if not self._trial(n).state.is_finished()}

    def ask(self) -> tuple[int, Settings] | None:
        """The number and the settings of a trial to begin; None if there is none to come."""
        if self.spent():
            return None
        # Begun, but not running: its settings were drawn and a kill came before Tune had them. It
        # is given out again, so that no number is lost.
        begun = [t for t in self._all() if t.state == TrialState.RUNNING]
        trial = next((t for t in begun if t.number not in self._running), None)
        if trial is None:
            waiting = any(t.state == TrialState.WAITING for t in self._all())
            full = len(self._all()) >= self._config.trials or self._config.sampler == "grid"
            if full and not waiting:
                return None
            self._study.sampler = _sampler(self._config, len(self._all()))
            trial = self._trial(self._study.ask(self._space).number)
        self._running.add(trial.number)
        return trial.number, dict(trial.params)

    def report(self, number: int, *, progress: float, steps: int, best: float) -> bool:
        """Note how far a trial is; whether it ends here.

        Args:
            number: The trial.
            progress: Share of its schedule that is done.
            steps: Optimiser steps done.
            best: Best validation metric so far.
        """
        trial = self._trial(number)
        if trial.state.is_finished() or "outcome" in trial.user_attrs:
            return True
        at = round(_WHOLE * progress)
        # Judged before a kill, and reported again after the checkpoint it resumed from.
        if at in trial.intermediate_values:
            return False
        if "total" not in trial.user_attrs:
            self._note(number, "total", round(steps / progress))
        self._storage.set_trial_intermediate_value(self._id(number), at, float(best))
        if progress >= 1:
            return False
        outcome = self._verdict(number)
        if outcome:
            self._note(number, "outcome", outcome)
        return outcome is not None

    def change_settings(self, number: int, settings: Settings) -> None:
        """A trial goes on from the weights of a better one, with these settings."""
        trial = self._trial(number)
        if settings != _settings(trial) and not trial.state.is_finished():
            self._note(number, "settings", settings)

    def finish(self, number: int, error: str = "") -> None:
        """A trial has ended, by itself, by :meth:`report` or by an error."""
        trial = self._trial(number)
        self._running.discard(number)
        if trial.state.is_finished():
            return
        if error or not trial.intermediate_values:
            self._note(number, "error", error or "it ended without a validation")
            self._study.tell(number, state=TrialState.FAIL)
        elif trial.user_attrs.get("outcome") in ("pruned", "budget"):
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, max(trial.intermediate_values.values()))
        self._study.set_user_attr("seconds", self.seconds())
        self._since = time.monotonic()

    def complete(self) -> bool:
        """Whether all trials have ended and none is to come."""
        there = self._all()
        ended = all(trial.state.is_finished() for trial in there)
        running = any(trial.state == TrialState.RUNNING for trial in there)
        drawn = self._config.sampler == "grid" or len(there) >= self._config.trials
        return not running and (self.spent() or (drawn and ended))

    @property
    def recorded(self) -> list[int]:
        """The trials whose end is in MLflow."""
        numbers: list[int] = self._study.user_attrs.get("recorded", [])
        return numbers

    def note_recorded(self, number: int) -> None:
        """The end of a trial is in MLflow now."""
        self._study.set_user_attr("recorded", [*self.recorded, number])

    def spent(self) -> bool:
        """Whether the budget of steps or hours is spent."""
        config = self._config
        if config.hours is not None and self.seconds() >= 3600 * config.hours:
            return True
        return config.steps is not None and self.steps() >= config.steps

    def steps(self) -> int:
        """Optimiser steps of all trials."""
        return sum(record.steps for record in self.records())

    def seconds(self) -> float:
        """Seconds of this process and of those before it, to their last ended trial."""
        return float(self._study.user_attrs.get("seconds", 0.0)) + time.monotonic() - self._since

    def records(self) -> list[TrialRecord]:
        """Every trial that was begun, by number."""
        return [_record(t) for t in self._all() if t.state != TrialState.WAITING]

    def best(self) -> TrialRecord | None:
        """The best trial that did not fail; the earliest of equal ones."""
        good = [t for t in self.records() if t.outcome != "failed" and t.value is not None]
        return max(good, key=lambda t: t.value or 0.0, default=None)

    def _verdict(self, number: int) -> Outcome | None:
        if self.spent():
            return "budget"
        if self._study.pruner.prune(self._study, self._trial(number)):
            return "pruned"
        patience = self._config.patience
        values = list(_curve(self._trial(number)))
        if patience and len(values) > patience and values[-1][1] <= values[-1 - patience][1]:
            return "plateau"
        return None

    def _decided(self) -> list[int]:
        """Trials that came to their end, when a kill came before it was noted."""
        running = (t for t in self._all() if t.state == TrialState.RUNNING)
        return [t.number for t in running if "outcome" in t.user_attrs or t.last_step == _WHOLE]

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _trial(self, number: int) -> FrozenTrial:
        return self._all()[number]

    def _id(self, number: int) -> int:
        """A trial's key in the storage, by which another process than its own can write to it."""
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _note(self, number: int, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(self._id(number), key, value)


class Journal(BaseJournalBackend):
    """The log of a study in one file, replaced as a whole; one process writes.

    Args:
        file: Where it is.
    """

    def __init__(self, file: Location) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.is_file() else []
        self._logs: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Those from a number on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append to the log.

        The file is written anew, since object stores cannot append; a sweep's log is small.
        """
        self._logs += logs
        self._file.write_bytes("".join(json.dumps(log) + "\n" for log in self._logs).encode())


def _record(trial: FrozenTrial) -> TrialRecord:
    curve = tuple(_curve(trial))
    states: dict[TrialState, Outcome] = {
        TrialState.COMPLETE: "done",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
    }
    outcome = states[trial.state]
    if outcome in ("done", "pruned"):
        outcome = trial.user_attrs.get("outcome", outcome)
    schedule = trial.user_attrs.get("total", 0)
    steps = round(curve[-1][0] * schedule) if curve else 0
    error = trial.user_attrs.get("error", "")
    return TrialRecord(trial.number, _settings(trial), outcome, curve, steps, schedule, error)


def _settings(trial: FrozenTrial) -> Settings:
    """What a trial was begun with, or changed to."""
    return dict(trial.user_attrs.get("settings", trial.params))


def _curve(trial: FrozenTrial) -> Iterable[tuple[float, float]]:
    return ((at / _WHOLE, value) for at, value in sorted(trial.intermediate_values.items()))


def _pruner(config: SweepConfig) -> BasePruner:
    """Asynchronous successive halving (ASHA; Li et al. 2020), whose rungs lie in the study."""
    if config.scheduler != "asha":
        return NopPruner()
    return SuccessiveHalvingPruner(
        min_resource=max(1, round(_WHOLE * config.grace)), reduction_factor=config.reduction
    )


def _sampler(config: SweepConfig, number: int) -> BaseSampler:
    """The sampler of a trial: what it draws depends on the trials so far, not on kills."""
    # A seed for each trial: a sampler's own generator would begin anew in every process, and draw
    # after a kill what it drew before.
    seed = config.seed * 100_003 + number
    if config.sampler == "tpe":
        return TPESampler(seed=seed, constant_liar=True)
    return RandomSampler(seed=seed)
