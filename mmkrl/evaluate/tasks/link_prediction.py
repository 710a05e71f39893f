"""Link prediction: how highly a model ranks the right head and the right tail of unseen triples.

MR is the mean rank, MRR the mean of 1 / rank, Hits@k the share of ranks of at most k (Bordes et
al. 2013, "Translating embeddings for modeling multi-relational data", section 4.2). Ranks count
ties at their mean (:mod:`mmkrl.evaluate.exact.triple_ranks`), so a rank may be 1.5, which is no hit
at 1. Filtered ranks leave out the other answers known from all splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import BoolArray, IntArray
from mmkrl.data.graphs.statistics import CATEGORIES, inverse_in_train, relation_categories
from mmkrl.data.splits.names import TEST
from mmkrl.data.views.graph import Graph
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.scorer import Scorer
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import Ranks, triple_ranks
from mmkrl.evaluate.metrics.metric import Metric, Ranking, measure
from mmkrl.evaluate.metrics.registry import metrics
from mmkrl.evaluate.tasks.values import TaskValues

LINK_PREDICTION = "link prediction"
"""The task whose numbers are usually quoted: filtered, heads and tails together."""
METRICS = ("MR", "MRR", "Hits@1", "Hits@3", "Hits@10")
FEWEST_TRIPLES = 20
"""A relation with fewer triples has no numbers of its own."""

_IMAGES = ("neither entity", "one entity", "both entities")


class Ranker(Protocol):
    """Ranks triples as :func:`~mmkrl.evaluate.exact.triple_ranks.triple_ranks` does."""

    def __call__(self, scorer: Scorer, triple_N3: IntArray, *, known: KnownTriples | None) -> Ranks:
        """The ranks of all triples, in their order."""
        ...


def link_prediction_tasks(
    graph: Graph,
    scorer: Scorer,
    pictured_E: BoolArray,
    *,
    split: str = TEST,
    rank: Ranker = triple_ranks,
    further: Sequence[Metric] = (),
) -> dict[str, TaskValues]:
    """Every task's values for a model, by task name.

    Args:
        graph: The triples.
        scorer: The model.
        pictured_E: Which entities have an image.
        split: Whose triples are ranked.
        rank: Where that is done; here, if nothing else is said.
        further: Metrics that are measured besides :data:`METRICS`.

    Raises:
        UserError: the split has no triples, or the model cannot rank them.
    """
    known = KnownTriples.of(graph.known())
    ranks = rank(scorer, graph.triples[split], known=known)
    return tasks_of_ranks(graph, ranks, pictured_E, split=split, further=further)


def tasks_of_ranks(
    graph: Graph,
    ranks: Ranks,
    pictured_E: BoolArray,
    *,
    split: str = TEST,
    further: Sequence[Metric] = (),
) -> dict[str, TaskValues]:
    """Every task's values for ranks that were computed elsewhere, by task name.

    Args:
        graph: The triples.
        ranks: The ranks of the split's triples, in their order.
        pictured_E: Which entities have an image.
        split: Whose triples were ranked.
        further: Metrics that are measured besides :data:`METRICS`.

    Raises:
        UserError: the split has no triples.
    """
    if not len(graph.triples[split]):
        raise UserError(f"the graph has no {split} triples: there is nothing to rank")
    wanted = (*metrics(*METRICS), *further)
    return dict(_tasks(_Split(graph, split, ranks, wanted), pictured_E))


@dataclass(frozen=True)
class _Split:
    """The ranked triples of a split."""

    graph: Graph
    name: str
    ranks: Ranks
    metrics: tuple[Metric, ...]

    @property
    def triple_N3(self) -> IntArray:
        return self.graph.triples[self.name]

    def task(self, definition: str, kept_N: BoolArray | None = None) -> TaskValues:
        """Filtered ranks of heads and tails, of all triples or of those kept.

        Of all N triples, the query for the head of triple n is asked at n, for its tail at N + n.
        """
        both = self.ranks.head.filtered_N, self.ranks.tail.filtered_N
        task = self.values(definition, *both, kept_N=kept_N)
        if kept_N is not None:
            return task
        count = len(self.triple_N3)
        return replace(task, asked=np.concatenate([np.arange(count), count + np.arange(count)]))

    def values(
        self, definition: str, *sides: npt.NDArray[np.float64], kept_N: BoolArray | None = None
    ) -> TaskValues:
        """The metrics of some ranks; a triple's queries are one group."""
        kept = np.arange(len(self.triple_N3)) if kept_N is None else np.flatnonzero(kept_N)
        rank_Q = np.concatenate([side_N[kept] for side_N in sides])
        values = measure(Ranking(rank_Q), self.metrics)
        groups = np.tile(kept, len(sides))
        return TaskValues(values, groups, definition, len(rank_Q), len(self.graph.entities))


def _tasks(split: _Split, pictured_E: BoolArray) -> Iterator[tuple[str, TaskValues]]:
    head, tail = split.ranks.head, split.ranks.tail
    without = "the triple's own {} among all entities but the other known ones"
    yield LINK_PREDICTION, split.task(without.format("head or tail"))
    yield f"{LINK_PREDICTION}, heads", split.values(without.format("head"), head.filtered_N)
    yield f"{LINK_PREDICTION}, tails", split.values(without.format("tail"), tail.filtered_N)
    raw = "the triple's own head or tail among all entities"
    yield f"{LINK_PREDICTION}, raw", split.values(raw, head.raw_N, tail.raw_N)
    for name, definition, kept_N in _selections(split, pictured_E):
        if kept_N.any():
            yield f"{LINK_PREDICTION}, {name}", split.task(f"filtered; {definition}", kept_N)


def _selections(split: _Split, pictured_E: BoolArray) -> Iterator[tuple[str, str, BoolArray]]:
    """Name, meaning and triples of every part of the split that has numbers of its own."""
    head_N, relation_N, tail_N = split.triple_N3.T
    yield (
        "no inverse in train",
        "triples from whose tail no training triple leads to their head",
        ~inverse_in_train(split.graph, split.triple_N3),
    )
    pictured_N = pictured_E[head_N].astype(np.int64) + pictured_E[tail_N]
    for count, whose in enumerate(_IMAGES):
        yield f"images of {whose}", f"triples with images of {whose}", pictured_N == count
    category_R = np.array([category or "" for category in relation_categories(split.graph)])
    for category in CATEGORIES:
        definition = f"{category} relations, by their training triples"
        yield category, definition, category_R[relation_N] == category
    count_R = np.bincount(relation_N, minlength=len(split.graph.relations))
    for relation in np.flatnonzero(count_R >= FEWEST_TRIPLES):
        name = split.graph.relations[relation]
        yield f"relation {name}", f"triples of the relation {name}", relation_N == relation
