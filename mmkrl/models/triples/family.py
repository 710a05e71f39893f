"""The face of models of triples: a knowledge graph, with its images and texts if there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mmkrl.models.config import FEATURES, GRAPH, TrainConfig
from mmkrl.models.family import Family, Method, Sources, Trial
from mmkrl.models.triples.config import WHOLE, TripleConfig

if TYPE_CHECKING:
    from mmkrl.arrays import IntArray
    from mmkrl.data.views.graph import Graph
    from mmkrl.evaluate.report.query_values import Headline, QueryNames
    from mmkrl.evaluate.tasks.values import TaskValues
    from mmkrl.models.triples.data import TripleData
    from mmkrl.models.triples.learner import TripleLearner
    from mmkrl.models.triples.space import TripleSpace

_LINK_PREDICTION, _CLASSIFICATION = "link prediction", "triple classification"


class TriplesFamily(Family[TripleConfig, "TripleData"]):
    """Models of triples on the test triples of their graph, in every way that they can be asked."""

    config = TripleConfig
    title = "Test triples, filtered"
    headlines: ClassVar[tuple[Headline, ...]] = (
        (_LINK_PREDICTION, "MRR"),
        (_LINK_PREDICTION, "Hits@10"),
        (_CLASSIFICATION, "accuracy"),
    )
    columns: ClassVar[tuple[Headline, ...]] = (
        *((_LINK_PREDICTION, metric) for metric in ("MR", "MRR", "Hits@1", "Hits@3", "Hits@10")),
        (_CLASSIFICATION, "accuracy"),
    )

    def inputs(self, models: Mapping[str, TripleConfig], train: TrainConfig) -> tuple[str, ...]:
        """The graph, and the features of its images if a model looks at them."""
        del train
        pictured = any(model.pictured for model in models.values())
        return (GRAPH, FEATURES) if pictured else (GRAPH,)

    def load(self, sources: Sources) -> TripleData:
        """The graph; images and texts are loaded for the models that look at them."""
        from mmkrl.models.triples.data import TripleData

        return TripleData(sources)

    def learner(self, model: TripleConfig, data: TripleData, seed: int) -> TripleLearner:
        """A model of triples before training."""
        import torch

        from mmkrl.models.triples.learner import TripleLearner

        images = data.images() if model.pictured else None
        texts = None if model.lexical is None else data.texts(model.lexical)
        torch.manual_seed(seed)
        return TripleLearner(data.graph, model, images=images, texts=texts, seed=seed)

    def views(self, model: TripleConfig) -> Sequence[str]:
        """By all that it has, by its structure alone, and so on."""
        return ["" if view == WHOLE else view for view in model.views]

    def measure(
        self,
        trial: Trial[TripleConfig, TripleData],
        split: str,
        method: Method,
        learner: TripleLearner | None,
    ) -> dict[str, TaskValues]:
        """Link prediction and, of test triples, triple classification of one view.

        What is measured on validation triples knows nothing of those of the test, as in training.
        """
        from mmkrl.data.splits.names import TEST
        from mmkrl.evaluate.exact.triple_filter import KnownTriples
        from mmkrl.evaluate.metrics.registry import further_metrics
        from mmkrl.evaluate.tasks.link_prediction import tasks_of_ranks
        from mmkrl.evaluate.tasks.triple_classification import classification_tasks

        assert learner is not None
        further = further_metrics(trial.config.metrics, ranks_alone=True)
        graph = trial.data.graph
        scorer = learner.scorer(method.view or WHOLE)
        known = KnownTriples.of(_filter(graph, split))
        ranks = trial.rank(scorer, graph.triples[split], known=known)
        pictured_E = trial.data.pictured_E
        tasks = tasks_of_ranks(graph, ranks, pictured_E, split=split, further=further)
        if split != TEST:
            return tasks
        return tasks | classification_tasks(graph, scorer, seed=trial.config.seed)

    def queries(
        self, data: TripleData, split: str, tasks: Mapping[str, TaskValues]
    ) -> dict[str, QueryNames]:
        """Triples by their parts; what is looked for stands in brackets."""
        from mmkrl.evaluate.report.query_values import QueryNames

        graph = data.graph
        rows = graph.triples[split].tolist()
        triples = [(graph.entities[h], graph.relations[r], graph.entities[t]) for h, r, t in rows]
        named = {}
        for task, values in tasks.items():
            assert values.asked is not None
            positions = [divmod(position, len(triples)) for position in values.asked.tolist()]
            several = task == _LINK_PREDICTION
            names = [_asked(triples[n], side if several else None) for side, n in positions]
            named[task] = QueryNames(names, [triples[n][1] for _, n in positions])
        return named

    def space(
        self, model: TripleConfig, learner: Any, sources: Sources, data: TripleData
    ) -> TripleSpace:
        """Tables of what the model knows of every entity and relation."""
        from mmkrl.models.triples.space import TripleSpace

        del model, sources
        return TripleSpace.of(learner.module, data.graph)


def _filter(graph: Graph, split: str) -> IntArray:
    """What a filtered ranking of a split must not count."""
    import numpy as np

    from mmkrl.data.splits.names import TEST, TRAIN

    if split == TEST:
        return graph.known()
    return np.concatenate([graph.triples[TRAIN], graph.triples[split]])


def _asked(triple: tuple[str, str, str], side: int | None) -> str:
    head, relation, tail = triple
    if side is None:
        return f"{head} | {relation} | {tail}"
    return f"[{head}] | {relation} | {tail}" if side == 0 else f"{head} | {relation} | [{tail}]"
