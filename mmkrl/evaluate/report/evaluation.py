"""A finished evaluation as others read it: its report, and the values of every query."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmkrl.data.dataset import Dataset
from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.report.query_values import (
    Headline,
    QueryValues,
    Tables,
    headlines,
    query_values,
)
from mmkrl.evaluate.report.report import TaskScores, from_json, metrics_of

REPORT = "report.json"
_NOT_DATA = ("train", "extract")  # what is compared, and may differ
_TABLES = ("queries", "values")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, open for reading.

    Attributes:
        dataset: The output of an evaluation.
        report: What it says of each method.
        tables: The values of every query, and the queries.
    """

    dataset: Dataset
    report: Mapping[str, Any]
    tables: Tables

    @staticmethod
    def of(dataset: Dataset) -> Evaluation:
        """Read an evaluation.

        Raises:
            UserError: it is no evaluation, or one from before values were kept by query.
        """
        manifest = dataset.manifest
        if manifest.job != "evaluate":
            raise UserError(
                f"{dataset.location} is the output of {manifest.job!r}: name an evaluation instead"
            )
        if not dataset.rows("values"):
            raise UserError(
                f"{dataset.location} has no values by query, as evaluations of earlier versions: "
                "evaluate again with --force"
            )
        report = json.loads(dataset.read_bytes(dataset.file(REPORT)))
        return Evaluation(dataset, report, {name: dataset.table(name) for name in _TABLES})

    @property
    def reference(self) -> str:
        """The method of the first trained member."""
        return str(self.dataset.manifest.notes["reference"])

    @property
    def headlines(self) -> list[Headline]:
        """The numbers by which methods are compared, the most telling first."""
        return [(task, metric) for task, metric in self.dataset.manifest.notes["headlines"]]

    @property
    def columns(self) -> list[Headline]:
        """The numbers that its table shows."""
        return [(task, metric) for task, metric in self.dataset.manifest.notes["columns"]]

    @property
    def title(self) -> str:
        """Heading of its table."""
        return str(self.dataset.manifest.notes["title"])

    @property
    def data(self) -> dict[str, str]:
        """Digests of what was split into training, validation and test, by job.

        Evaluations with equal ones measure the same thing. Features are no part of it: which
        backbone is better is a question that may be asked.
        """
        inputs = self.dataset.manifest.inputs
        return {job: digest for job, digest in inputs.items() if job not in _NOT_DATA}

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics by name, as the report describes them."""
        return metrics_of(self.report)

    @property
    def results(self) -> dict[str, dict[str, TaskScores]]:
        """Scores by method and task."""
        return from_json(self.report["results"])

    def query_values(self, split: str, method: str, headline: Headline) -> QueryValues:
        """The values of a method by query.

        Raises:
            UserError: there are none.
        """
        return query_values(self.tables, split, method, headline)

    def measured(self, split: str, method: str) -> list[Headline]:
        """Every number of which a method's values were kept by query."""
        return headlines(self.tables, split, method)
