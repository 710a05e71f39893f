"""What is told of a graph equals plain loops over its triples."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from mmkrl.data.graphs.statistics import inverse_share, relation_categories, statistics
from mmkrl.data.views.graph import SPLITS, Graph


def random_graph(seed: int) -> Graph:
    generator = np.random.default_rng(seed)
    sizes = zip(SPLITS, (80, 20, 40), strict=True)
    return Graph(
        [f"e{n:02d}" for n in range(25)],
        [f"r{n}" for n in range(6)],
        {split: generator.integers(0, (20, 5, 23), (size, 3)) for split, size in sizes},
    )


def category(triples, relation) -> str | None:
    """Bordes et al. 2013, section 4.3, word for word."""
    heads, tails = defaultdict(set), defaultdict(set)
    for head, other, tail in triples:
        if other == relation:
            heads[tail].add(head)
            tails[head].add(tail)
    if not heads:
        return None
    many = {
        name: sum(map(len, sets.values())) / len(sets) >= 1.5
        for name, sets in (("heads", heads), ("tails", tails))
    }
    return f"{'N' if many['heads'] else '1'}-{'N' if many['tails'] else '1'}"


@pytest.mark.parametrize("seed", range(5))
def test_categories_equal_a_loop(seed):
    graph = random_graph(seed)
    expected = [category(graph.triples["train"].tolist(), r) for r in range(6)]
    assert relation_categories(graph) == expected
    assert expected[5] is None


def test_categories_of_plain_cases():
    one = [(n, 0, n + 10) for n in range(6)]
    fan = [(0, 1, n) for n in range(6)]
    funnel = [(n, 2, 0) for n in range(6)]
    grid = [(n, 3, m) for n in range(3) for m in range(3)]
    edge = [(0, 4, 0), (0, 4, 1), (1, 4, 2), (1, 4, 2)]  # 3 tails of 2 heads: exactly 1.5
    train = np.array([*one, *fan, *funnel, *grid, *edge])
    graph = Graph([""] * 16, [""] * 5, {"train": train, "validation": train, "test": train})
    assert relation_categories(graph) == ["1-1", "1-N", "N-1", "N-N", "1-N"]


@pytest.mark.parametrize("seed", range(5))
def test_shares_equal_a_loop(seed):
    graph = random_graph(seed)
    train, test = graph.triples["train"].tolist(), graph.triples["test"].tolist()
    pairs = {(head, tail) for head, _, tail in train}
    inverse = sum((tail, head) in pairs for head, _, tail in test)
    assert inverse_share(graph) == inverse / len(test) > 0
    facts = statistics(graph)
    seen = {entity for head, _, tail in train for entity in (head, tail)}
    new = {entity for head, _, tail in test for entity in (head, tail)} - seen
    used = seen | {e for s in SPLITS for h, _, t in graph.triples[s].tolist() for e in (h, t)}
    assert facts["test_entities_not_in_train"] == len(new)
    assert facts["entities_without_triples"] == 25 - len(used)
    assert facts["triples"] == {"train": 80, "validation": 20, "test": 40}
    counts = facts["relation_categories"]
    assert sum(count["relations"] for count in counts.values()) == 6
    assert sum(count["test_triples"] for count in counts.values()) == 40
    assert counts["not in train"]["relations"] == 1
