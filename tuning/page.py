"""The page of a sweep: what was tried, what it cost, what mattered and what is best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import resources

from tuning import charts
from tuning.importance import common_share, importance, study_at
from tuning.spaces import Space
from tuning.trials import TrialRecord

_PREFERRED = ("margin", "dimension")  # to be drawn against each other


def page(trials: Sequence[TrialRecord], space: Space, best: TrialRecord, *, key: str) -> str:
    """The page as self-contained HTML; all text is escaped.

    Args:
        trials: Every trial.
        space: What was searched.
        best: The best trial.
        key: What identifies the sweep.
    """
    import jinja2

    template = resources.files(__package__).joinpath("sweep.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    counts = Counter(trial.outcome for trial in trials)
    return environment.from_string(template).render(
        best=best,
        key=key,
        counts=", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()),
        steps=sum(trial.steps for trial in trials),
        whole=sum(trial.schedule for trial in trials),
        charts=_charts(trials, space),
        keys=list(space),
        rows=sorted(trials, key=lambda trial: -(trial.value or 0.0)),
    )


def _charts(trials: Sequence[TrialRecord], space: Space) -> list[dict[str, str]]:
    """Title, explanation and picture of each chart that can be drawn."""
    share = common_share(trials)
    ended, compared = study_at(trials, space), study_at(trials, space, share)
    mattered = importance(compared)
    drawn = [
        (
            "Every trial",
            "The best so far over the schedule; lines that end early were cut short.",
            charts.intermediate_values(ended),
        ),
        (
            "Best so far",
            "Every trial, and the best of all, in the order in which they began.",
            charts.optimization_history(ended),
        ),
        ("Settings and what they gave", "One line a trial.", charts.parallel_coordinate(ended)),
    ]
    if mattered:
        told = (
            "Functional ANOVA of the metric when "
            f"{share:.0%} of the schedule was done: as far as all trials came."
        )
        drawn.insert(2, ("What mattered", told, charts.param_importances(compared)))
    pair = _pair(mattered or dict.fromkeys(space, 0.0))
    if pair:
        told = "One point a trial; one cut short has what it had then."
        drawn.append((f"{pair[0]} by {pair[1]}", told, charts.rank(ended, *pair)))
    return [{"title": title, "told": told, "svg": svg} for title, told, svg in drawn]


def _pair(mattered: dict[str, float]) -> tuple[str, str] | None:
    """Margin and dimension if they were searched, or the two settings that mattered most."""
    wanted = [key for last in _PREFERRED for key in mattered if key.rsplit(".", 1)[-1] == last]
    keys = list(dict.fromkeys([*wanted, *mattered]))
    return (keys[0], keys[1]) if len(keys) > 1 else None
