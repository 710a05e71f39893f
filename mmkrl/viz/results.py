"""Published results as Markdown: generated from results files, never typed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.report.report import (
    Results,
    TaskScores,
    from_json,
    interval_from_json,
    interval_text,
    metrics_of,
)

START, END = "<!-- results:start -->", "<!-- results:end -->"
_DIGITS = 6
_ONE_RELATION = ", relation "
HEADLINE = (
    ("text-image", "mAP"),
    ("image-text", "mAP"),
    ("image-image", "mAP"),
    ("recognition", "top-1"),
    ("recognition", "top-5"),
)


def as_json(result: Mapping[str, Any]) -> str:
    """A results file: a line a key, and numbers with as many digits as mean something."""
    lines = [f"{json.dumps(key)}: {json.dumps(_rounded(value))}" for key, value in result.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def headline(result: Mapping[str, Any]) -> str:
    """The short table of a results file: methods x headline numbers."""
    methods, metrics = from_json(result["results"]), metrics_of(result)
    first = next(iter(methods.values()))["text-image"]
    seeds = ", ".join(str(seed) for seed in result["seeds"])
    columns = [(task, metrics[name]) for task, name in HEADLINE]
    return "\n".join(
        [
            f"Relationships never seen in training, {first.n_gallery} images of "
            f"{first.n_queries} relationships; mean and 95 % interval, seeds {seeds}.",
            "",
            *_table([f"{task} {metric.title}" for task, metric in columns], columns, methods),
        ]
    )


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """All results files as one page; numbers of single relations stay in the files."""
    lines = ["# Results", "", "Generated from `docs/results/*.json` by `make results`.", ""]
    for result in results:
        methods, metrics = from_json(result["results"]), metrics_of(result)
        lines += [f"## {result['name']}", "", f"`{result['command']}`", ""]
        lines += [f"* {key}: `{result[key]}`" for key in ("key", "commit", "seeds")]
        lines += [f"* {name}: `{digest}`" for name, digest in result["inputs"].items()]
        for task, scores in _tasks(methods).items():
            lines += ["", f"### {task}", ""]
            lines += [
                f"{scores.n_queries} queries ({scores.skipped} skipped), gallery of "
                f"{scores.n_gallery}; right: {scores.definition}.",
                "",
            ]
            columns = [(task, metrics[name]) for name in scores.metrics]
            lines += _table([metric.title for _, metric in columns], columns, methods)
        lines += _ahead(result["ahead"], metrics)
        lines.append("")
    return "\n".join(lines)


def insert(document: str, text: str) -> str:
    """A document with the text between its result marks replaced."""
    head, _, rest = document.partition(START)
    _, _, tail = rest.partition(END)
    return f"{head}{START}\n{text}\n{END}{tail}"


def _ahead(ahead: Mapping[str, Any], metrics: Mapping[str, Metric]) -> list[str]:
    """The paired differences of one method to every other, if there are others."""
    lines: list[str] = []
    for served, others in ahead.items():
        if not others:
            continue
        lines += ["", f"### How far {served} is ahead", ""]
        lines += [
            "Paired differences on the same queries, 95 % interval; one above zero is a real lead "
            "(below zero under an arrow).",
            "",
        ]
        numbers = {number: _metric_of(number, metrics) for number in next(iter(others.values()))}
        heads = [f"{number.removesuffix(one.name)}{one.title}" for number, one in numbers.items()]
        lines += [f"| than | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
        for other, each in others.items():
            cells = [
                interval_text(interval_from_json(each[number]), metric)
                for number, metric in numbers.items()
            ]
            lines.append(f"| {other} | {' | '.join(cells)} |")
    return lines


def _metric_of(number: str, metrics: Mapping[str, Metric]) -> Metric:
    """The metric of a number that is named by its task and metric."""
    names = [name for name in metrics if number.endswith(f" {name}")]
    return metrics[max(names, key=len)]


def _tasks(methods: Results) -> dict[str, TaskScores]:
    """Every task with the scores of the first method that has it, but those of one relation."""
    tasks: dict[str, TaskScores] = {}
    for scores in methods.values():
        for task, values in scores.items():
            if _ONE_RELATION not in task:
                tasks.setdefault(task, values)
    return tasks


def _table(
    heads: Sequence[str], columns: Sequence[tuple[str, Metric]], methods: Results
) -> list[str]:
    lines = [f"| {' | '.join(['method', *heads])} |", "|---" * (len(columns) + 1) + "|"]
    for method, tasks in methods.items():
        cells = [
            interval_text(tasks[task].metrics.get(metric.name) if task in tasks else None, metric)
            for task, metric in columns
        ]
        lines.append(f"| {' | '.join([method, *cells])} |")
    return lines
