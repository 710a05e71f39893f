"""The runs of a sweep in MLflow: one child a trial, under the sweep's own.

A trial is known by its number, so that one that goes on after a kill continues its run.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmkrl.tracking.runs import Run
from mmkrl.train.learner import Measurement
from tuning.spaces import Settings
from tuning.trials import OptunaStudy

_BEST = "best"


class Recorder:
    """Records every trial.

    Args:
        parent: The sweep's run.
        identity: What identifies it.
        study: What is known of the trials.
    """

    def __init__(self, parent: Run, identity: Mapping[str, str], study: OptunaStudy) -> None:
        self._parent = parent
        self._identity = identity
        self._study = study
        self._open: dict[int, Run] = {}

    def begun(self, number: int, settings: Settings) -> None:
        """A trial begins, or goes on."""
        if number not in self._open:
            self._open[number] = self._parent.child(
                f"trial-{number:03}",
                identity={**self._identity, "trial": str(number)},
                params=settings,
            )

    def measured(self, number: int, measurements: list[Measurement]) -> None:
        """A trial measured something; what comes after its end is not wanted."""
        if number in self._open:
            self._open[number].metrics(measurements)

    def ended(self, number: int) -> None:
        """A trial has ended: record how."""
        trial = self._study.records()[number]
        run = self._open.pop(number, None)
        if run is None or trial.outcome == "running":
            return
        run.tag("outcome", trial.outcome)
        if trial.error:
            run.tag("error", trial.error)
        if trial.value is not None:
            run.summary({_BEST: trial.value, "steps": trial.steps})
        run.end("FAILED" if trial.outcome == "failed" else "FINISHED")
        self._study.note_recorded(number)

    def settle(self) -> None:
        """Record the trials that ended while a kill kept their end from being recorded."""
        for trial in self._study.records():
            if trial.number not in self._study.recorded:
                self.begun(trial.number, trial.settings)
                self.ended(trial.number)

    def close(self) -> None:
        """Leave no run open when the sweep itself fails; it may go on later."""
        for run in self._open.values():
            run.end("KILLED")
        self._open.clear()
