"""What is to be known of a graph before its numbers mean something."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import IntArray
from mmkrl.data.splits.names import TEST, TRAIN
from mmkrl.data.views.graph import SPLITS, Graph

CATEGORIES = ("1-1", "1-N", "N-1", "N-N")
_MANY = 1.5  # an average from here on counts as N (Bordes et al. 2013, section 4.3)


def relation_categories(graph: Graph) -> list[str | None]:
    """How many heads and tails go together in each relation, counted on the training triples.

    Bordes et al. (2013, "Translating embeddings for modeling multi-relational data", section 4.3):
    the side of the heads is 1 if a relation's tails have less than 1.5 heads on average, else N;
    the side of the tails likewise. Averages are over the pairs (relation, tail) and (head,
    relation) that occur.

    Returns:
        One of :data:`CATEGORIES` a relation; None for a relation without a training triple.
    """
    head, relation, tail = np.unique(graph.triples[TRAIN], axis=0).T
    count = len(graph.relations)
    triples_R = np.bincount(relation, minlength=count)
    tails_R = _partners(relation, tail, count)
    heads_R = _partners(relation, head, count)
    return [
        f"{_side(triples, tails)}-{_side(triples, heads)}" if triples else None
        for triples, tails, heads in zip(triples_R, tails_R, heads_R, strict=True)
    ]


def _partners(relation: IntArray, entity: IntArray, count: int) -> IntArray:
    """How many entities stand on one side of each relation."""
    pairs = np.unique(np.stack([relation, entity]), axis=1)
    return np.bincount(pairs[0], minlength=count)


def _side(triples: int, entities: int) -> str:
    return "N" if triples >= _MANY * entities else "1"


def inverse_in_train(graph: Graph, triple_N3: IntArray) -> npt.NDArray[np.bool_]:
    """Whether some training triple leads from each triple's tail to its head, shape (N,).

    Where relations come in pairs (hypernym and hyponym), such a triple gives the answer away.
    """
    size, train_N3 = len(graph.entities), graph.triples[TRAIN]
    backwards_N = triple_N3[:, 2] * size + triple_N3[:, 0]
    found: npt.NDArray[np.bool_] = np.isin(backwards_N, train_N3[:, 0] * size + train_N3[:, 2])
    return found


def inverse_share(graph: Graph) -> float:
    """Share of the test triples that have such a training triple."""
    return float(inverse_in_train(graph, graph.triples[TEST]).mean())


def statistics(graph: Graph) -> dict[str, Any]:
    """Counts and shares of a graph, for its dataset's notes."""
    trained, tested, used = (
        np.unique(triples[:, [0, 2]])
        for triples in (graph.triples[TRAIN], graph.triples[TEST], graph.known())
    )
    categories = relation_categories(graph)
    tests = Counter(categories[relation] for relation in graph.triples[TEST][:, 1].tolist())
    relations = Counter(categories)
    return {
        "triples": {split: len(graph.triples[split]) for split in SPLITS},
        "entities": len(graph.entities),
        "entities_without_triples": len(graph.entities) - len(used),
        "relations": len(graph.relations),
        "test_inverse_in_train": inverse_share(graph),
        "test_entities_not_in_train": len(np.setdiff1d(tested, trained)),
        "relation_categories": {
            name or "not in train": {"relations": relations[name], "test_triples": tests[name]}
            for name in (*CATEGORIES, None)
            if relations[name]
        },
    }
