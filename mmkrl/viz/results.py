"""Published results as Markdown: generated from results files, never typed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

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
    methods = result["results"]
    first = next(iter(methods.values()))["text-image"]
    seeds = ", ".join(str(seed) for seed in result["seeds"])
    return "\n".join(
        [
            f"Relationships never seen in training, {first['n_gallery']} images of "
            f"{first['n_queries']} relationships; mean and 95 % interval, seeds {seeds}.",
            "",
            *_table("method", HEADLINE, methods),
        ]
    )


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """All results files as one page; numbers of single relations stay in the files."""
    lines = ["# Results", "", "Generated from `docs/results/*.json`.", ""]
    for result in results:
        lines += [f"## {result['name']}", "", f"`{result['command']}`", ""]
        lines += [f"* {key}: `{result[key]}`" for key in ("key", "commit", "seeds")]
        lines += [f"* {name}: `{digest}`" for name, digest in result["inputs"].items()]
        for task, scores in _tasks(result["results"]).items():
            lines += ["", f"### {task}", ""]
            lines += [
                f"{scores['n_queries']} queries ({scores['skipped']} skipped), gallery of "
                f"{scores['n_gallery']}; right: {scores['definition']}.",
                "",
            ]
            columns = [(task, metric) for metric in scores["metrics"]]
            lines += _table("method", columns, result["results"])
        lines += _ahead(result["ahead"])
        lines.append("")
    return "\n".join(lines)


def insert(document: str, text: str) -> str:
    """A document with the text between its result marks replaced."""
    head, _, rest = document.partition(START)
    _, _, tail = rest.partition(END)
    return f"{head}{START}\n{text}\n{END}{tail}"


def _ahead(ahead: Mapping[str, Any]) -> list[str]:
    """The paired differences of one method to every other, if there are others."""
    lines: list[str] = []
    for served, others in ahead.items():
        if not others:
            continue
        lines += ["", f"### How far {served} is ahead", ""]
        lines += [
            "Paired differences on the same queries, 95 % interval; one above zero is a real lead.",
            "",
        ]
        metrics = list(next(iter(others.values())))
        lines += [f"| than | {' | '.join(metrics)} |", "|---" * (len(metrics) + 1) + "|"]
        lines += [
            f"| {other} | {' | '.join(_cell(each[metric]) for metric in metrics)} |"
            for other, each in others.items()
        ]
    return lines


def _tasks(methods: Mapping[str, Any]) -> dict[str, Any]:
    """Every task with the scores of the first method that has it, but those of one relation."""
    tasks: dict[str, Any] = {}
    for scores in methods.values():
        for task, values in scores.items():
            if _ONE_RELATION not in task:
                tasks.setdefault(task, values)
    return tasks


def _table(
    corner: str, columns: Sequence[tuple[str, str]], methods: Mapping[str, Any]
) -> list[str]:
    several = len({task for task, _ in columns}) > 1
    heads = [f"{task} {metric}" if several else metric for task, metric in columns]
    lines = [f"| {' | '.join([corner, *heads])} |", "|---" * (len(columns) + 1) + "|"]
    for method, tasks in methods.items():
        cells = [_cell(tasks.get(task, {}).get("metrics", {}).get(m)) for task, m in columns]
        lines.append(f"| {' | '.join([method, *cells])} |")
    return lines


def _cell(interval: Mapping[str, Any] | None) -> str:
    if interval is None:
        return ""
    digits = 1 if interval["mean"] > 1.5 else 3
    if interval["low"] is None:
        return f"{interval['mean']:.{digits}f}"
    low, high = f"{interval['low']:.{digits}f}", f"{interval['high']:.{digits}f}"
    return f"{interval['mean']:.{digits}f} ({low} to {high})"
