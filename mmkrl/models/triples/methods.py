"""The methods of a report on triples: every trained model, in each way that it can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmkrl.arrays import IntArray
from mmkrl.data.dataset import Dataset
from mmkrl.data.splits.names import TEST, TRAIN
from mmkrl.data.views.graph import Graph, pictured
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.metrics.registry import further_metrics
from mmkrl.evaluate.report.query_values import QueryNames
from mmkrl.evaluate.report.summary import Headline
from mmkrl.evaluate.tasks.link_prediction import LINK_PREDICTION, Ranker, tasks_of_ranks
from mmkrl.evaluate.tasks.triple_classification import CLASSIFICATION, classification_tasks
from mmkrl.evaluate.tasks.values import TaskValues
from mmkrl.models.config import TrainConfig
from mmkrl.models.triples.config import WHOLE
from mmkrl.models.triples.run import TripleData, TripleRun
from mmkrl.models.weights import load_weights, member_name
from mmkrl.train.loop import LoopConfig


@dataclass(frozen=True)
class TripleComparison:
    """Models of triples on the test triples of their graph.

    The methods are (name, seed, view) triples; see
    :class:`~mmkrl.evaluate.report.comparison.Comparison`.

    Attributes:
        train: The section the models were trained with.
        evaluate: The section of this evaluation.
        data: The graph and its images.
        trained: The models.
        rank: Where triples are ranked.
    """

    title: ClassVar[str] = "Test triples, filtered"
    headlines: ClassVar[tuple[Headline, ...]] = (
        (LINK_PREDICTION, "MRR"),
        (LINK_PREDICTION, "Hits@10"),
        (CLASSIFICATION, "accuracy"),
    )
    columns: ClassVar[tuple[Headline, ...]] = (
        *((LINK_PREDICTION, metric) for metric in ("MR", "MRR", "Hits@1", "Hits@3", "Hits@10")),
        (CLASSIFICATION, "accuracy"),
    )

    train: TrainConfig
    evaluate: EvaluateConfig
    data: TripleData
    trained: Dataset
    rank: Ranker

    def methods(self) -> list[tuple[str, ...]]:
        """Every view of every model with every seed."""
        return [
            (name, str(seed), view)
            for name, seed in self.train.members
            for view in self.train.triples[name].views
        ]

    def label(self, name: str, seed: str, view: str) -> str:  # noqa: ARG002 - seeds share a label
        """The model's name, and how it is asked if there are several ways."""
        return name if view == WHOLE else f"{name} {view}"

    @property
    def reference(self) -> str:
        """The label of the first model."""
        name, _ = self.train.members[0]
        return self.label(name, "", WHOLE)

    @property
    def served(self) -> tuple[str, ...]:
        """The first model with the first seed, by all it has."""
        name, seed = self.train.members[0]
        return name, str(seed), WHOLE

    def measure(self, split: str, name: str, seed: str, view: str) -> dict[str, TaskValues]:
        """Link prediction and, of test triples, triple classification of one view.

        What is measured on validation triples knows nothing of those of the test, as in training.
        """
        further = further_metrics(self.evaluate.metrics, ranks_alone=True)
        run = TripleRun(self.train.triples[name], LoopConfig(), self.data, int(seed))
        graph = self.data.load()
        learner = run.learner(graph)
        learner.module.load_state_dict(
            load_weights(self.trained.location, member_name(name, int(seed)))
        )
        scorer = learner.scorer(view)
        pictured_E = pictured(graph, self.data.graph)
        known = KnownTriples.of(_filter(graph, split))
        ranks = self.rank(scorer, graph.triples[split], known=known)
        tasks = tasks_of_ranks(graph, ranks, pictured_E, split=split, further=further)
        if split != TEST:
            return tasks
        return tasks | classification_tasks(graph, scorer, seed=self.evaluate.seed)

    def named(self, split: str, tasks: Mapping[str, TaskValues]) -> dict[str, QueryNames]:
        """Triples by their parts; what is looked for stands in brackets."""
        graph = self.data.load()
        rows = graph.triples[split].tolist()
        triples = [(graph.entities[h], graph.relations[r], graph.entities[t]) for h, r, t in rows]
        named = {}
        for task, values in tasks.items():
            assert values.asked is not None
            places = [divmod(place, len(triples)) for place in values.asked.tolist()]
            several = task == LINK_PREDICTION
            names = [_asked(triples[n], side if several else None) for side, n in places]
            named[task] = QueryNames(names, [triples[n][1] for _, n in places])
        return named


def _filter(graph: Graph, split: str) -> IntArray:
    """What a filtered ranking of a split must not count."""
    if split == TEST:
        return graph.known()
    return np.concatenate([graph.triples[TRAIN], graph.triples[split]])


def _asked(triple: tuple[str, str, str], side: int | None) -> str:
    head, relation, tail = triple
    if side is None:
        return f"{head} | {relation} | {tail}"
    return f"[{head}] | {relation} | {tail}" if side == 0 else f"{head} | {relation} | [{tail}]"
