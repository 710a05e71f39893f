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
class Tried:
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


class Trials:
    """The trials of a sweep, those of earlier processes as well.

    Args:
        file: The journal.
        space: What is searched.
        config: Sampler, rungs and budget.
    """

    def __init__(self, file: Location, space: Space, config: SweepConfig) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = dict(sorted(space.items()))  # what is drawn depends on the order
        self._config = config
        storage = JournalStorage(Journal(file))
        self._study = optuna.create_study(
            storage=storage,
            study_name=_STUDY,
            direction="maximize",
            pruner=_pruner(config),
            load_if_exists=True,
        )
        self._going: set[int] = set()
        self._since = time.monotonic()
        if config.sampler == "grid" and not self._study.get_trials(deepcopy=False):
            settings = grid(self._space, config.points)
            random.Random(config.seed).shuffle(settings)  # noqa: S311 - no secret
            for one in settings[: config.trials]:
                self._study.enqueue_trial(one)
        for number in self._decided():
            self.finish(number)

    def go_on(self, numbers: Iterable[int]) -> None:
        """Some trials that an earlier process began go on where they were."""
        self._going |= {n for n in numbers if not self._trial(n).state.is_finished()}

    def ask(self) -> tuple[int, Settings] | None:
        """The number and the settings of a trial to begin; None if there is none to come."""
        if self.spent():
            return None
        begun = [t for t in self._all() if t.state == TrialState.RUNNING]
        lost = next((t for t in begun if t.number not in self._going), None)
        if lost is None:
            waiting = any(t.state == TrialState.WAITING for t in self._all())
            full = len(self._all()) >= self._config.trials or self._config.sampler == "grid"
            if full and not waiting:
                return None
            self._study.sampler = _sampler(self._config, len(self._all()))
            lost = self._trial(self._study.ask(self._space).number)
        self._going.add(lost.number)
        return lost.number, dict(lost.params)

    def judge(self, number: int, *, progress: float, steps: int, best: float) -> bool:
        """Note how far a trial is; whether it ends here.

        Args:
            number: The trial.
            progress: Share of its schedule that is done.
            steps: Optimiser steps done.
            best: Best validation metric so far.
        """
        frozen = self._trial(number)
        if frozen.state.is_finished() or "outcome" in frozen.user_attrs:
            return True
        trial = optuna.trial.Trial(self._study, frozen._trial_id)
        at = round(_WHOLE * progress)
        if at in frozen.intermediate_values:
            return False
        if "total" not in frozen.user_attrs:
            trial.set_user_attr("total", round(steps / progress))
        trial.report(best, at)
        if progress >= 1:
            return False
        outcome = self._verdict(trial, number)
        if outcome:
            trial.set_user_attr("outcome", outcome)
        return outcome is not None

    def change(self, number: int, settings: Settings) -> None:
        """A trial goes on from the weights of a better one, with these settings."""
        frozen = self._trial(number)
        if settings != _settings(frozen) and not frozen.state.is_finished():
            trial = optuna.trial.Trial(self._study, frozen._trial_id)
            trial.set_user_attr("settings", settings)

    def finish(self, number: int, error: str = "") -> None:
        """A trial has ended, by itself, by :meth:`judge` or by an error."""
        frozen = self._trial(number)
        self._going.discard(number)
        if frozen.state.is_finished():
            return
        trial = optuna.trial.Trial(self._study, frozen._trial_id)
        if error or not frozen.intermediate_values:
            trial.set_user_attr("error", error or "it ended without a validation")
            self._study.tell(number, state=TrialState.FAIL)
        elif frozen.user_attrs.get("outcome") in ("pruned", "budget"):
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, max(frozen.intermediate_values.values()))
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
        return sum(tried.steps for tried in self.tried())

    def seconds(self) -> float:
        """Seconds of this process and of those before it, to their last ended trial."""
        return float(self._study.user_attrs.get("seconds", 0.0)) + time.monotonic() - self._since

    def tried(self) -> list[Tried]:
        """Every trial that was begun, by number."""
        return [_tried(t) for t in self._all() if t.state != TrialState.WAITING]

    def best(self) -> Tried | None:
        """The best trial that did not fail; the earliest of equal ones."""
        good = [t for t in self.tried() if t.outcome != "failed" and t.value is not None]
        return max(good, key=lambda t: t.value or 0.0, default=None)

    def _verdict(self, trial: optuna.trial.Trial, number: int) -> Outcome | None:
        if self.spent():
            return "budget"
        if trial.should_prune():
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
        """Keep some more."""
        self._logs += logs
        self._file.write_bytes("".join(json.dumps(log) + "\n" for log in self._logs).encode())


def _tried(trial: FrozenTrial) -> Tried:
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
    return Tried(trial.number, _settings(trial), outcome, curve, steps, schedule, error)


def _settings(trial: FrozenTrial) -> Settings:
    """What a trial was begun with, or changed to."""
    return dict(trial.user_attrs.get("settings", trial.params))


def _curve(trial: FrozenTrial) -> Iterable[tuple[float, float]]:
    return ((at / _WHOLE, value) for at, value in sorted(trial.intermediate_values.items()))


def _pruner(config: SweepConfig) -> BasePruner:
    """Asynchronous successive halving (Li et al. 2020), whose rungs lie in the study."""
    if config.scheduler != "asha":
        return NopPruner()
    return SuccessiveHalvingPruner(
        min_resource=max(1, round(_WHOLE * config.grace)), reduction_factor=config.reduction
    )


def _sampler(config: SweepConfig, number: int) -> BaseSampler:
    """The sampler of a trial: what it draws depends on the trials so far, not on kills."""
    seed = config.seed * 100_003 + number
    if config.sampler == "tpe":
        return TPESampler(seed=seed, constant_liar=True)
    return RandomSampler(seed=seed)
