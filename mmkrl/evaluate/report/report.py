"""Rendering of results: plain JSON and a terminal table.

Every number stays beside the definition it was measured with. Nothing is computed, ranked or
judged here; files and consoles are the caller's.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.intervals import Interval
from mmkrl.evaluate.metrics.metric import Metric

MISSING = "-"
"""Shown where a method has no value for a task."""


@dataclass(frozen=True, slots=True)
class TaskScores:
    """The results of one method on one task.

    Attributes:
        task: name of the task, e.g. `text-image`.
        n_queries: queries in the pool, those skipped included.
        n_gallery: items each query is ranked against.
        definition: what counts as relevant.
        metrics: interval of each metric by its name.
        skipped: queries left out because nothing in the gallery is relevant to them.
    """

    task: str
    n_queries: int
    n_gallery: int
    definition: str
    metrics: Mapping[str, Interval]
    skipped: int = 0


Results = Mapping[str, Mapping[str, TaskScores]]
"""{method: {task: scores}}."""


def by_task(scores: Sequence[TaskScores]) -> dict[str, TaskScores]:
    """Index the scores of one method by task.

    Raises:
        UserError: a task given twice.
    """
    indexed = {score.task: score for score in scores}
    if len(indexed) != len(scores):
        raise UserError(f"a task is given twice: {[score.task for score in scores]}")
    return indexed


def as_json(results: Results) -> dict[str, Any]:
    """Results as plain dicts, lists, numbers and strings: {method: {task: {..., metrics}}}.

    A bound that does not exist (NaN) becomes None, since JSON has no NaN.
    """
    return {
        method: {task: _task_json(scores) for task, scores in tasks.items()}
        for method, tasks in results.items()
    }


def from_json(values: Mapping[str, Any]) -> dict[str, dict[str, TaskScores]]:
    """Results back from :func:`as_json`."""
    return {
        method: {task: _task_from_json(task, scores) for task, scores in tasks.items()}
        for method, tasks in values.items()
    }


def _task_from_json(task: str, values: Mapping[str, Any]) -> TaskScores:
    metrics = {name: interval_from_json(each) for name, each in values["metrics"].items()}
    return TaskScores(**{**values, "task": task, "metrics": metrics})


def interval_from_json(values: Mapping[str, Any]) -> Interval:
    """An interval of a report; a bound that does not exist becomes NaN again."""
    bounds = {name: _not_a_number(values[name]) for name in ("mean", "low", "high")}
    return Interval(**{**values, **bounds, "seed_values": tuple(values["seed_values"])})


def _not_a_number(value: float | None) -> float:
    return math.nan if value is None else value


def _task_json(scores: TaskScores) -> dict[str, Any]:
    return {
        "n_queries": scores.n_queries,
        "n_gallery": scores.n_gallery,
        "skipped": scores.skipped,
        "definition": scores.definition,
        "metrics": {name: _interval_json(value) for name, value in scores.metrics.items()},
    }


def as_text(
    results: Results,
    reference: str,
    ahead: Mapping[str, Mapping[str, Interval]],
    metric: Callable[[str], Metric],
) -> str:
    """The report file: metrics, all results, and how far one method is ahead of the others.

    Args:
        results: scores by method and task.
        reference: the method that is compared.
        ahead: its paired differences, {other method: {"task metric": interval}}.
        metric: the metric of a name.
    """
    metrics = {name: metric(name).to_json() for name in metric_names(results)}
    differences = {
        other: {name: _interval_json(interval) for name, interval in each.items()}
        for other, each in ahead.items()
    }
    report = {
        "metrics": metrics,
        "results": as_json(results),
        "ahead": {reference: differences},
    }
    return json.dumps(report, indent=1)


def metric_names(results: Results) -> list[str]:
    """The names of all metrics in results, in the order in which they come."""
    every = (scores.metrics for tasks in results.values() for scores in tasks.values())
    return list(dict.fromkeys(name for metrics in every for name in metrics))


def metrics_of(report: Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics of a report by name, as it describes them.

    Raises:
        UserError: a report of an earlier version, which does not.
    """
    if "metrics" not in report:
        raise UserError(
            "the report does not say which metrics are better when lower, as those of earlier "
            "versions: evaluate again with --force"
        )
    return {name: Metric.from_json(name, values) for name, values in report["metrics"].items()}


def interval_text(interval: Interval | None, metric: Metric) -> str:
    """A value with its interval, with the digits of its metric; empty where there is no value."""
    if interval is None:
        return ""
    mean, low, high = (
        f"{bound:.{metric.digits}f}" for bound in (interval.mean, interval.low, interval.high)
    )
    return mean if math.isnan(interval.low) else f"{mean} ({low} to {high})"


def _interval_json(interval: Interval) -> dict[str, Any]:
    return {
        "mean": _number(interval.mean),
        "low": _number(interval.low),
        "high": _number(interval.high),
        "n_groups": interval.n_groups,
        "n_queries": interval.n_queries,
        "seed_values": [_number(value) for value in interval.seed_values],
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def as_table(
    results: Results,
    metrics: Mapping[str, Metric],
    *,
    columns: Sequence[tuple[str, str]],
    title: str = "",
) -> Table:
    """A table of methods x chosen numbers, each with its interval below it.

    Args:
        results: scores by method and task; a method may lack a task or a metric.
        metrics: the metrics by name; an arrow marks those that are better when lower.
        columns: (task, metric) of each number to show, in order.
        title: title of the table.

    Returns:
        The table, with pools and definitions in its caption.

    Raises:
        UserError: a task or metric that no method has.
    """
    for task, metric in columns:
        _check_known(results, task, metric)
    caption = Text(_caption(results, dict.fromkeys(task for task, _ in columns)))
    table = Table(title=Text(title), caption=caption, caption_justify="left")
    table.add_column("method")
    for task, metric in columns:
        table.add_column(Text(f"{task}\n{metrics[metric].title}"), justify="right")
    for method, tasks in results.items():
        cells = (_cell(tasks.get(task), metrics[metric]) for task, metric in columns)
        table.add_row(Text(method), *cells)
    return table


def _cell(scores: TaskScores | None, metric: Metric) -> str:
    if scores is None or metric.name not in scores.metrics:
        return MISSING
    interval, digits = scores.metrics[metric.name], metric.digits
    if math.isnan(interval.low):
        return f"{interval.mean:.{digits}f}\nno interval"
    return f"{interval.mean:.{digits}f}\n{interval.low:.{digits}f}-{interval.high:.{digits}f}"


def _caption(results: Results, shown: Iterable[str]) -> str:
    """One line per different (task, pools, definition)."""
    lines = [
        f"{task}: {scores.n_queries} queries ({scores.skipped} skipped) x "
        f"{scores.n_gallery} items; {scores.definition}"
        for task in shown
        for tasks in results.values()
        if (scores := tasks.get(task))
    ]
    return "\n".join(dict.fromkeys(lines))


def _check_known(results: Results, task: str, metric: str) -> None:
    known = {
        f"{name} {each}"
        for tasks in results.values()
        for name, scores in tasks.items()
        for each in scores.metrics
    }
    if f"{task} {metric}" not in known:
        raise UserError(f"no method has '{task} {metric}': there are {sorted(known)}")
