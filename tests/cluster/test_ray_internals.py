"""What is used of Ray without a public interface is still there, and does what it is used for."""

from __future__ import annotations

import logging

import pytest
import ray
from ray.data import DataContext
from ray.tune.schedulers import PopulationBasedTraining

from cluster.ray_internals import PROGRESS_LOGGER, called_at_every_step, without_searcher

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.usefixtures("one_ray")]


class EndedError(Exception):
    """Raised by the caller of a plan."""


def test_what_is_called_at_every_step_of_a_plan_may_end_it():
    calls = []

    def check():
        calls.append(len(calls))
        if len(calls) > 3:
            raise EndedError

    before = DataContext.get_current().copy()
    with called_at_every_step(check), pytest.raises(EndedError):
        list(ray.data.range(1000).map(lambda row: row).iter_rows())
    assert DataContext.get_current() == before
    assert calls == [0, 1, 2, 3]
    assert len(list(ray.data.range(3).iter_rows())) == 3  # plans made outside are left alone


def test_a_logger_says_that_progress_bars_are_off():
    """Where Ray has moved it, silence it under its new name."""
    assert PROGRESS_LOGGER in logging.Logger.manager.loggerDict


def test_a_population_takes_trials_where_it_sees_no_searcher():
    """Beside a searcher it refuses them, which is why it is shown none."""
    scheduler = PopulationBasedTraining(
        "progress", metric="best", mode="max", hyperparam_mutations={"a": [1]}
    )
    seen = without_searcher()
    with pytest.raises(AttributeError, match="run_metadata"):  # far enough: the trial is no trial
        scheduler.on_trial_add(seen, object())
