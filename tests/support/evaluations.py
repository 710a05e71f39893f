"""Small finished evaluations in a workspace, with the datasets they were made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish, write_file, write_unit
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.registry import metric
from mmkrl.evaluate.report.evaluation import REPORT
from mmkrl.evaluate.report.query_values import QueryNames, query_table, value_table
from mmkrl.evaluate.report.report import as_text
from mmkrl.evaluate.report.summary import differences, summarise
from mmkrl.evaluate.tasks.values import TaskValues
from mmkrl.io.storage import locate

TASK, METRIC = "text-image", "mAP"
CONFIG = EvaluateConfig(resamples=200)
QUERIES = [
    f"{who} | {relation} | thing {n}"
    for relation in ("wears", "holds")
    for who in ("man", "cat")
    for n in range(5)
]
RELATIONS = [query.split(" | ")[1] for query in QUERIES]


def task_values(values: Sequence[float], queries: int = len(QUERIES)) -> TaskValues:
    """One number a query; a query is a group."""
    groups = np.arange(queries)
    numbers = {METRIC: np.array(values, float), "median rank": 1 / np.array(values, float)}
    return TaskValues(numbers, groups, "an image of it", queries, 40, asked=groups)


def dataset(
    workspace: Path, job: str, key: str, inputs: Mapping[str, str], config: Mapping[str, Any]
) -> Dataset:
    """A dataset of a job with nothing in it but a note of its key."""
    location = locate(workspace / job / f"{key}-v1")
    files = [write_file(location, "note.txt", key.encode())]
    publish(location, Origin(job, key, dict(config), dict(inputs), "commit"), [], files=files)
    return open_dataset(location)


def evaluation(
    workspace: Path,
    key: str,
    methods: Mapping[str, Sequence[Sequence[float]]],
    *,
    data: str = "data",
    queries: Sequence[str] = tuple(QUERIES),
    train: Mapping[str, Any] | None = None,
) -> Dataset:
    """An evaluation of methods by one task.

    Args:
        workspace: Where its datasets lie.
        key: Tells it from others.
        methods: Values by method, a row a seed; the first is the reference.
        data: Tells the data that it stands on.
        queries: Their names.
        train: What the training was configured with.
    """
    mined = dataset(workspace, "mine", data, {}, {"min_images": 2})
    trained = dataset(workspace, "train", key, {"mine": mined.digest}, train or {})
    values = {
        name: [{TASK: task_values(seed, len(queries))} for seed in seeds]
        for name, seeds in methods.items()
    }
    reference = next(iter(values))
    headline = (TASK, METRIC)
    ahead = differences(values, [headline], reference, CONFIG)
    report = as_text(summarise(values, CONFIG), reference, ahead, metric)
    location = locate(workspace / "evaluate" / f"{key}-v1")
    named = QueryNames(queries, [query.split(" | ")[1] for query in queries])
    groups = np.arange(len(queries))
    splits = {"test": values, "validation": {reference: values[reference][:1]}}
    tables = {
        "queries": pa.concat_tables([query_table(s, TASK, named, groups) for s in splits]),
        "values": pa.concat_tables([value_table(s, v, [headline]) for s, v in splits.items()]),
    }
    rows = tables["queries"].num_rows
    unit = write_unit(location, 0, tables, rows_in=rows, rows_out=rows)
    notes = {
        "title": "Unseen",
        "reference": reference,
        "served": ["full", "0"],
        "headlines": [list(headline)],
        "columns": [list(headline)],
        "mlflow_run": f"run-of-{key}",
    }
    inputs = {"mine": mined.digest, "train": trained.digest}
    origin = Origin("evaluate", key, {"resamples": 200}, inputs, "commit")
    files = [write_file(location, REPORT, report.encode())]
    publish(location, origin, [unit], files=files, notes=notes)
    return open_dataset(location)
