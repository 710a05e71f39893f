"""The model card of a registered version: what it is, what it stands on, how good it is.

Everything in it is read from datasets and their manifests; nothing is typed by hand and nothing is
judged. The form follows Mitchell et al. (2019), "Model cards for model reporting", shortened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from mmkrl.data.dataset import Dataset, read_rows
from mmkrl.data.manifest import Manifest
from mmkrl.evaluate.metrics.intervals import Interval
from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.report.report import TaskScores, from_json, interval_text, metrics_of

_SPLIT_TABLES = ("relationships", "instances", "triples")
_FEW_GROUPS = 30
_NOT_STATED = "not stated"


@dataclass(frozen=True)
class Facts:
    """What a card is made of.

    Attributes:
        name: Of the registered model.
        alias: By which this version is called.
        member: What was trained, and its seed.
        verdict: What became of it, in a sentence.
        tasks: What it can be asked.
        trained: Manifest of its training.
        evaluated: Manifest of its evaluation.
        report: That evaluation's report.
        inputs: The datasets it was evaluated on, by job.
        corpus: The corpus with the images, if there are any.
    """

    name: str
    alias: str
    member: str
    verdict: str
    tasks: Sequence[str]
    trained: Manifest
    evaluated: Manifest
    report: Mapping[str, Any]
    inputs: Mapping[str, Dataset]
    corpus: Dataset | None

    @property
    def data(self) -> dict[str, Dataset]:
        """The corpus, and what was made of it before training."""
        corpus = {"ingest": self.corpus} if self.corpus else {}
        return corpus | {job: made for job, made in self.inputs.items() if job != "train"}


def model_card(facts: Facts) -> str:
    """The card as Markdown."""
    results = from_json(facts.report["results"])
    parts = [
        _head(facts),
        _data(facts),
        _results(facts, results),
        _lead(facts),
        _limits(facts, results),
        _licences(facts.corpus),
    ]
    return "\n".join(line for part in parts for line in (*part, "")).rstrip() + "\n"


def _head(facts: Facts) -> list[str]:
    commit = facts.trained.commit or "unknown"
    return [
        f"# {facts.name}: {facts.member}",
        "",
        f"Trained {facts.trained.created} by commit `{commit}`; {facts.verdict}.",
        "",
        f"Asked for {', '.join(f'`{task}`' for task in facts.tasks)} with "
        f'`mlflow.pyfunc.load_model("models:/{facts.name}@{facts.alias}")`, or over HTTP by '
        "`mlflow models serve`.",
    ]


def _data(facts: Facts) -> list[str]:
    lines = ["## Data", "", "| made by | rows | set aside | digest |", "|---|---|---|---|"]
    lines += [
        f"| {job} | {d.manifest.rows_out} | {d.manifest.dead_letters} | `{d.digest[:16]}` |"
        for job, d in facts.data.items()
    ]
    splits = [
        f"* {table}: {_counted(dataset, table)}"
        for dataset in facts.data.values()
        for table in _SPLIT_TABLES
        if dataset.rows(table)
    ]
    return [*lines, "", *(["Split:", "", *splits] if splits else [])]


def _counted(dataset: Dataset, table: str) -> str:
    counts = Counter(dataset.table(table, ["split"])["split"].to_pylist())
    return ", ".join(f"{count} {split}" for split, count in counts.most_common())


def _results(facts: Facts, results: Mapping[str, Mapping[str, TaskScores]]) -> list[str]:
    notes = facts.evaluated.notes
    metrics = metrics_of(facts.report)
    columns = [(task, metrics[name]) for task, name in notes["columns"]]
    reference = notes["reference"]
    lines = [
        "## Results",
        "",
        f"{notes['title']}: mean and 95 % interval over queries, values averaged over seeds. This "
        f"model is one seed of **{reference}**; below it stand its ablations and baselines.",
        "",
        f"| method | {' | '.join(f'{task} {metric.title}' for task, metric in columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    order = [reference, *(method for method in results if method != reference)]
    for method in order:
        cells = [interval_text(_found(results[method], *pair), pair[1]) for pair in columns]
        label = f"**{method}**" if method == reference else method
        lines.append(f"| {label} | {' | '.join(cells)} |")
    right = dict.fromkeys(task for task, _ in columns)
    tasks = results[reference]
    defined = [f"* {task}: {tasks[task].definition}" for task in right if task in tasks]
    return [*lines, "", *defined]


def _lead(facts: Facts) -> list[str]:
    (ahead,) = facts.report["ahead"].values()
    if not ahead:
        return []
    lines = ["## How far it is ahead", "", "Paired differences on the same queries.", ""]
    for other, each in ahead.items():
        told = [f"{name} {_bounds(values)}" for name, values in each.items()]
        lines.append(f"* than {other}: {'; '.join(told)}")
    return lines


def _limits(facts: Facts, results: Mapping[str, Mapping[str, TaskScores]]) -> list[str]:
    reference = facts.evaluated.notes["reference"]
    limits = [
        "Intervals cover the choice of test queries; not that of the training data, nor what lies "
        "outside this corpus.",
        f"The registered weights are those of one seed ({facts.member}); the table averages all.",
    ]
    tasks = results[reference].items()
    groups = {name: min(i.n_groups for i in task.metrics.values()) for name, task in tasks}
    counted = {
        "Few groups of queries, hence wide intervals": {
            name: count for name, count in groups.items() if count < _FEW_GROUPS
        },
        "Queries left out, since nothing is right for them": {
            name: task.skipped for name, task in tasks
        },
        "Rows that could not be used": {
            job: made.manifest.dead_letters for job, made in facts.data.items()
        },
    }
    for what, counts in counted.items():
        told = "; ".join(f"{name} {count}" for name, count in counts.items() if count)
        limits += [f"{what}: {told}."] if told else []
    if facts.trained.commit.endswith("+changes"):
        limits.append("The code differed from the commit it names.")
    return ["## Limits", "", *(f"* {limit}" for limit in limits)]


def _licences(corpus: Dataset | None) -> list[str]:
    lines = ["## Licences of the images", ""]
    if corpus is None:
        return [*lines, "The model saw no images."]
    counts = licences(corpus)
    lines += ["As the crawl states them; nothing was checked.", "", "| licence | images |"]
    lines += ["|---|---|", *(f"| {name} | {count} |" for name, count in counts.most_common())]
    return lines


def licences(corpus: Dataset) -> Counter[str]:
    """How many images of a corpus have each licence, by what the crawl says."""
    counts: Counter[str] = Counter()
    for entry in corpus.files("images"):
        rows = read_rows(corpus.location, entry, 0, entry.rows, ["license"])
        for found in pc.value_counts(rows["license"].combine_chunks()).to_pylist():
            counts[found["values"] or _NOT_STATED] += found["counts"]
    return counts


def _found(tasks: Mapping[str, TaskScores], task: str, metric: Metric) -> Interval | None:
    return tasks[task].metrics.get(metric.name) if task in tasks else None


def _bounds(values: Mapping[str, float | None]) -> str:
    if values["low"] is None or values["high"] is None:
        return f"{values['mean']:+.3f}"
    return f"{values['mean']:+.3f} ({values['low']:+.3f} to {values['high']:+.3f})"
