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
from tuning.trials import Tried

_FEWEST = 4  # trials


def common_share(tried: Sequence[Tried]) -> float:
    """The share of the schedule that every trial with a validation reached."""
    return min((trial.curve[-1][0] for trial in tried if trial.curve), default=0.0)


def value_at(trial: Tried, share: float) -> float | None:
    """The best validation metric of a trial up to a share of its schedule."""
    return max((value for at, value in trial.curve if at <= share), default=None)


def importance(tried: Sequence[Tried], space: Space) -> dict[str, float]:
    """The share of the metric's variance that each setting explains, the largest first.

    Args:
        tried: Trials; those without a validation up to the common share are left out.
        space: What was searched.

    Returns:
        By key, summing to 1 (Hutter, Hoos, Leyton-Brown 2014, by Optuna); empty if there are too
        few trials, or all are equal.
    """
    share = common_share(tried)
    study = optuna.create_study(direction="maximize")
    for trial in tried:
        value = value_at(trial, share)
        if value is not None:
            study.add_trial(
                create_trial(params=trial.settings, distributions=dict(space), value=value)
            )
    values = {trial.value for trial in study.trials}
    if len(study.trials) < _FEWEST or len(values) < 2:
        return {}
    evaluator = FanovaImportanceEvaluator(seed=0)
    explained: dict[str, float] = optuna.importance.get_param_importances(
        study, evaluator=evaluator
    )
    return dict(explained)
