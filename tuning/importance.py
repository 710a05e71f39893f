"""How much each setting mattered: functional ANOVA over the trials of a sweep.

Trials that ended early cannot be compared by their best values with those that went on. So all are
compared where all have been: at the share of the schedule that the shortest one reached.
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import create_trial

from tuning.spaces import Space
from tuning.trials import TrialRecord

EVALUATOR = FanovaImportanceEvaluator(seed=0)
"""Hutter, Hoos, Leyton-Brown 2014, by Optuna."""

_FEWEST = 4  # trials


def common_share(trials: Sequence[TrialRecord]) -> float:
    """The share of the schedule that every trial with a validation reached."""
    return min((trial.curve[-1][0] for trial in trials if trial.curve), default=0.0)


def value_at(trial: TrialRecord, share: float) -> float | None:
    """The best validation metric of a trial up to a share of its schedule."""
    return max((value for at, value in trial.curve if at <= share), default=None)


def study_at(trials: Sequence[TrialRecord], space: Space, share: float = 1.0) -> optuna.Study:
    """Trials as a study in memory in which all count alike, however they ended.

    Args:
        trials: Those without a validation up to the share are left out.
        space: What was searched.
        share: The value of a trial is its best up to this share of its schedule.
    """
    study = optuna.create_study(direction="maximize")
    for trial in trials:
        value = value_at(trial, share)
        if value is not None:
            added = create_trial(
                params=trial.settings,
                distributions=dict(space),
                value=value,
                intermediate_values={round(100 * at): best for at, best in trial.curve},
            )
            study.add_trial(added)
    return study


def importance(study: optuna.Study) -> dict[str, float]:
    """The share of the metric's variance that each setting explains, the largest first.

    Args:
        study: Trials compared at the same share of their schedules.

    Returns:
        By key, summing to 1; empty if there are too few trials, or all are equal.
    """
    if len(study.trials) < _FEWEST or len({trial.value for trial in study.trials}) < 2:
        return {}
    explained: dict[str, float] = optuna.importance.get_param_importances(
        study, evaluator=EVALUATOR
    )
    return dict(explained)
