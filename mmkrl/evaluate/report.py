"""Rendering of results: plain JSON and a terminal table.

Every number stays beside the definition it was measured with. Nothing is computed, ranked or
judged here; files and consoles are the caller's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from mmkrl.errors import UserError
from mmkrl.evaluate.intervals import Interval

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


def _task_json(scores: TaskScores) -> dict[str, Any]:
    return {
        "n_queries": scores.n_queries,
        "n_gallery": scores.n_gallery,
        "skipped": scores.skipped,
        "definition": scores.definition,
        "metrics": {name: _interval_json(value) for name, value in scores.metrics.items()},
    }


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


def as_table(results: Results, *, metrics: Sequence[str], title: str = "") -> Table:
    """A table of tasks x methods: one row per task and metric, one column per method.

    Args:
        results: scores by method and task; a method may lack a task or a metric.
        metrics: names of the metrics to show, in order.
        title: title of the table.

    Returns:
        The table, with pools and definitions in its caption.

    Raises:
        UserError: a metric that no method has.
    """
    _check_metrics(results, metrics)
    tasks = list(dict.fromkeys(task for scores in results.values() for task in scores))
    table = Table(title=Text(title), caption=Text(_caption(results)), caption_justify="left")
    table.add_column("task")
    table.add_column("metric")
    for method in results:
        table.add_column(Text(method), justify="right")
    for task in tasks:
        for metric in metrics:
            cells = [_cell(scores.get(task), metric) for scores in results.values()]
            if any(cell != MISSING for cell in cells):
                table.add_row(Text(task), Text(metric), *cells)
    return table


def _cell(scores: TaskScores | None, metric: str) -> str:
    if scores is None or metric not in scores.metrics:
        return MISSING
    interval = scores.metrics[metric]
    if math.isnan(interval.low):
        return f"{interval.mean:.3f} (no interval)"
    return f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _caption(results: Results) -> str:
    """One line per different (task, pools, definition)."""
    lines = [
        f"{task}: {scores.n_queries} queries ({scores.skipped} skipped) x "
        f"{scores.n_gallery} items; {scores.definition}"
        for tasks in results.values()
        for task, scores in tasks.items()
    ]
    return "\n".join(dict.fromkeys(lines))


def _check_metrics(results: Results, metrics: Sequence[str]) -> None:
    known = {
        name for tasks in results.values() for score in tasks.values() for name in score.metrics
    }
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise UserError(f"no method has {unknown[0]!r}: the metrics are {sorted(known)}")
