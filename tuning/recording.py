"""The runs of a sweep in MLflow: one child a trial, under the sweep's own.

A trial is known by its number, so that one that goes on after a kill continues its run.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmkrl.tracking.runs import Run
from mmkrl.train.learner import Measurement
from tuning.spaces import Settings
from tuning.trials import Trials

_BEST = "best"


class Recorder:
    """Records every trial.

    Args:
        parent: The sweep's run.
        identity: What identifies it.
        trials: What is known of the trials.
    """

    def __init__(self, parent: Run, identity: Mapping[str, str], trials: Trials) -> None:
        self._parent = parent
        self._identity = identity
        self._trials = trials
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
        tried = self._trials.tried()[number]
        run = self._open.pop(number, None)
        if run is None or tried.outcome == "running":
            return
        run.tag("outcome", tried.outcome)
        if tried.error:
            run.tag("error", tried.error)
        if tried.value is not None:
            run.summary({_BEST: tried.value, "steps": tried.steps})
        run.end("FAILED" if tried.outcome == "failed" else "FINISHED")
        self._trials.note_recorded(number)

    def settle(self) -> None:
        """Record the trials that ended while a kill kept their end from being recorded."""
        for tried in self._trials.tried():
            if tried.number not in self._trials.recorded:
                self.begun(tried.number, tried.settings)
                self.ended(tried.number)

    def close(self) -> None:
        """Leave no run open when the sweep itself fails; it may go on later."""
        for run in self._open.values():
            run.end("KILLED")
        self._open.clear()
