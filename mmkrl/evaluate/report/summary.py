"""From per-query values to intervals, over queries' relationships and over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from mmkrl.arrays import FloatArray
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.intervals import Interval, paired_difference, summed_up
from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.metrics.recognition import harmonic_mean
from mmkrl.evaluate.metrics.registry import vocabulary
from mmkrl.evaluate.report.report import TaskScores
from mmkrl.evaluate.tasks.values import TaskValues

Headline = tuple[str, str]
"""A task, and the metric by which it is quoted."""


def summarise(
    values: Mapping[str, Sequence[Mapping[str, TaskValues]]], config: EvaluateConfig
) -> dict[str, dict[str, TaskScores]]:
    """Intervals of every metric.

    Args:
        values: Task values by method, one entry a seed; all seeds have the same queries.
        config: Bootstrap settings.

    Returns:
        {method: {task: scores}}.
    """
    metric = vocabulary(config.metrics)
    return {
        method: {
            task: _scores(task, [seed[task] for seed in seeds], metric, config) for task in seeds[0]
        }
        for method, seeds in values.items()
    }


def differences(
    values: Mapping[str, Sequence[Mapping[str, TaskValues]]],
    headlines: Sequence[Headline],
    reference: str,
    config: EvaluateConfig,
) -> dict[str, dict[str, Interval]]:
    """How far one method is ahead of each other one, paired query by query.

    Args:
        values: Task values by method, one entry a seed.
        headlines: What is compared; metrics that are no mean have no paired differences.
        reference: The method that is compared with all others.
        config: Bootstrap settings.

    Returns:
        {other method: {"task metric": interval of reference minus other}}.
    """
    settings = {"resamples": config.resamples, "seed": config.seed}
    metric_of = vocabulary(config.metrics)
    headlines = [pair for pair in headlines if metric_of(pair[1]).statistic == "mean"]
    means = {
        (method, task, metric): np.mean([seed[task].values[metric] for seed in seeds], axis=0)
        for method, seeds in values.items()
        for task, metric in headlines
    }
    return {
        method: {
            f"{task} {metric}": paired_difference(
                means[reference, task, metric],
                means[method, task, metric],
                values[reference][0][task].groups,
                **settings,
            )
            for task, metric in headlines
        }
        for method in values
        if method != reference
    }


def with_further(
    pairs: Sequence[Headline], tasks: Mapping[str, TaskScores], further: Iterable[Metric]
) -> list[Headline]:
    """Chosen numbers, and after those of each task its further metrics.

    Args:
        pairs: Tasks and metrics.
        tasks: Scores by task.
        further: Metrics of the configuration; each is added where it was measured.
    """
    names = [metric.name for metric in further]
    chosen: list[Headline] = []
    for task in dict.fromkeys(task for task, _ in pairs):
        chosen += [pair for pair in pairs if pair[0] == task]
        chosen += [(task, name) for name in names if name in tasks[task].metrics]
    return list(dict.fromkeys(chosen))


def headline(
    results: Mapping[str, Mapping[str, TaskScores]], headlines: Sequence[Headline]
) -> dict[str, float]:
    """The few numbers by which runs are compared, flat: method, task and metric in the name."""
    numbers = {
        f"{method}/{task}/{metric}": results[method][task].metrics[metric].mean
        for method in results
        for task, metric in headlines
        if task in results[method]  # models of other families have other tasks
    }
    for method, tasks in results.items():
        if "generalised, seen" in tasks:
            seen, unseen = (
                tasks[f"generalised, {s}"].metrics["top-1"].mean for s in ("seen", "unseen")
            )
            numbers[f"{method}/generalised/harmonic top-1"] = harmonic_mean(seen, unseen)
    return {name.replace(" ", "_").replace(",", ""): value for name, value in numbers.items()}


def _scores(
    task: str,
    seeds: Sequence[TaskValues],
    metric: Callable[[str], Metric],
    config: EvaluateConfig,
) -> TaskScores:
    first = seeds[0]
    metrics = {
        name: _interval(metric(name), [seed.values[name] for seed in seeds], first, config)
        for name in first.values
    }
    return TaskScores(
        task=task,
        n_queries=first.queries,
        n_gallery=first.gallery,
        definition=first.definition,
        metrics=metrics,
        skipped=first.queries - len(first.groups),
    )


def _interval(
    metric: Metric, values: Sequence[FloatArray], task: TaskValues, config: EvaluateConfig
) -> Interval:
    there_Q = np.isfinite(np.mean(values, axis=0))
    return summed_up(
        metric.statistic,
        [value_Q[there_Q] for value_Q in values],
        task.groups[there_Q],
        resamples=config.resamples,
        seed=config.seed,
    )
