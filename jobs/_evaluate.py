"""What ``jobs.evaluate`` puts together: the methods to compare, and their table."""

from __future__ import annotations

import sys

import rich

from cluster.ranking import ranks_by_entities, ranks_by_triples
from jobs.config import PipelineConfig
from jobs.steps import finished, sources, step
from mmkrl.evaluate.report.evaluation import Evaluation
from mmkrl.evaluate.report.report import as_table
from mmkrl.evaluate.tasks.link_prediction import Ranker
from mmkrl.models.comparison import Comparison

_RANKERS: dict[str, Ranker] = {"triples": ranks_by_triples, "entities": ranks_by_entities}


def comparison(config: PipelineConfig) -> Comparison:
    """The methods to compare."""
    inputs = step(config, "evaluate").inputs
    if config.ingest.sources:  # pages show pictures
        inputs = {"ingest": finished(config, "ingest")} | inputs
    rank = _RANKERS[config.cluster.evaluation.ranks_by]
    return Comparison(sources(config, inputs), inputs["train"], config.evaluate, rank)


def show(evaluation: Evaluation) -> None:
    """Print the table of a finished evaluation."""
    table = as_table(
        evaluation.results,
        evaluation.metrics,
        columns=evaluation.columns,
        title=evaluation.title,
    )
    rich.print(table, file=sys.stderr)
