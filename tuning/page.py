"""The page of a sweep: what was tried, what it cost, what mattered and what is best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import resources

from tuning.charts import bars, best_so_far, curves, heat_map, parallel
from tuning.importance import common_share, importance
from tuning.spaces import Space
from tuning.trials import Tried

_PREFERRED = ("margin", "dimension")  # of a heat map


def page(tried: Sequence[Tried], space: Space, best: Tried, *, key: str) -> str:
    """The page as self-contained HTML; all text is escaped.

    Args:
        tried: Every trial.
        space: What was searched.
        best: The best trial.
        key: What identifies the sweep.
    """
    import jinja2

    template = resources.files(__package__).joinpath("sweep.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    counts = Counter(trial.outcome for trial in tried)
    return environment.from_string(template).render(
        best=best,
        key=key,
        counts=", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()),
        steps=sum(trial.steps for trial in tried),
        whole=sum(trial.schedule for trial in tried),
        charts=_charts([trial for trial in tried if trial.value is not None], space),
        keys=list(space),
        rows=sorted(tried, key=lambda trial: -(trial.value or 0.0)),
    )


def _charts(tried: Sequence[Tried], space: Space) -> list[dict[str, str]]:
    """Title, explanation and picture of each chart that can be drawn."""
    mattered = importance(tried, space)
    share = common_share(tried)
    charts = [
        ("Every trial", "Blue ones came to the end of their schedule.", curves(tried)),
        ("Best so far over cost", "In the order in which trials began.", best_so_far(tried)),
        ("Settings and what they gave", "One line a trial.", parallel(tried, space)),
    ]
    if mattered:
        told = (
            "Functional ANOVA of the metric when "
            f"{share:.0%} of the schedule was done: as far as all trials came."
        )
        charts.insert(2, ("What mattered", told, bars(mattered)))
    pair = _pair(mattered or dict.fromkeys(space, 0.0))
    if pair:
        told = (
            "The best of each cell, and its number of trials; one cut short has what it had then."
        )
        charts.append((f"{pair[0]} by {pair[1]}", told, heat_map(tried, space, *pair)))
    return [{"title": title, "told": told, "svg": svg} for title, told, svg in charts]


def _pair(mattered: dict[str, float]) -> tuple[str, str] | None:
    """Margin and dimension if they were searched, or the two settings that mattered most."""
    wanted = [key for last in _PREFERRED for key in mattered if key.rsplit(".", 1)[-1] == last]
    keys = list(dict.fromkeys([*wanted, *mattered]))
    return (keys[0], keys[1]) if len(keys) > 1 else None
