"""The methods of a report on triples: every trained model, in each way that it can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mmkrl.data.dataset import Dataset
from mmkrl.data.graph import pictured
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.link_prediction import LINK_PREDICTION, Ranker, link_prediction_tasks
from mmkrl.evaluate.summary import Headline
from mmkrl.evaluate.tasks import TaskValues
from mmkrl.evaluate.triple_classification import CLASSIFICATION, classification_tasks
from mmkrl.models.triple_config import WHOLE
from mmkrl.train.config import TrainConfig
from mmkrl.train.loop import LoopConfig
from mmkrl.train.members import load_weights, member_name
from mmkrl.train.triple_run import TripleData, TripleRun


@dataclass(frozen=True)
class TripleComparison:
    """Models of triples on the test triples of their graph.

    The methods are (name, seed, view) triples; see :class:`~mmkrl.index.comparison.Comparison`.

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

    def measure(self, name: str, seed: str, view: str) -> dict[str, TaskValues]:
        """Link prediction and triple classification of one view."""
        run = TripleRun(self.train.triples[name], LoopConfig(), self.data, int(seed))
        graph = self.data.load()
        learner = run.learner(graph)
        learner.module.load_state_dict(
            load_weights(self.trained.location, member_name(name, int(seed)))
        )
        scorer = learner.scorer(view)
        pictured_E = pictured(graph, self.data.graph)
        tasks = link_prediction_tasks(graph, scorer, pictured_E, rank=self.rank)
        return tasks | classification_tasks(graph, scorer, seed=self.evaluate.seed)
